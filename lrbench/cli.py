"""The command line's door. `--help` answers before torch, pandas or scipy are loaded: commands import what they need.

Every bad input has one form, on stderr: "error: where, what was found, what is allowed, what to type". Exit codes: 0
all is well, 1 some trials failed or the run could not go on, 2 bad input, 130 interrupted. What this does *not* do:
know the commands (`lrbench.commands`).
"""

import os
import signal
import sys
from errno import EPIPE
from typing import Annotated

import typer

from lrbench.commands import data, results, schedules, studies, trust
from lrbench.commands.usage import ClickException, Group, problem
from lrbench.errors import InputError, RunError, StoreError
from lrbench.interrupts import received

app = typer.Typer(
    name="lrbench",
    cls=Group,
    help="Which learning-rate schedule, what do the cuDNN flags cost and buy, and is my training reproducible?",
    epilog="Start with: lrbench run quickstart && lrbench report results/quickstart",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in (studies, results, schedules, trust):
    app.add_typer(commands.app)
app.add_typer(data.app, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        import lrbench

        typer.echo(f"lrbench {lrbench.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """The options that stand before a command."""


def main() -> None:
    """Run the command line; say what is wrong in one place, and leave with the code that fits."""
    received.clear()
    if sys.stdout is None:  # `lrbench … >&-`: nobody is told, and no file gets the number of standard output
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (until the end)

    def interrupt(number, frame):
        received.append(number)
        if len(received) > 1:  # tidying up is not waited for a second time; what was committed is on the disk
            shown = b"\x1b[?25h" if os.isatty(2) else b""  # a live view hides the cursor
            os.write(2, shown + b"interrupted again: left at once\n")
            os._exit(130)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        code = app(prog_name="lrbench", standalone_mode=False)
        sys.stdout.flush()
    except typer.Abort:  # an older typer's word for Ctrl-C
        sys.exit(130)
    except SystemExit as done:  # a pipe that nobody reads any more
        sys.exit(130 if received else done.code)
    except InputError as error:
        _leave(2, *error.problems)
    except (RunError, StoreError) as error:
        _leave(1, str(error))
    except ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # `lrbench data` alone: its help
            error.show()
            sys.exit(2)
        _leave(2, problem(error))
    except OSError as error:
        why = "" if error.filename else _why_stdout_fails()
        if not why:
            raise
        _leave(130 if received else 1, *([] if error.errno == EPIPE else [f"standard output cannot be written: {why}"]))
    sys.exit(130 if received else code or 0)


def _why_stdout_fails() -> str:
    """Return why nothing can be written to standard output any more, and give it up; "" where it can."""
    try:
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), b"\n")  # a long text is not kept for another try
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries once more as it leaves
        return error.strerror or str(error)
    return ""


def _leave(code: int, *problems: str) -> None:
    for text in problems:
        print(f"error: {text}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
