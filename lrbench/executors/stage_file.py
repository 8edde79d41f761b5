"""How far a trial is, in a small file: its process writes there, and the runner looks when it wants to know.

A message for each stage would wake the runner up ten times in a trial of a third of a second, beside the trials.
"""

import contextlib
import os
from pathlib import Path

_WIDTH = 32  # longer than any line, so that each covers the one before it


def stage_file(log: str | Path) -> Path:
    """Return where the trial that prints into `log` says how far it is."""
    return Path(log).with_suffix(".stage")


class StageFile:
    """The trial's end of it."""

    def __init__(self, path: Path):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)

    def write(self, stage: str, share: float) -> None:
        """Say the stage and the share of the training that is done."""
        with contextlib.suppress(OSError):  # a full disk: the trial itself writes nothing there
            os.pwrite(self._file, f"{stage} {share:.4f}".ljust(_WIDTH).encode(), 0)


def look(path: Path) -> tuple[str, float] | None:
    """Return the stage and the share that were written last; None where nothing was."""
    try:
        stage, share = path.read_text(encoding="ascii").split()
    except (FileNotFoundError, ValueError):  # not begun, or an empty file of a full disk
        return None
    return stage, float(share)
