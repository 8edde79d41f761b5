"""What a process does when it is asked to leave: a function that registers something to be done at its end."""

import atexit
from pathlib import Path


def remember(path: str) -> str:
    """Have a word written to `path` when this process ends; return "asked"."""
    atexit.register(Path(path).write_text, "left")
    return "asked"
