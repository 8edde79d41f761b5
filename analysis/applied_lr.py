"""What learning rate was applied? The rate at every optimizer step of every schedule, as the trials recorded it.

An open-loop schedule must give the same rates whatever the seed and the flags: traces are compared by their digest.
ReduceLROnPlateau watches a metric, so its traces may differ. Trials that chose a base_lr are not among the schedules.
Each trial has held its own rates to the formula: `analysis.rows.lr_plans` counts what it found, of all trials.
"""

import math
import re
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import figures
from analysis.answers import Answer
from analysis.figures.colours import colours_of
from analysis.figures.multiples import small_multiples
from analysis.page.wording import count, known, level, listed, number
from analysis.rows.arms import comparable
from analysis.rows.conditions import SEEDS, completed, group_ids, levels, short_names, varied
from analysis.rows.lr_plans import plan_sentences

TITLE = "What learning rate was applied?"
_DECIDES = ("workload", "epochs", "batch_size", "base_lr", "optimizer", "scheduler", "scheduler_interval", "warmup")
_MOST_PANELS = 12
_MOST_LINES = 8
_MOST_POINTS = 400
_LEAST_FOR_BAND = 5
_USERS = re.compile(r"\b[A-Za-z_]\w*:[A-Za-z_]")  # module:attr, the user's own code


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """One schedule as it was applied. `traces` are the distinct courses, most frequent first, each (groups, steps);
    `amounts` says how many trials took each."""

    scheduler: str
    factors: dict
    base_lr: float
    num_trials: int
    traces: tuple[np.ndarray, ...]
    amounts: tuple[int, ...]
    num_split_trials: int
    num_repeated_trials: int

    @property
    def open_loop(self) -> bool:
        return "ReduceLROnPlateau" not in self.scheduler

    @property
    def groups(self) -> list[tuple[str, list[np.ndarray]]]:
        """Every course of each parameter group; one called "all" where the groups have the same rates."""
        if all(bool((trace == trace[0]).all()) for trace in self.traces):
            return [("all", [trace[0] for trace in self.traces])]
        return [(str(index), [trace[index] for trace in self.traces]) for index in range(len(self.traces[0]))]

    def means(self, courses: list[np.ndarray]) -> tuple[float, float, float]:
        """The mean rate over base_lr: averaged over trials, of the lowest course, of the highest."""
        if self.base_lr <= 0:
            return math.nan, math.nan, math.nan
        means = np.array([float(rates.mean()) / self.base_lr for rates in courses])
        return float(np.average(means, weights=self.amounts)), float(means.min()), float(means.max())


def answer(rows: pd.DataFrame) -> Answer:
    """Return the applied rate of every schedule, and whether it was the same in all of the schedule's trials."""
    every, rows = rows, comparable(rows)
    found, notes = schedules(rows), []
    usable = completed(rows)
    skipped = int((usable["num_optimizer_steps"] < usable["num_steps"]).sum())
    if skipped:
        notes.append(f"In {count(skipped, 'trial')} the GradScaler skipped steps; a skipped step applies no rate.")
    if any(len(s.traces) > 1 for s in found):
        notes.append(
            "Where a schedule took several courses, first to last give the lowest and the highest rate of all courses, "
            "and mean / base_lr is the mean over its trials."
        )
    return Answer(
        title=TITLE,
        sentences=(*_sentences(found, rows), *plan_sentences(every)),
        table=_table(found),
        figure=lambda: _figure(found),
        notes=tuple(notes),
    )


def schedules(rows: pd.DataFrame) -> list[Schedule]:
    """Return the schedules of completed trials, the baseline first."""
    usable = completed(rows)
    if "applied_lr" not in usable:
        return []
    usable = usable[usable["applied_lr"].notna()]
    if usable.empty:
        return []
    names = [name for name in varied(usable, _DECIDES) if name != "scheduler"]
    order = {name: levels(usable, name) for name in ("scheduler", *names)}
    found = [_schedule(names, part) for _, part in usable.groupby(group_ids(usable, _DECIDES), sort=False)]

    def place(schedule: Schedule):
        values = {"scheduler": schedule.scheduler, **schedule.factors}
        return [order[name].index(value) for name, value in values.items()]

    return sorted(found, key=place)


def _schedule(names: list[str], rows: pd.DataFrame) -> Schedule:
    traces: dict[bytes, list] = {}
    digests = []
    for recorded in rows["applied_lr"]:
        trace = np.array([np.asarray(group, dtype=float) for group in recorded], ndmin=2)
        digest = trace.tobytes()
        traces.setdefault(digest, [0, trace])[0] += 1
        digests.append(hash(digest))
    kinds = pd.Series(digests, index=rows.index).groupby(group_ids(rows, ("condition_id", *SEEDS)))
    ranked = sorted(traces.values(), key=lambda item: -item[0])
    return Schedule(
        scheduler=str(rows["scheduler"].iloc[0]),
        factors={name: None if pd.isna(rows[name].iloc[0]) else rows[name].iloc[0] for name in names},
        base_lr=float(rows["base_lr"].iloc[0]),
        num_trials=len(rows),
        traces=tuple(trace for _, trace in ranked),
        amounts=tuple(amount for amount, _ in ranked),
        num_split_trials=int((kinds.nunique() > 1).sum()),
        num_repeated_trials=int((kinds.size() > 1).sum()),
    )


def _label(schedule: Schedule, names: dict[str, str]) -> str:
    factors = [f"{name}={level(value)}" for name, value in schedule.factors.items()]
    return ", ".join([names[schedule.scheduler], *factors])


def _sentences(found: list[Schedule], rows: pd.DataFrame) -> list[str]:
    if not found:
        return ["No completed trial recorded the rates it applied, so nothing can be said about them."]
    names = short_names(schedule.scheduler for schedule in found)
    fixed = [s for s in found if s.open_loop]
    broken = [s for s in fixed if len(s.traces) > 1]
    sentences = [
        f"{_label(s, names)} applied {len(s.traces)} different sequences of rates in {count(s.num_trials, 'trial')}: "
        + (
            "its own code, or something else, gave other rates for the same steps."
            if _USERS.search(s.scheduler)
            else "something other than the schedule moved the rate."
        )
        for s in broken
    ]
    held = [s for s in fixed if len(s.traces) == 1]
    if held:
        trials = sum(s.num_trials for s in held)
        held_text = "The open-loop schedule" if len(held) == 1 else f"Each of {len(held):,} open-loop schedules"
        always = f"the same sequence of rates in all of its trials, bit for bit ({trials:,} in all)"
        sentences.append(
            f"{held_text} applied {always if trials > len(held) else 'one sequence of rates in its one trial'}."
        )
    for s in found:
        if not s.open_loop:
            sentences.append(_plateau_sentence(s, names))
    sentences += [
        f"{listed(labels)} applied the same rates at every step: one schedule." for labels in _same(held, names)
    ]
    return [*sentences, *_mean_sentence([s for s in found if s.base_lr > 0], names)]


def _same(held: list[Schedule], names: dict[str, str]) -> list[list[str]]:
    """Return the labels of open-loop schedules that took one and the same course, in groups of two or more.

    Of two schedulers or more: that one takes the same course in several workloads is no finding.
    """
    groups: dict[tuple, list[Schedule]] = {}
    for s in held:
        groups.setdefault((s.traces[0].shape, s.traces[0].tobytes()), []).append(s)
    several = [group for group in groups.values() if len({s.scheduler for s in group}) > 1]
    return [[_label(s, names) for s in group] for group in several]


def _mean_sentence(found: list[Schedule], names: dict[str, str]) -> list[str]:
    """Say between what the mean rates lie; of two that read the same the open-loop schedule is named."""
    # all courses of all groups as one: each trial's mean over its steps and groups
    shares = {number(share): share for share in (_mean_share(s)[0] for s in found)}
    if len(shares) < 2:
        return []
    ends = []
    for text in (min(shares, key=shares.get), max(shares, key=shares.get)):
        tied = [s for s in found if number(_mean_share(s)[0]) == text]
        s = min(tied, key=lambda s: not s.open_loop)
        about = _label(s, names)
        if len(s.traces) > 1:
            _, low, high = _mean_share(s)
            about += f", over {len(s.traces):,} courses with {number(low)} to {number(high)}"
        ends.append(f"{text} ({about})")
    return [f"Averaged over the run and over trials, the rate is from {ends[0]} to {ends[1]} times base_lr."]


def _mean_share(s: Schedule) -> tuple[float, float, float]:
    return s.means([trace.mean(axis=0) for trace in s.traces])


def _plateau_sentence(s: Schedule, names: dict[str, str]) -> str:
    label = _label(s, names)
    if len(s.traces) == 1:
        return f"{label} took the same course in all of its {count(s.num_trials, 'trial')}, though it follows a metric."
    text = f"{label} follows a metric and took {len(s.traces)} courses in {count(s.num_trials, 'trial')}"
    if not s.num_repeated_trials:
        return f"{text}."
    if s.num_split_trials:
        return (
            f"{text}; in {s.num_split_trials:,} of {s.num_repeated_trials:,} repeated trials the repeats themselves "
            "parted: run-to-run noise became another schedule."
        )
    return f"{text}; repeats at one seed always agreed."


def _table(found: list[Schedule]) -> pd.DataFrame:
    records = []
    for s in found:
        for group, courses in s.groups:
            mean, low, high = s.means(courses)
            at = {
                f"at {q}%": _range([rates[min(len(rates) - 1, round(q / 100 * len(rates)))] for rates in courses])
                for q in (25, 50, 75)
            }
            records.append(
                {
                    "scheduler": s.scheduler,
                    **{name: level(value) for name, value in s.factors.items()},
                    "group": group,
                    "num_trials": s.num_trials,
                    "num_courses": len(s.traces),
                    "first": _range([rates[0] for rates in courses]),
                    **at,
                    "last": _range([rates[-1] for rates in courses]),
                    "mean_over_base_lr": mean,
                    "mean_range": _range([low, high]),
                }
            )
    table = pd.DataFrame(records)
    return table if any(len(s.traces) > 1 for s in found) else table.drop(columns="mean_range", errors="ignore")


def _range(values) -> float | str:
    """One value, or the text "lowest–highest" where courses differ."""
    low, high = float(min(values)), float(max(values))
    return low if low == high or not known(low) else f"{number(low)}–{number(high)}"


def _figure(found: list[Schedule]):
    if not found:
        return figures.message("No completed trial recorded the rates it applied")
    names = short_names(s.scheduler for s in found)
    shown = found[:_MOST_PANELS]
    relative = len({s.base_lr for s in shown}) > 1 and all(s.base_lr > 0 for s in shown)
    lengths = {s.traces[0].shape[1] for s in shown}
    own = colours_of(names.values())
    panels = []
    for s in shown:
        scale = s.base_lr if relative else 1.0
        num_groups = len(s.groups)
        lines = []
        for trace in s.traces[:_MOST_LINES]:
            for group in range(num_groups):
                rates = trace[group] / scale
                keep = np.unique(np.linspace(0, len(rates) - 1, min(len(rates), _MOST_POINTS)).round().astype(int))
                steps = keep if len(lengths) == 1 else 100 * keep / max(1, len(rates) - 1)
                lines.append((steps, rates[keep], group if num_groups > 1 else own[names[s.scheduler]]))
        panels.append((_label(s, names), lines, _band(s, scale, lines)))
    return small_multiples(
        panels,
        _figure_title(found, shown, names),
        "optimizer step" if len(lengths) == 1 else "% of the steps",
        "rate / base_lr" if relative else "learning rate",
    )


def _band(s: Schedule, scale: float, lines: list) -> list:
    """Where most trials' rates lie, of a schedule with several courses: between the 10% and the 90% quantile."""
    if len(s.traces) < _LEAST_FOR_BAND or len(s.groups) > 1:
        return []
    courses = np.repeat(np.array([trace[0] for trace in s.traces]), s.amounts, axis=0) / scale
    length = courses.shape[1]
    keep = np.unique(np.linspace(0, length - 1, min(length, _MOST_POINTS)).round().astype(int))
    steps, _, colour = lines[0]
    return [(steps, *np.quantile(courses[:, keep], [0.1, 0.9], axis=0), colour)]


def _figure_title(found: list[Schedule], shown: list[Schedule], names: dict[str, str]) -> str:
    split = [s for s in found if len(s.traces) > 1]
    title = "Every schedule gave one sequence of rates in all of its trials"
    if split:
        labels = listed([f"{_label(s, names)} took {len(s.traces)} courses" for s in split[:2]])
        title = f"{labels}; {'every other schedule one' if len(split) < len(found) else 'none took only one'}"
    return title if len(shown) == len(found) else f"{title} (the first {len(shown)} of {len(found)} drawn)"


if __name__ == "__main__":
    from analysis.page.command import main

    sys.exit(main("applied_lr"))
