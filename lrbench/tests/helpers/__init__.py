"""What the tests share: a user's code as lrbench meets it (`users`), rows without training (`rows`), study files
(`studies`), and the command line in processes of its own (`commands`)."""
