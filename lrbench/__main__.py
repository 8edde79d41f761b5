"""The command `lrbench`, and `python -m lrbench`: the command line in a process of its own."""

from lrbench.cli import main
from lrbench.leaving import leave


def run() -> None:
    """Run the command line and leave at once with the code that it ends with."""
    try:
        main()
    except SystemExit as done:
        leave(done.code or 0)


if __name__ == "__main__":
    run()
