"""Ctrl-C, so that it is not lost: Python raises it wherever it happens to be, and what is raised in a callback (of an
import, of a weak reference) is printed there and forgotten. A long command looks here from time to time.
"""

received: list[int] = []  # the command line's handler appends each signal's number


def raise_lost() -> None:
    """Raise KeyboardInterrupt if one has come and this is nevertheless still running."""
    if received:
        raise KeyboardInterrupt
