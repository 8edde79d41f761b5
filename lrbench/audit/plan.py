"""How much of an audit fits into its time: steps of a trial, replicates, parts left out. Pure arithmetic, no torch.

What this does *not* do: run anything (`lrbench.audit`).
"""

from dataclasses import dataclass, replace
from typing import Literal

Part = Literal["strict", "resume", "threads"]
PARTS: tuple[Part, ...] = ("strict", "resume", "threads")  # left out from the right, where time is short
STEPS = (40, 24, 12)  # training steps of a trial, tried in this order: with fewer there is hardly a steady state
MOST_REPLICATES = 10
MOST_REPLICATES_INERT = 5  # where the cuDNN flags are inert the four conditions are one: 20 runs of it
ENOUGH_REPLICATES = 5
LEAST_REPLICATES = 3
NUM_FLAG_CONDITIONS = 4
REPEATS, FEW_REPEATS = 20, 5  # of one batch in one process
NUM_QUESTIONS = 5  # asked of new processes before any trial
SLACK = 1.2  # digests are not on the clock of a step, and a machine has other work


@dataclass(frozen=True, kw_only=True)
class Pilot:
    """What one short trial took: `start_seconds` before it began (torch, data), `fixed_seconds` besides its steps."""

    start_seconds: float
    fixed_seconds: float
    step_seconds: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be run: steps and epochs of each trial, images that it is limited to (0: all), replicates, repeats of
    one batch, the parts besides the flags, and in sentences what the time did not allow."""

    num_steps: int
    epochs: int
    train_limit: int
    replicates: int
    repeats: int
    parts: tuple[Part, ...]
    cut: tuple[str, ...] = ()


def make_plan(
    pilot: Pilot,
    *,
    batch_size: int,
    num_images: int,
    cuttable: bool,
    asked_epochs: int,
    asked_steps: int,
    asked_replicates: int,
    seconds_left: float,
    jobs: int,
    inert: bool,
) -> Plan:
    """Return what fits into the seconds that are left.

    `num_images` are there to train and to validate on, 0 where they are made, as many as are wanted; a workload that is
    not `cuttable` trains on all of them. Epochs that were asked for are whole ones, too.
    """
    in_an_epoch = (num_images - max(1, num_images // 10)) // batch_size if num_images else 10**9
    whole = not cuttable or bool(asked_epochs and num_images)
    fixed = asked_steps
    if whole:
        fixed = (asked_epochs or max(1, -(-asked_steps // in_an_epoch))) * in_an_epoch
    repeats = REPEATS if 2 * REPEATS * pilot.step_seconds < seconds_left / 100 else FEW_REPEATS
    steps, replicates, parts, needed = plan_within(
        replace(pilot, fixed_seconds=pilot.fixed_seconds + 2 * repeats * pilot.step_seconds),
        seconds=seconds_left,
        jobs=jobs,
        inert=inert,
        most_steps=100 * in_an_epoch,
        num_steps=fixed,
        replicates=asked_replicates,
    )
    epochs = fixed // in_an_epoch if whole else asked_epochs or epochs_for(steps, in_an_epoch)
    in_each = in_an_epoch if whole else -(-steps // epochs)
    limit = 0 if whole else limit_for(in_each, batch_size)
    cut = []
    if left_out := [part for part in PARTS if part not in parts]:
        cut.append(f"The time being short, left out: {', '.join(left_out)}.")
    if needed > seconds_left:
        left = f"longer than the {seconds_left:.0f} s that are left of the budget"
        if seconds_left < 1:
            left = "and nothing of the budget is left after the short trial"
        cut.append(f"This is the smallest audit of this target and takes about {needed:.0f} s, {left}.")
    return Plan(
        num_steps=in_each * epochs,
        epochs=epochs,
        train_limit=limit,
        replicates=replicates,
        repeats=repeats,
        parts=parts,
        cut=tuple(cut),
    )


def plan_within(
    pilot: Pilot,
    *,
    seconds: float,
    jobs: int,
    inert: bool,
    most_steps: int,
    num_steps: int = 0,
    replicates: int = 0,
) -> tuple[int, int, tuple[Part, ...], float]:
    """Return steps, replicates, parts and the seconds that they are expected to take.

    `num_steps` and `replicates` are the user's, 0 leaving them to the time; `most_steps` is what the data has. What is
    left to the time shrinks in this order: replicates to ENOUGH_REPLICATES, steps, replicates to LEAST_REPLICATES,
    parts. The smallest audit is returned even where it takes longer.

    >>> quick, slow = (Pilot(start_seconds=3, fixed_seconds=1, step_seconds=s) for s in (0.01, 1.0))
    >>> plan_within(quick, seconds=120, jobs=2, inert=True, most_steps=1000)[:3]
    (40, 5, ('strict', 'resume', 'threads'))
    >>> plan_within(slow, seconds=120, jobs=1, inert=False, most_steps=1000)[:3]
    (12, 3, ())
    """
    most = MOST_REPLICATES_INERT if inert else MOST_REPLICATES
    steps = (num_steps,) if num_steps else tuple(dict.fromkeys(min(count, most_steps) for count in STEPS))

    def expected(count: int, repeated: int, parts: tuple[Part, ...]) -> float:
        return _seconds(pilot, count, repeated, parts, jobs, inert)

    for least in dict.fromkeys((min(ENOUGH_REPLICATES, most), LEAST_REPLICATES)):
        for count in steps:
            for repeated in [replicates] if replicates else range(most, least - 1, -1):
                if (needed := expected(count, repeated, PARTS)) <= seconds:
                    return count, repeated, PARTS, needed
    count, repeated = steps[-1], replicates or LEAST_REPLICATES
    for number in range(len(PARTS) - 1, -1, -1):
        needed = expected(count, repeated, PARTS[:number])
        if needed <= seconds:
            break
    return count, repeated, PARTS[:number], needed


def _seconds(pilot: Pilot, num_steps: int, replicates: int, parts: tuple[Part, ...], jobs: int, inert: bool) -> float:
    trial = pilot.fixed_seconds + num_steps * pilot.step_seconds
    num_trials, num_starts, alone = NUM_FLAG_CONDITIONS * replicates, 1 + NUM_QUESTIONS / 2, 0.0
    if "strict" in parts:
        num_trials, num_starts = num_trials + 2 * replicates, num_starts + 1
    if "threads" in parts:
        num_trials, num_starts = num_trials + 4, num_starts + 1
    if "resume" in parts:
        times = 1 if inert else 2
        num_starts, alone = num_starts + 2 * times, 2 * times * trial
    return SLACK * (num_starts * pilot.start_seconds + num_trials * trial / jobs + alone)


def limit_for(num_steps: int, batch_size: int) -> int:
    """Return of how many images the training part has exactly so many steps: a tenth is held out for validation.

    >>> limit_for(2, 64), 142 - 142 // 10
    (142, 128)
    """
    wanted = num_steps * batch_size
    limit = wanted + 1
    while limit - max(1, limit // 10) < wanted:
        limit += 1
    return limit


def epochs_for(num_steps: int, most_in_an_epoch: int) -> int:
    """Return in how many epochs to take so many steps: at least two where there are two steps for each, so that what an
    epoch's end does to the next is seen.

    >>> epochs_for(40, 1000), epochs_for(40, 15), epochs_for(3, 1000)
    (2, 3, 1)
    """
    return max(2 if num_steps >= 4 else 1, -(-num_steps // most_in_an_epoch))


def seconds_of(text: str) -> float:
    """Return a budget in seconds: "90", "90s", "2m", "1.5h". Raises ValueError for anything else.

    >>> seconds_of("2m"), seconds_of("90"), seconds_of("1.5h")
    (120.0, 90.0, 5400.0)
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    stripped = text.strip().lower()
    number, unit = (stripped[:-1], units[stripped[-1]]) if stripped[-1:] in units else (stripped, 1.0)
    value = float(number) * unit
    if not 0 < value < float("inf"):
        raise ValueError(f"{text!r} is no time")
    return value


def budget_said(text: str) -> str:
    """Return a budget as it was typed, with its unit.

    >>> budget_said("30"), budget_said("2m")
    ('30 s', '2m')
    """
    return text if text.strip()[-1:].isalpha() else f"{text.strip()} s"


def shape_of(text: str) -> tuple[int, int, int]:
    """Return channels, height and width of "3x32x32". Raises ValueError for anything else.

    >>> shape_of("3x32x32")
    (3, 32, 32)
    """
    channels, height, width = (int(part) for part in text.lower().split("x"))
    if min(channels, height, width) < 1 or max(channels, height, width) > 4096:
        raise ValueError(f"{text!r} is no shape of an image")
    return channels, height, width
