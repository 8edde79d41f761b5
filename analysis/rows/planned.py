"""Which rows belong to the study as it stands now? A folder keeps the rows of trials that the study no longer has.

What this does *not* do: leave such rows out. They are results all the same; only what is still to run is counted
without them.
"""

from dataclasses import dataclass

import pandas as pd
from pydantic import ValidationError

from analysis.rows.staged import EARLIER
from lrbench.errors import InputError
from lrbench.factors import SEEDS
from lrbench.grid import product
from lrbench.stages import SELECTION, TUNED, possible, reached
from lrbench.study import Study, condition


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How many trials the study has, how many of them have a row, and how many rows it has no use for.

    Rows that a later stage may need, of a rate that may yet be chosen, are neither. `num_earlier` of the strays chose a
    rate or were chosen before [tune] was changed.
    """

    num_trials: int
    num_done: int
    num_strays: int
    num_earlier: int = 0

    @property
    def num_missing(self) -> int:
        return max(0, self.num_trials - self.num_done)


def progress(rows: pd.DataFrame, record: dict) -> Progress:
    """Return how far a study is; `record` is its study.json."""
    others = rows[strays(rows, record)]
    num_done = len(rows) - len(others)
    if len(others) and record["study"].get("tune"):
        study = Study(**record["study"])
        later = {name for device in _devices(rows) for name in reached(study, device, rows).later()}
        others = others[~others["trial_id"].isin(later)]
    num_earlier = int(others["tuning"].isin((SELECTION, TUNED, EARLIER)).sum()) if len(others) else 0
    return Progress(num_trials=record["num_trials"], num_done=num_done, num_strays=len(others), num_earlier=num_earlier)


def strays(rows: pd.DataFrame, record: dict) -> pd.Series:
    """Return for each row whether the study no longer has its trial.

    A study that leaves the device to the machine has its trials on every device that rows ran on; one that tunes or
    looks has those of every stage, the seeds of looks that are not yet taken among them. Where this
    installation cannot read the study (its scheduler is of a newer torch, say) no row counts as a stray.
    """
    nothing = pd.Series(False, index=rows.index)
    try:
        study = Study(**record["study"])
        own = (_in_stages if study.tune else _in_grid)(study, rows)
    except (InputError, ValidationError):
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


def about_strays(progress: Progress) -> str:
    """Say how many rows are of other trials; "" where none is."""
    if not progress.num_strays:
        return ""
    one = progress.num_strays == 1
    what = "1 row is of a trial" if one else f"{progress.num_strays:,} rows are of trials"
    where, earlier = "in the tables all the same", "of an earlier choice of rates, and in no comparison"
    where = f"{'it is' if one else 'they are'} {earlier if progress.num_earlier == progress.num_strays else where}"
    if 0 < progress.num_earlier < progress.num_strays:
        where = f"{progress.num_earlier:,} are {earlier}; the others are in the tables all the same"
    return f"{what} that the study no longer has; {where}."
