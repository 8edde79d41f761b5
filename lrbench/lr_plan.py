"""Was the planned schedule the one applied, and is the plan itself sound? Judged from a trial's record. No torch here.

The plan is `lrbench.closed_forms`; what was applied is the trace of a trial. A trace that leaves its plan is compared
with the plan carried out wrongly in the ways that users report: stepped twice, stepped before the optimizer, never
stepped, not held back where the GradScaler skipped a step. What this does *not* do: run anything, mark rows, or doubt
the plan itself (`lrbench.plan_warnings` does).
"""

import math
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lrbench.closed_forms import load, parts, rates
from lrbench.errors import InputError
from lrbench.plan_warnings import departures, warnings_on

Verdict = Literal[
    "as planned",
    "stepped too often",
    "stepped too early",
    "never stepped",
    "shifted by skipped steps",
    "cut at another step",
    "another course",
]
TOLERANCE = 1e-9
FASTEST_PACE = 8  # a scheduler stepped by every process of a node moves at the pace of their number
_CUTTING = ("ReduceLROnPlateau", "StepLR", "MultiStepLR")


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What became of a plan. `first_bad_step`, `group`, `planned` and `applied` are None where no rate was wrong.

    `max_relative_error` is |applied - planned| / planned, at its largest; rates below a thousandth of the largest that
    their group's plan has are measured by that thousandth, since of a rate near 0 every digit is rounding. `bit_equal`:
    not a bit differs. `first_bad_step` is a 0-based optimizer step. `warnings` are about the plan and about steps of
    the scheduler that no rate shows; they make no verdict.
    """

    verdict: Verdict
    max_relative_error: float
    bit_equal: bool
    first_bad_step: int | None
    group: int | None
    planned: float | None
    applied: float | None
    sentence: str
    warnings: tuple[str, ...]

    @property
    def violated(self) -> bool:
        """Whether the plan was not followed."""
        return self.verdict != "as planned"


@dataclass(frozen=True, kw_only=True)
class _Hypothesis:
    """Scheduler steps taken before each optimizer step, if this is what happened; `repeats`: steps for each metric."""

    verdict: Verdict
    words: str
    positions: list[int]
    repeats: int = 1


@dataclass(frozen=True, kw_only=True)
class _Record:
    """What a trial left: see `judge`, whose arguments these are."""

    applied: list[list[float]]
    table: dict
    interval: str
    base_lrs: list[float]
    steps_per_epoch: int
    num_steps: int
    multipliers: Sequence[float]
    metrics: Sequence[float]
    scheduler_steps: list[int]
    call: Callable[[str], Callable]

    @property
    def length(self) -> int:
        return len(self.applied[0])

    @property
    def num_skipped(self) -> int:
        return self.num_steps - self.length

    @property
    def num_warmup_steps(self) -> int:
        return max((i + 1 for i, factor in enumerate(self.multipliers) if factor != 1), default=0)

    def after(self, calls: Sequence[int]) -> list[int]:
        """For each optimizer step, how many of the sorted `calls` stood before it."""
        return [bisect_right(calls, step) for step in range(self.length)]

    def planned_positions(self) -> list[int]:
        return list(range(self.length)) if self.interval == "step" else self.after(self.epoch_ends())

    def epoch_ends(self) -> list[int]:
        """The optimizer steps done at each epoch's end: fewer than it has steps where some were skipped.

        Where in the course they were skipped is not on record. If the scheduler's steps can have stood at the ends of
        epochs, one or several at each, or at their beginnings, they did.
        """
        ends = list(range(self.steps_per_epoch, self.num_steps + 1, self.steps_per_epoch))
        calls = self.scheduler_steps
        pace = max(1, round(len(calls) / max(1, len(ends))))
        at_ends, at_beginnings = calls[pace - 1 :: pace], [*calls[pace::pace], self.length]
        for found in (at_ends, [*at_ends, self.length], at_beginnings):  # the last may have been left out
            if len(found) == len(ends) and self._can_be_ends(found, ends):
                return found
        return ends

    def _can_be_ends(self, found: list[int], ends: list[int]) -> bool:
        """Whether the epochs that end nominally at `ends` can have ended at `found`, with no step lost or won."""
        skipped = [end - at for end, at in zip(ends, found, strict=True)]
        return skipped == sorted(skipped) and {0, *skipped} <= {*range(self.num_skipped + 1)}

    @property
    def metrics_by_step(self) -> bool:
        """Whether there is one metric for each scheduler step taken; else there is one for each that was planned."""
        return len(self.metrics) == len(self.scheduler_steps)

    def planned_metrics(self) -> list[float]:
        """One metric for each scheduler step that was planned: what the one that stood there was given, or before."""
        if not self.metrics_by_step:
            return list(self.metrics)
        planned = list(range(1, self.length + 1)) if self.interval == "step" else self.epoch_ends()
        pace = max(1, round(len(self.scheduler_steps) / max(1, len(planned))))
        if self.scheduler_steps[pace - 1 :: pace] == planned:
            return list(self.metrics[pace - 1 :: pace])
        found = [bisect_right(self.scheduler_steps, steps) - 1 for steps in planned]
        return [self.metrics[i] for i in found if i >= 0]

    def expected(self, positions: list[int], metrics: Sequence[float]) -> list[list[float]]:
        """The rates that would have been applied, warm-up and all, with so many scheduler steps before each step."""
        length = max(positions, default=-1) + 1
        course = rates(self.table, base_lrs=self.base_lrs, num_steps=length, metrics=metrics, call=self.call)
        return [self.warmed([of_group[position] for position in positions]) for of_group in course]

    def warmed(self, scheduled: list[float]) -> list[float]:
        warm = len(self.multipliers)
        return [rate * self.multipliers[i] if i < warm else rate for i, rate in enumerate(scheduled)]


def judge(
    applied: list[list[float]],
    table: dict,
    *,
    interval: Literal["epoch", "step"],
    base_lrs: list[float],
    steps_per_epoch: int,
    num_steps: int,
    scheduler_steps: Sequence[int],
    multipliers: Sequence[float] = (),
    metrics: Sequence[float] = (),
    call: Callable[[str], Callable] = load,
) -> Judgement:
    """Return whether the rates that were applied are those that were planned, and if not, what happened.

    `applied` has the shape (groups, optimizer steps), skipped steps left out; `num_steps` counts them in. `table` holds
    counts, no shares. `multipliers[i]` is the warm-up's factor at optimizer step i, 1 beyond. `scheduler_steps[j]` says
    how many optimizer steps had been done when scheduler step j was taken. `metrics` are what a ReduceLROnPlateau was
    given at each of these, or, if they are not as many, what it should have been given at each step planned. A skipped
    step is planned to leave a schedule of steps where it is. Raises NoClosedForm for a user's class, and InputError
    where the plan itself cannot be carried out: OneCycleLR past its end, a plateau without a metric.

    >>> plan = {"name": "StepLR", "step_size": 2, "gamma": 0.5}
    >>> seen = judge([[1.0, 0.5, 0.25]], plan, interval="epoch", base_lrs=[1.0], steps_per_epoch=1, num_steps=3,
    ...              scheduler_steps=[1, 1, 2, 2, 3, 3])
    >>> seen.verdict, seen.first_bad_step, seen.planned, seen.applied
    ('stepped too often', 1, 1.0, 0.5)
    """
    record = _Record(
        applied=applied,
        table=table,
        interval=interval,
        base_lrs=base_lrs,
        steps_per_epoch=steps_per_epoch,
        num_steps=num_steps,
        multipliers=multipliers,
        metrics=metrics,
        scheduler_steps=list(scheduler_steps),
        call=call,
    )
    planned = record.expected(record.planned_positions(), record.planned_metrics())
    tolerance = tolerance_of(table)
    errors = [_errors(*pair) for pair in zip(applied, planned, strict=True)]
    worst = max((error for of_group in errors for error in of_group), default=0.0)
    bad = [(i, g) for g, of_group in enumerate(errors) for i, error in enumerate(of_group) if error > tolerance]
    warnings = warnings_on(planned, table, record.num_warmup_steps)
    step, group = min(bad, default=(None, None))
    if not bad:
        verdict, sentence = "as planned", _agreement(record, worst, applied == planned)
        warnings += _unseen_steps(record)
    else:
        verdict, words = _diagnosis(record, planned, tolerance)
        sentence = _disagreement(record, words, (step, group), planned)
    return Judgement(
        verdict=verdict,
        max_relative_error=worst,
        bit_equal=applied == planned,
        first_bad_step=step,
        group=group,
        planned=planned[group][step] if bad else None,
        applied=applied[group][step] if bad else None,
        sentence=sentence,
        warnings=warnings,
    )


def tolerance_of(table: dict) -> float:
    """Return the relative error that a rightly stepped scheduler of torch may show: 1e-9, and more for long cosines.

    torch's CosineAnnealingLR goes from rate to rate through 1 + cos, which is 0 at T_max: what it loses there, about
    T_max² ulps, it carries up again.
    """
    longest = max((part["T_max"] for part in parts(table) if part["name"] == "CosineAnnealingLR"), default=0)
    return max(TOLERANCE, 4 * sys.float_info.epsilon * longest**2)


def _errors(applied: list[float], planned: list[float]) -> list[float]:
    """Relative errors as Judgement has them; infinite for what is no number, and where 0 alone was planned."""
    least = max(map(abs, planned), default=0.0) / 1000
    return [_error(a, p, max(abs(p), least)) for a, p in zip(applied, planned, strict=True)]


def _error(applied: float, planned: float, scale: float) -> float:
    if applied == planned:
        return 0.0
    error = abs(applied - planned) / scale if scale else math.inf
    return math.inf if math.isnan(error) else error


def _fits(applied: list[list[float]], expected: list[list[float]], tolerance: float) -> bool:
    pairs = zip(applied, expected, strict=True)
    return all(error <= tolerance for pair in pairs for error in _errors(*pair))


# ----------------------------------------------------------------------------------------------------------- diagnosis


def _diagnosis(record: _Record, planned: list[list[float]], tolerance: float) -> tuple[Verdict, str]:
    """Return what explains the trace: of several explanations the one that the scheduler's steps on record bear out."""
    on_record = record.after(record.scheduler_steps)
    found = [h for h in _hypotheses(record, on_record) if _explains(h, record, tolerance)]
    for hypothesis in found:
        if hypothesis.positions == on_record:
            return hypothesis.verdict, hypothesis.words
    if found:
        return found[0].verdict, found[0].words
    if record.table["name"] in _CUTTING and _same_levels(record, tolerance):
        return "cut at another step", "the rate was cut to levels that are planned, at other steps than planned"
    if _fits(record.applied, [record.warmed([lr] * record.length) for lr in record.base_lrs], tolerance):
        return "never stepped", "the optimizer kept its own lr throughout: does the scheduler drive this optimizer?"
    return "another course", "no way of stepping this scheduler that is known here gives these rates"


def _explains(hypothesis: _Hypothesis, record: _Record, tolerance: float) -> bool:
    repeats = 1 if record.metrics_by_step else hypothesis.repeats
    metrics = [metric for metric in record.metrics for _ in range(repeats)]
    try:
        expected = record.expected(hypothesis.positions, metrics)
    except InputError:  # torch would have stopped: OneCycleLR past its end, a plateau without a metric
        return False
    return _fits(record.applied, expected, tolerance)


def _hypotheses(record: _Record, on_record: list[int]) -> Iterator[_Hypothesis]:
    plan = record.planned_positions()
    taken = len(record.scheduler_steps)
    if not (taken and record.table["name"] == "ReduceLROnPlateau"):  # one that was stepped can be late to cut
        words = "the rate stayed at its first value throughout"
        if taken:
            words += f", though the scheduler was stepped {taken} times: does it drive this optimizer?"
        yield _Hypothesis(verdict="never stepped", words=words, positions=[0] * record.length)
    if record.num_skipped and record.interval == "step":
        words = f"the scheduler moved on at {_times(record.num_skipped, 'step')} that the GradScaler skipped"
        if taken >= record.num_steps - 1:
            yield _Hypothesis(verdict="shifted by skipped steps", words=words, positions=on_record)
        late = [position + record.num_skipped for position in plan]
        yield _Hypothesis(verdict="shifted by skipped steps", words=words, positions=late)
    if record.interval == "epoch":
        words = "the scheduler moved at every optimizer step, where once an epoch was planned"
        yield _Hypothesis(verdict="stepped too often", words=words, positions=list(range(record.length)))
    for pace in range(2, FASTEST_PACE + 1):
        words = f"the scheduler moved at {pace} times its pace"
        fast = [pace * position for position in plan]
        yield _Hypothesis(verdict="stepped too often", words=words, positions=fast, repeats=pace)
    words = "the scheduler moved before the optimizer did, so that the first rate was never applied"
    yield _Hypothesis(verdict="stepped too early", words=words, positions=[position + 1 for position in plan])
    if record.interval == "step":
        words = "the scheduler moved once an epoch, where once an optimizer step was planned"
        yield _Hypothesis(verdict="another course", words=words, positions=record.after(record.epoch_ends()))
    if on_record != plan:
        yield _as_recorded(on_record, plan)


def _as_recorded(on_record: list[int], plan: list[int]) -> _Hypothesis:
    """The scheduler's steps on record, whatever they are, in one word."""
    ahead = [position - planned for position, planned in zip(on_record, plan, strict=True)]
    last = f"{_times(on_record[-1], 'time')} before the last optimizer step, where {plan[-1]} was planned"
    if ahead[-1] > max(1, ahead[0]):
        return _Hypothesis(verdict="stepped too often", words=f"the scheduler was stepped {last}", positions=on_record)
    if min(ahead) >= 0:
        words = f"the scheduler was up to {_times(max(ahead), 'step')} ahead of its plan"
        return _Hypothesis(verdict="stepped too early", words=words, positions=on_record)
    return _Hypothesis(verdict="another course", words=f"the scheduler was stepped {last}", positions=on_record)


def _same_levels(record: _Record, tolerance: float) -> bool:
    """Whether each group goes down the stairs of the plan, one or several at a time, wherever the stairs stand."""
    for group, applied in enumerate(record.applied):
        levels = _levels(record.table, record.base_lrs, group)
        level = next(levels)
        for seen, factor in zip(applied, record.warmed([1.0] * record.length), strict=True):
            while abs(seen - level * factor) > tolerance * abs(level * factor):
                level = next(levels, None)
                if level is None:
                    return False
    return True


def _levels(table: dict, base_lrs: list[float], group: int) -> Iterator[float]:
    """Yield the rates of one group after 0, 1, 2, … cuts."""
    if table["name"] == "ReduceLROnPlateau":  # without patience or rest, and never good: a cut at every step
        table = {**table, "patience": 0, "cooldown": 0}
    else:
        table = {"name": "ExponentialLR", "gamma": table.get("gamma", 0.1)}
    most = 1100  # halved so often, any rate is 0
    yield from rates(table, base_lrs=base_lrs, num_steps=most, metrics=[math.nan] * most)[group]


# --------------------------------------------------------------------------------------------------------------- words


def _times(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _agreement(record: _Record, worst: float, bit_equal: bool) -> str:
    how = "bit for bit" if bit_equal else f"within {worst:.1e} relative"
    over = f"{_times(record.length, 'optimizer step')}, {_times(len(record.applied), 'parameter group')}"
    return f"{record.table['name']} was applied as planned, {how} ({over})"


def _disagreement(record: _Record, words: str, bad: tuple[int, int], planned: list[list[float]]) -> str:
    step, group = bad
    where = f"optimizer step {step}" + (f", parameter group {group}" if len(planned) > 1 else "")
    rates_there = f"{record.applied[group][step]:.6g} was applied where {planned[group][step]:.6g} was planned"
    known = "".join(f"; {fault}" for fault in departures(record.table))
    return f"{record.table['name']}: {words}. First at {where}: {rates_there}{known}"


def _unseen_steps(record: _Record) -> tuple[str, ...]:
    """A word where the scheduler was stepped otherwise than planned, and no rate shows it."""
    if not record.length or record.after(record.scheduler_steps) == record.planned_positions():
        return ()
    taken, wanted = len(record.scheduler_steps), record.planned_positions()[-1]
    steps = f"{taken} in all, {wanted} planned before the last optimizer step"
    return (f"the scheduler was stepped otherwise than planned, and no rate shows it: {steps}",)
