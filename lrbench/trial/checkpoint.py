"""A trial's whole state between two optimizer steps: written while it trains, read by the process that goes on.

Saved are the model, the optimizer, the scheduler, the GradScaler, every random stream that training may draw from, the
position in the data, and what the row is made of so far. The order of the images, the crops and the flips of an epoch
are drawn anew from seeds of their own (`lrbench.seeds`), so their position is two numbers. The warm-up is a function of
the step. What this does *not* do: decide when (`lrbench.trial.loop`), or keep what a user's module hides outside its
parameters and buffers.
"""

import os
import random
from dataclasses import dataclass, field, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy
import torch
from torch import Tensor

from lrbench.factors import Trial

FORMAT = 2


@dataclass(kw_only=True)
class Course:
    """How far a trial has come, and what its row is made of so far. `step` is the next one of `epoch`, both from 0."""

    applied_lr: list[list[float]]
    epoch: int = 0
    step: int = 0
    num_steps: int = 0
    multipliers: list[float] = field(default_factory=list)  # of the warm-up, one for each rate applied under it
    scheduler_steps: list[int] = field(default_factory=list)  # how many rates had been applied at each scheduler step
    metrics: list[float] = field(default_factory=list)  # that the scheduler was told, where it wants to know
    train_loss_steps: list[float] = field(default_factory=list)
    train_loss_curve: list[float] = field(default_factory=list)
    val_loss_curve: list[float] = field(default_factory=list)
    val_accuracy_curve: list[float] = field(default_factory=list)
    train_seconds_curve: list[float] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)  # of this epoch; on the device until the epoch's end
    digests: dict[str, list] = field(default_factory=dict)  # at steps, by column
    order_sha256: str = ""  # of every epoch's order so far
    python_rng_used: bool = False
    numpy_rng_used: bool = False
    evaluation_rng_used: bool = False
    evaluate_seconds: float = 0.0
    peak_mib: float = 0.0
    num_resumes: int = 0
    resumed_at_step: int | None = None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What has a state of its own. Each is a torch object with state_dict and load_state_dict; scaler may be None."""

    model: Any
    optimizer: Any
    scheduler: Any
    scaler: Any
    clock: Any
    device: torch.device


def write(path: Path, trial: Trial, parts: Parts, course: Course) -> None:
    """Put the state in the place of the last one: whole on the disk before its name is, or not there at all."""
    state = {
        "format": FORMAT,
        "trial_id": trial.trial_id,
        "torch_version": torch.__version__,
        "model": parts.model.state_dict(),
        "optimizer": parts.optimizer.state_dict(),
        "scheduler": parts.scheduler.state_dict(),
        "scaler": {} if parts.scaler is None else parts.scaler.state_dict(),
        "clock": parts.clock.state_dict(),
        "rng": _random_states(parts.device),
        "course": {**vars(course), "losses": [loss.cpu() for loss in course.losses]},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def restore(path: Path, trial: Trial, parts: Parts) -> Course | None:
    """Put every part into the state that was saved, and return how far it had come; None where nothing was saved.

    Raises RuntimeError for a file that is of another trial or torch version, or that lacks something: to begin anew in
    silence would call an interrupted trial a whole one.
    """
    if not path.exists():
        return None
    how = f"Delete it to begin this trial anew: {path}"
    told = {"format": FORMAT, "trial_id": trial.trial_id, "torch_version": torch.__version__}
    try:
        # our own file, and a user's scheduler or optimizer may hold any object
        state = torch.load(path, map_location="cpu", weights_only=False)
        differs = [f"{key} is {state[key]!r}, not {value!r}" for key, value in told.items() if state[key] != value]
        if not differs:
            course = _restore(state, parts)
    except (RuntimeError, ValueError, LookupError, TypeError, EOFError, OSError, UnpicklingError) as error:
        raise RuntimeError(f"the checkpoint is damaged ({type(error).__name__}: {error}). {how}") from error
    if differs:
        raise RuntimeError(f"the checkpoint cannot be gone on from: {'; '.join(differs)}. {how}")
    course.num_resumes += 1
    course.resumed_at_step = course.num_steps
    return course


def _restore(state: dict, parts: Parts) -> Course:
    parts.model.load_state_dict(state["model"])
    parts.optimizer.load_state_dict(state["optimizer"])
    parts.scheduler.load_state_dict(state["scheduler"])
    if parts.scaler is not None:
        parts.scaler.load_state_dict(state["scaler"])
    parts.clock.load_state_dict(state["clock"])
    if missing := {part.name for part in fields(Course)} ^ state["course"].keys():
        raise KeyError(*sorted(missing))
    course = Course(**state["course"])
    course.losses = [loss.to(parts.device) for loss in course.losses]
    _restore_random_states(state["rng"], parts.device)
    return course


def _random_states(device: torch.device) -> dict:
    """Every stream that training code may draw from: torch's on the CPU and the device, Python's, NumPy's."""
    states = {"torch": torch.get_rng_state(), "python": random.getstate(), "numpy": numpy.random.get_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _restore_random_states(states: dict, device: torch.device) -> None:
    torch.set_rng_state(states["torch"])
    random.setstate(states["python"])
    numpy.random.set_state(states["numpy"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
