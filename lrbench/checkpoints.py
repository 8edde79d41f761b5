"""Where a trial's checkpoint lies and when it is written; what is in it: `lrbench.trial.checkpoint`. No torch here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lrbench.errors import InputError

Every = int | Literal["epoch", "off"]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where a trial's checkpoint lies, and when it is written anew: after so many optimizer steps, or each epoch."""

    path: Path
    every: int | Literal["epoch"]

    def due(self, num_steps: int, epoch_ended: bool) -> bool:
        """Tell whether it is written after this many steps of the trial.

        >>> steps, epochs = Checkpoint(path=Path("x"), every=100), Checkpoint(path=Path("x"), every="epoch")
        >>> steps.due(200, False), steps.due(250, True), epochs.due(200, False), epochs.due(250, True)
        (True, False, False, True)
        """
        return epoch_ended if self.every == "epoch" else num_steps % self.every == 0


def checkpoint_of(folder: Path, trial_id: str, every: Every) -> Checkpoint | None:
    """Return the checkpoint of a trial in a study's folder: checkpoints/TRIAL_ID.pt; None where every is "off"."""
    if every == "off":
        return None
    return Checkpoint(path=folder / "checkpoints" / f"{trial_id}.pt", every=every)


def forget(folder: Path, trial_id: str) -> None:
    """Remove a trial's checkpoint, and what a killed process left of a next one."""
    folder = folder / "checkpoints"
    for name in (f"{trial_id}.pt", f".{trial_id}.pt.tmp"):
        (folder / name).unlink(missing_ok=True)


def parse_every(value: int | str, place: str) -> Every:
    """Return when checkpoints are written: a number of optimizer steps from 1 on, "epoch" or "off".

    Raises InputError, beginning with `place`, for anything else. Digits may come as text, as from a command line.

    >>> parse_every("500", "--checkpoint-every"), parse_every("epoch", "--checkpoint-every")
    (500, 'epoch')
    """
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if value in ("epoch", "off") or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise InputError(f'{place} found {value!r}; allowed: a number of optimizer steps from 1 on, "epoch" or "off"')
