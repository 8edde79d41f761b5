"""What varies in the rows, which rows belong together, and which must not be pooled. Pure functions on a DataFrame.

What this does *not* do: compare anything; it only sorts rows into conditions, blocks and places.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from analysis.answers import Answer
from analysis.page.wording import after_colon, level, listed
from lrbench.record import COLUMNS

SEEDS = ("seed", "seed_init", "seed_order", "seed_augmentation", "seed_dropout")
# each with the level that is torch's default and so the natural reference
MACHINE_FACTORS = {
    "cudnn_benchmark": False,
    "cudnn_deterministic": False,
    "deterministic_algorithms": "off",
    "cudnn_fp32_precision": "tf32",
    "matmul_fp32_precision": "ieee",
    "precision": "fp32",
    "channels_last": False,
    "compile": "off",
    "num_threads": 1,
    "device": "cpu",
}
CUDNN_FLAGS = ("cudnn_benchmark", "cudnn_deterministic")
SCHEDULE = ("scheduler", "scheduler_interval")
_DERIVED = {"optimizer_name", "scheduler_name", "scheduler_monitor", "replicate", *SEEDS}
FACTORS = tuple(c.name for c in COLUMNS if c.group == "asked" and c.name not in _DERIVED)
# what may follow from another factor: a workload brings its recipe, a scheduler its interval
_FOLLOWERS = ("epochs", "batch_size", "base_lr", "optimizer", "scheduler_interval")
_CALL = re.compile(r"(?P<name>[^(]*)\((?P<inside>.*)\)(?P<after>[^)]*)")
_PLACE = (
    "hostname",
    "os",
    "cpu_model",
    "num_cores",
    "gpu_name",
    "driver_version",
    "python_version",
    "torch_version",
    "torchvision_version",
    "numpy_version",
    "lrbench_version",
    "cuda_version",
    "cudnn_version",
)


def completed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of trials that came to their end."""
    came = rows["status"] == "completed"
    return rows if came.all() else rows[came]  # as it is mostly: nothing is copied


def varied(rows: pd.DataFrame, names=FACTORS) -> list[str]:
    """Return those of the named factors that have more than one level in the rows, null (off) being a level.

    A factor that merely follows another (the batch size that a workload's recipe brings) is left out.
    """
    found = [name for name in names if rows[name].nunique(dropna=False) > 1]
    leaders = [name for name in ("workload", "scheduler") if name in found]
    return [name for name in found if not (name in _FOLLOWERS and any(_follows(rows, name, by) for by in leaders))]


def _follows(rows: pd.DataFrame, name: str, by: str) -> bool:
    return bool((rows.groupby(by, observed=True, dropna=False)[name].nunique(dropna=False) <= 1).all())


def group_ids(rows: pd.DataFrame, names) -> pd.Series:
    """Return for each row the number of its group: rows that agree in every named column, null being a value."""
    names = [name for name in names if not _is_constant(rows[name])]  # to look is far cheaper than to group
    if not names:
        return pd.Series(0, index=rows.index)
    return rows.groupby(names, observed=True, dropna=False, sort=False).ngroup()


def _is_constant(column: pd.Series) -> bool:
    """Return whether all of a column is one value; False where that is not seen at a glance."""
    if not len(column):
        return True
    first = column.iloc[0]
    return bool(column.isna().all() if pd.isna(first) else column.notna().all() and (column == first).all())


def levels(rows: pd.DataFrame, name: str) -> list:
    """Return a factor's levels, the reference first, then ascending; the baseline ConstantLR leads the schedulers."""
    found = [None if pd.isna(value) else value for value in rows[name].astype(object).unique()]
    references = [MACHINE_FACTORS[name]] if name in MACHINE_FACTORS else []

    def place(value):
        first = value in references or (name == "scheduler" and is_baseline(value))
        return (not first, value is None, value if isinstance(value, (int, float)) else 0, str(value))

    return sorted(found, key=place)


def paired(
    rows: pd.DataFrame, factor: str, here, there, columns: list[str], block=(*SEEDS, "replicate")
) -> pd.DataFrame:
    """Pair the rows at two levels of a factor that agree in every other factor, the seeds and the replicate.

    The named columns of both rows are there, those of the row at the second level as `…_reference`, with the factors
    and seeds; `block` numbers the blocks that the pairs lie in. Pass factor="replicate" to pair replicates of one trial
    (then give `block=SEEDS`).
    """
    agree = [name for name in (*FACTORS, *SEEDS, "replicate") if name != factor]
    # a merge copies every column: only what tells the pairs apart, and what was asked for
    kept = rows[[*dict.fromkeys([*agree, factor, *columns])]]
    keyed = kept.assign(pair=group_ids(rows, agree), block=group_ids(rows, block))
    first, second = (keyed[keyed[factor] == value].drop_duplicates("pair") for value in (here, there))
    return first.merge(second[["pair", *columns]], on="pair", suffixes=("", "_reference"))


def is_baseline(scheduler: str) -> bool:
    """Return whether a scheduler is the baseline, `ConstantLR` at factor 1: the rate never changes."""
    return scheduler.startswith("ConstantLR(") and "factor=1.0" in scheduler.replace("factor=1)", "factor=1.0)")


def short_names(calls) -> dict[str, str]:
    """Return a short name for each call: its class where that tells them apart, else with the arguments that differ.

    >>> list(short_names(["StepLR(step_size=3)", "StepLR(step_size=5)", "ExponentialLR(gamma=0.9)"]).values())
    ['StepLR(step_size=3)', 'StepLR(step_size=5)', 'ExponentialLR']
    >>> list(short_names(["StepLR(step_size=1, gamma=0.1)", "StepLR(step_size=1, gamma=0.5)"]).values())
    ['StepLR(gamma=0.1, …)', 'StepLR(gamma=0.5, …)']
    """
    families: dict[str, list[str]] = {}
    for call in dict.fromkeys(str(call) for call in calls):
        families.setdefault(call.partition("(")[0], []).append(call)
    names: dict[str, str] = {}
    for name, family in families.items():
        names |= {family[0]: name} if len(family) == 1 else _by_differing_arguments(family)
    return {call: names[call] for family in families.values() for call in family}


def _by_differing_arguments(calls: list[str]) -> dict[str, str]:
    """Shorten calls of one class to the arguments in which they differ; the whole calls where that is not enough."""
    parts = [_CALL.fullmatch(call) for call in calls]
    if not all(parts):
        return dict(zip(calls, calls, strict=True))
    arguments = [[item.strip() for item in _arguments(part["inside"])] for part in parts]
    shared = set.intersection(*map(set, arguments))
    names = []
    for part, items in zip(parts, arguments, strict=True):
        kept = [item for item in items if item not in shared]
        inside = ", ".join([*kept, "…"] if len(kept) < len(items) else kept)
        names.append(f"{part['name']}({inside}){part['after']}" if kept else part[0])
    return dict(zip(calls, names if len(set(names)) == len(names) else calls, strict=True))


def _arguments(inside: str) -> list[str]:
    """Split what stands between a call's brackets at its commas, but not inside brackets of its own."""
    items, depth = [""], 0
    for character in inside:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            items.append("")
        else:
            items[-1] += character
    return items


def describe(values: dict) -> str:
    """Return levels as text: "cudnn_benchmark=True, precision=fp32".

    >>> describe({"cudnn_benchmark": True, "clip_grad_norm": None})
    'cudnn_benchmark=True, clip_grad_norm=off'
    """
    return ", ".join(f"{name}={level(value)}" for name, value in values.items())


# ------------------------------------------------------------------------------------------------------------- places


@dataclass(frozen=True, kw_only=True)
class Place:
    """Rows that may be pooled: one machine with one set of versions. `label` names only what differs."""

    label: str
    rows: pd.DataFrame


def place_columns(rows: pd.DataFrame) -> list[str]:
    """Return the columns of machine and versions in which the rows differ, and so must not be pooled.

    A GPU's columns are null in rows that ran on the CPU of the same machine: where `device` is a factor, they follow
    it and do not count. A trial that crashed before it could look has nulls too, and is no other place.
    """
    found = []
    for name in _PLACE:
        if rows[name].nunique() > 1:
            found.append(name)
    return found


def places(rows: pd.DataFrame) -> list[Place]:
    """Return the rows by machine and versions, the place with the most rows first."""
    names = place_columns(rows)
    if not names:
        return [Place(label="", rows=rows)]
    parts = []
    for key, part in rows.groupby(names, observed=True, dropna=False, sort=False):
        label = ", ".join(f"{name} {level(value)}" for name, value in zip(names, key, strict=True))
        parts.append(Place(label=label, rows=part))
    return sorted(parts, key=lambda part: (-len(part.rows), part.label))


def by_place(rows: pd.DataFrame, one_place: Callable[[pd.DataFrame], Answer]) -> Answer:
    """Return the answer for rows that may come from several places: each analysed by itself, never pooled.

    The figure is that of the place with the most rows.
    """
    parts = places(rows)
    if len(parts) == 1:
        return one_place(rows)
    answers = [one_place(part.rows) for part in parts]
    tables = [a.table.assign(place=part.label) for a, part in zip(answers, parts, strict=True) if len(a.table)]
    warning = (
        f"The rows come from {len(parts)} places that differ in {listed(place_columns(rows))}: "
        "they are not pooled, and each is analysed by itself."
    )
    said = [f"On {part.label}: {after_colon(s)}" for part, a in zip(parts, answers, strict=True) for s in a.sentences]
    return Answer(
        title=answers[0].title,
        sentences=(warning, *said),
        table=pd.concat(tables, ignore_index=True) if tables else answers[0].table,
        figure=answers[0].figure,
        headline=(warning, *(f"On {parts[0].label}: {after_colon(s)}" for s in answers[0].leading)),
        notes=(f"The figure shows {parts[0].label}.", *dict.fromkeys(note for a in answers for note in a.notes)),
        verdict=answers[0].verdict if len({a.verdict for a in answers}) == 1 else "differs between places",
        caveats=tuple(dict.fromkeys(caveat for a in answers for caveat in a.caveats)),
        advice=tuple(f"On {parts[0].label}: {after_colon(line)}" for line in answers[0].advice),
    )
