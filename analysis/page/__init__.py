"""What people read: the report, its parts and its words, pages and the terminal. What this does *not* do: analyse."""
