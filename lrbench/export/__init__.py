"""`lrbench export DIR --to csv|tensorboard|mlflow`: a study's rows for other tools, in a folder that they read.

What this does *not* do: run a server, ask the network, or change the study. What it wrote it may write anew; what
somebody else wrote, or has changed since, it never touches.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import TypeVar

from lrbench.errors import InputError, StoreError, did_you_mean
from lrbench.export import owned
from lrbench.store import is_large, read_study_record, require_study

Say = Callable[[str], None]
Item = TypeVar("Item")
# what each needs beyond lrbench itself: the extra of that name installs it
NEEDS = {"csv": (), "tensorboard": ("tensorboard",), "mlflow": ("mlflow", "sqlalchemy", "alembic")}
QUIET_SECONDS = 2.0  # what is over within these needs no progress
EVERY_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written: where, how many trials, what is not in it, and what to type next."""

    folder: Path
    num_trials: int
    num_files: int
    notes: tuple[str, ...]
    to_type: str


def export_command(folder: Path, to: str, out: Path | None = None) -> int:
    """Write the export, say where it lies and what to type next; return the exit code."""

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    made = export(folder, to, out, say=say)
    trials = f"{made.num_trials:,} trial{'' if made.num_trials == 1 else 's'}"
    print(f"{trials} → {made.folder} ({made.num_files:,} file{'' if made.num_files == 1 else 's'})")
    for note in made.notes:
        print(note)
    print(f"next: {made.to_type}")
    return 0


def export(folder: str | Path, to: str, out: str | Path | None = None, *, say: Say = lambda line: None) -> Exported:
    """Write the rows of a results folder for another tool, to `out` or DIR/export/TO, whole or not at all.

    `say` gets a line each second once two have passed, and one before the rows of a large folder are read. Raises
    InputError where DIR holds no study, `to` is unknown, its package is missing, or `out` holds what this did not
    write; and StoreError where the disk cannot take it.
    """
    folder = require_study(folder)
    if to not in NEEDS:
        raise InputError(f"--to found {to!r}; allowed: {', '.join(NEEDS)}.{did_you_mean(to, NEEDS)}")
    missing = [name for name in NEEDS[to] if not installed(name)]
    if missing:
        raise InputError(f'--to {to} needs {" and ".join(missing)}, not installed here: pip install "lrbench[{to}]"')
    record = read_study_record(folder)
    out = Path(folder / "export" / to if out is None else out).resolve()
    before = owned.check(out, to)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
            made = _written(folder, record, to, Path(scratch), out, say)
            num_files = owned.publish(Path(scratch), out, to, before, record["study"]["name"])
    except OSError as error:
        if isinstance(error, PermissionError | NotADirectoryError | FileExistsError):
            raise InputError(f"{out} cannot be written: {error.strerror}. Name another folder: --out DIR") from None
        raise StoreError(f"{out} cannot be written: {error.strerror or error}") from error
    num_trials, notes = made
    return Exported(
        folder=out, num_trials=num_trials, num_files=num_files, notes=tuple(notes), to_type=_to_type(to, out)
    )


def installed(name: str) -> bool:
    """Return whether a package is installed; a mere folder of that name, as an earlier export may be, is none."""
    spec = find_spec(name)
    return spec is not None and spec.origin is not None


def _to_type(to: str, out: Path) -> str:
    """What looks at an export, with the path as it is seen from here."""
    seen = out.relative_to(Path.cwd()) if out.is_relative_to(Path.cwd()) else out
    if to == "csv":
        return f"pandas.read_csv({str(seen / 'trials.csv')!r})"
    if to == "tensorboard":
        return f"tensorboard --logdir {quote(str(seen))}"
    return f"mlflow ui --backend-store-uri {quote(f'sqlite:///{seen}/mlflow.db')}"


def _written(folder: Path, record: dict, to: str, scratch: Path, out: Path, say: Say) -> tuple[int, list[str]]:
    """Write the files; return how many trials they hold, and notes."""
    if to == "csv":
        from lrbench.export.csv_files import write
    elif to == "tensorboard":
        from lrbench.export.event_files import write
    else:
        from lrbench.export.mlflow_runs import write
    if is_large(folder):
        say(f"reading the rows of {folder}")
    return write(folder, record, scratch, out, say)


def told(
    items: Iterable[Item], total: int, say: Say, what: str = "trials", clock: Callable[[], float] = time.monotonic
) -> Iterator[Item]:
    """Yield the items, and say how far it is once two seconds have passed, then each second.

    >>> times = iter([0.0, 0.5, 2.5, 3.0])
    >>> list(told("abc", 3, print, clock=lambda: next(times)))
    1 of 3 trials written, 5 s left
    ['a', 'b', 'c']
    """
    began = last = clock()
    for done, item in enumerate(items):
        now = clock()
        if done and now - began >= QUIET_SECONDS and now - last >= EVERY_SECONDS:
            left = (now - began) / done * (total - done)
            say(f"{done:,} of {total:,} {what} written, {left:.0f} s left")
            last = now
        yield item
