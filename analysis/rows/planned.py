"""Which rows belong to the study as it stands now? A folder keeps the rows of trials that the study no longer has.

Tables, answers and looks are about the study's own trials (`analysis.rows.staged` leaves the others out), and what was
left out is said in one sentence. What this does *not* do: delete a row, or leave one out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
from pydantic import ValidationError

from analysis.page.wording import count, level, listed
from analysis.rows.conditions import FACTORS
from lrbench.errors import InputError
from lrbench.factors import SEEDS
from lrbench.grid import product
from lrbench.stages import possible, reached, selection_of
from lrbench.study import Study, condition

_MOST_LEVELS = 3


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How many trials the study has, how many of them have a row, and what is said of rows of other trials.

    Rows that a later stage may need, of a rate that may yet be chosen, are neither.
    """

    num_trials: int
    num_done: int
    strays: str = ""

    @property
    def num_missing(self) -> int:
        return max(0, self.num_trials - self.num_done)


def progress(rows: pd.DataFrame, record: dict) -> Progress:
    """Return how far a study is; `record` is its study.json."""
    num_done = int((~strays(rows, record)).sum())
    said = about_strays(rows, useless(rows, record), record) if num_done < len(rows) else ""
    return Progress(num_trials=record["num_trials"], num_done=num_done, strays=said)


def useless(rows: pd.DataFrame, record: dict) -> pd.Series:
    """Return for each row whether the study has no use for it: no trial of it, nor one that a later stage may need."""
    others = strays(rows, record)
    if others.any() and record["study"].get("tune"):
        study = Study(**record["study"])
        later = {name for device in _devices(rows) for name in reached(study, device, rows).later()}
        others &= ~rows["trial_id"].isin(later)
    return others


def strays(rows: pd.DataFrame, record: dict) -> pd.Series:
    """Return for each row whether the study no longer has its trial.

    A study that leaves the device to the machine has its trials on every device that rows ran on; one that tunes or
    looks has those of every stage, the seeds of looks that are not yet taken among them. Where this
    installation cannot read the study (its scheduler is of a newer torch, or study.json of an older form) no row counts
    as a stray.
    """
    nothing = pd.Series(False, index=rows.index)
    try:
        study = Study(**record["study"])
        own = (_in_stages if study.tune else _in_grid)(study, rows)
    except (InputError, ValidationError, KeyError, TypeError):
        return nothing
    return nothing if rows.empty else ~own


def _in_stages(study: Study, rows: pd.DataFrame) -> pd.Series:
    known = {trial.trial_id for device in _devices(rows) for trial in possible(study, device, rows)}
    return rows["trial_id"].isin(known)


def _in_grid(study: Study, rows: pd.DataFrame) -> pd.Series:
    """Tell of a study without [tune], which has every trial of its grid at the last look.

    What a trial is follows from its condition, seeds and replicate. To name it takes a hash each, which is slow where
    there are very many.
    """
    points = product(study.grid, [name for name in study.grid if name not in SEEDS])
    conditions = {
        condition({**study.fixed, **point}, device).condition_id for device in _devices(rows) for point in points
    }
    own_streams = {name: study.fixed[name] for name in SEEDS if name in study.fixed}
    seeds = set()
    for point in product(study.grid, [name for name in study.grid if name in SEEDS]):
        streams = {**own_streams, **point}
        seeds.add(tuple(streams.get(name, streams.get("seed", 0)) for name in SEEDS))
    columns = [rows[name].fillna(rows["seed"]) for name in SEEDS]  # rows older than a stream lack it: it follows seed
    at_seeds = pd.Series([key in seeds for key in zip(*columns, strict=True)], index=rows.index, dtype=bool)
    return at_seeds & rows["condition_id"].isin(conditions) & rows["replicate"].between(0, study.replicates - 1)


def _devices(rows: pd.DataFrame) -> list[str]:
    return [*rows["device"].dropna().astype(str).unique()]


def about_strays(rows: pd.DataFrame, others: pd.Series, record: dict) -> str:
    """Say how many rows are of trials that the study does not have, and of which; "" where none. `others` is a mask.

    >>> about_strays(pd.DataFrame({"seed": [0]}), pd.Series([False]), {})
    ''
    """
    if not others.any():
        return ""
    gone, one = rows[others], int(others.sum()) == 1
    what = "1 row is of a trial" if one else f"{len(gone):,} rows are of trials"
    where = (
        f"{'it is' if one else 'they are'} in nothing that is said here, and {'stays' if one else 'stay'} in the folder"
    )
    which = "; ".join(_foreign(gone, rows[~others], record)) or "its levels, combined otherwise"
    return (
        f"{what} that the study no longer has ({which}): {where}, where lrbench.load shows {'it' if one else 'them'}."
    )


def _foreign(gone: pd.DataFrame, own: pd.DataFrame, record: dict) -> list[str]:
    """Say in which levels these rows are not the study's: "epochs = 2", factor by factor."""
    study = Study(**record["study"])
    said = []
    names = [name for name in study.grid if name not in SEEDS]
    points = [condition({**study.fixed, **point}, "auto") for point in product(study.grid, names)]
    points += selection_of(study, "auto").blocks[0] if study.tune else []
    labels = [trial.labels() for trial in points]
    for name in FACTORS:
        known = {"auto"} if name == "device" else {level(label[name]) for label in labels if name in label}
        known |= {level(value) for value in own[name].astype(object).unique()} | ({"off"} if "off" in known else set())
        there = [value for value in gone[name].astype(object).map(level).unique() if value not in known]
        said += [f"{name} = {_some(there)}"] if there and known else []
    levels = {name: {*study.grid.get(name, [study.fixed.get(name, 0)])} for name in ("seed",)}
    levels["seed"] |= {*(study.tune.seeds if study.tune else ())}
    levels["replicate"] = {*range(study.replicates)}
    for name, known in levels.items():
        there = sorted({*gone[name].dropna().astype(int)} - known - {*own[name].dropna().astype(int)})
        said += [f"{name} = {_some(there)}"] if there else []
    return said


def _some(levels: Iterable) -> str:
    shown = [str(each) for each in levels]
    more = len(shown) - _MOST_LEVELS
    return listed([*shown[:_MOST_LEVELS], *([count(more, "other")] if more > 0 else [])])
