"""What the tests share: a user's code as lrbench meets it (`users`), rows without training (`rows`), the command line
in processes of its own (`commands`)."""
