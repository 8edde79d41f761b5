"""An audit's folder → one arm for each condition: its speed, its bits, what differs first. Rows in, numbers out.

What this does *not* do: name faults or recommend (`analysis.audit_findings`), print or write
(`analysis.page.audit_page`).
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.statistics.intervals import Estimate, break_even_interval, mismatch_bound, paired_interval, t_interval
from lrbench.diverge.steps import Mismatch, first_mismatch
from lrbench.errors import InputError, in_one_line
from lrbench.record import BY_NAME, FLAT, PRINTED
from lrbench.store import load

# two runs are identical where all of these are; a null (of a run that diverged, say) equals a null
BITS = (
    *("weights_sha256", "optimizer_sha256", "gradients_sha256", "losses_sha256", "order_sha256"),
    *("applied_lr_sha256", "logits_sha256", "predictions_sha256"),
)
_STEPS = [name for name, column in BY_NAME.items() if column.group == "steps"]
_COLUMNS = [*FLAT, *_STEPS, "train_loss_steps", "applied_lr", "val_loss_curve"]
CONDITIONS = {  # the name of each condition, and where its rows lie
    "default": {"cudnn_benchmark": False, "cudnn_deterministic": False},
    "benchmark": {"cudnn_benchmark": True, "cudnn_deterministic": False},
    "deterministic": {"cudnn_benchmark": False, "cudnn_deterministic": True},
    "benchmark + deterministic": {"cudnn_benchmark": True, "cudnn_deterministic": True},
}
STRICT = "strict"


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """How many of n repeats of one batch gave what the first had given in the same process, over all processes.

    The first itself is not among them: it agrees with itself whatever happens.
    """

    num_identical: int
    num_repeats: int

    @property
    def all_identical(self) -> bool:
        return self.num_identical == self.num_repeats


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What was seen of one condition. A nan is what was not measured; `differs` is null where no two runs differ.

    `ratio` is its speed by the default's, pairs of trials of one random block; `search` the seconds by which
    cudnn.benchmark makes the first step longer, and `break_even` the steps after which that has paid. `num_identical`
    is how many runs gave the most frequent of its `num_results` results: 1 where no two runs agree.
    """

    name: str
    num_trials: int
    num_runs: int
    num_identical: int
    num_results: int
    error: str
    speed: Estimate
    ratio: Estimate
    forward_speed: float
    search: Estimate
    break_even: Estimate
    peak_memory_mib: float
    forward: Repeats
    backward: Repeats
    differs: Mismatch | None
    resumed: str

    @property
    def reproducible(self) -> bool:
        """Whether two runs or more were made, and all gave the same bits."""
        return self.num_runs > 1 and self.num_results == 1

    @property
    def bound(self) -> float:
        """The largest share of runs that could still give another result than these, at 95 %.

        Where p is the share of runs that give the most frequent result, n runs are all alike with a probability of at
        most p^(n-1); so after n equal runs 1 - p is at most 1 - 0.05^(1/(n-1)). 1 where they were not all equal.
        """
        return mismatch_bound(0, self.num_runs - 1) if self.reproducible else 1.0


@dataclass(frozen=True, kw_only=True)
class Audit:
    """An audit as it lies in its folder: what was asked and planned, what single processes said, the rows."""

    folder: Path
    asked: dict
    plan: dict
    examined: dict
    resumed: list[dict]
    described: dict = field(default_factory=dict)
    took_seconds: float
    flags: pd.DataFrame
    strict: pd.DataFrame
    threads: pd.DataFrame

    @property
    def rows(self) -> pd.DataFrame:
        """The rows of every part."""
        parts = [part for part in (self.flags, self.strict, self.threads) if len(part)]
        return pd.concat([part.astype(object) for part in parts], ignore_index=True) if parts else self.flags

    @property
    def num_completed(self) -> int:
        return int((self.rows["status"] == "completed").sum())

    @property
    def inert(self) -> bool:
        """Whether the cuDNN flags could change nothing: all of it ran on a CPU."""
        return not self.asked["device"].startswith("cuda")


def read_audit(folder: str | Path) -> Audit:
    """Read the folder of an audit. Raises InputError where it holds none."""
    folder = Path(folder)
    notes = folder / "audit"
    if not (notes / "asked.json").is_file() or not (folder / "study.json").is_file():
        raise InputError(f"{folder} holds no audit. Make one: lrbench audit digits-cnn --out {folder}")

    def note(name: str, default):
        path = notes / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else default

    flags = load(folder, _COLUMNS)
    none = flags.iloc[:0]
    parts = {
        p: load(folder / p, _COLUMNS) if (folder / p / "study.json").is_file() else none for p in ("strict", "threads")
    }
    return Audit(
        folder=folder,
        asked=note("asked", {}),
        plan=note("plan", {}),
        examined=note("examined", {}),
        resumed=note("resumed", []),
        described=note("described", {}),
        took_seconds=note("took", math.nan),
        flags=flags,
        **parts,
    )


# ---------------------------------------------------------------------------------------------------------------- arms


def arms(audit: Audit) -> list[Arm]:
    """Return what was seen of each condition that has a row, the default first."""
    found = []
    for name, levels in CONDITIONS.items():
        rows = _at(audit.flags, levels)
        plain = _at(audit.flags, {**levels, "cudnn_benchmark": False})
        if len(rows):
            found.append(_arm(audit, name, rows, _at(audit.flags, CONDITIONS["default"]), plain))
    rows = _at(audit.strict, {"deterministic_algorithms": "strict"})
    if len(rows):
        off = _at(audit.strict, {"deterministic_algorithms": "off"})
        found.append(_arm(audit, STRICT, rows, off, rows))
    return found


def _at(rows: pd.DataFrame, levels: dict) -> pd.DataFrame:
    for name, value in levels.items():
        rows = rows[rows[name] == value]
    return rows


def _arm(audit: Audit, name: str, rows: pd.DataFrame, default: pd.DataFrame, plain: pd.DataFrame) -> Arm:
    done = ended(rows)
    results = done.groupby(list(BITS), dropna=False, observed=True).size() if len(done) else pd.Series(dtype=int)
    search = not audit.inert and CONDITIONS.get(name, {}).get("cudnn_benchmark", False)
    extra, saved = _paired(rows, plain) if search else (np.array([]), np.array([]))
    return Arm(
        name=name,
        num_trials=len(rows),
        num_runs=len(done),
        num_identical=int(results.max()) if len(results) else 0,
        num_results=len(results),
        error=_error(rows),
        speed=speed(rows),
        ratio=_to_itself(rows) if name == "default" else ratio(rows, default),
        forward_speed=float(done["forward_samples_per_second"].astype(float).median()) if len(done) else math.nan,
        search=paired_interval(extra),
        break_even=break_even_interval(extra, saved),
        peak_memory_mib=float(done["peak_memory_mib"].astype(float).median()) if len(done) else math.nan,
        forward=_repeats(done, "forward_repeats_identical"),
        backward=_repeats(done, "backward_repeats_identical"),
        differs=first_difference(done),
        resumed=resumed(audit, rows),
    )


def ended(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of trials that trained to their end; a loss that is no longer finite is one, too."""
    return rows[rows["status"].isin(["completed", "diverged"])]


def _error(rows: pd.DataFrame) -> str:
    """What happened to the first failed trial, in a line; "" where none failed."""
    failed = rows[~rows["status"].isin(["completed", "diverged"])]
    if failed.empty:
        return ""
    text = failed["error"].iloc[0]
    return in_one_line(str(text or "").partition(PRINTED)[0]) or "no reason was left behind"


def _timed(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows[(rows["status"] == "completed") & (rows["packed"] == False) & (rows["samples_per_second"] > 0)]  # noqa: E712
    return rows.set_index("replicate")


def speed(rows: pd.DataFrame) -> Estimate:
    """How fast does it train? The geometric mean over processes of images/s in the steady state, Student's interval."""
    return t_interval(np.log(_timed(rows)["samples_per_second"].astype(float))).map(math.exp)


def ratio(rows: pd.DataFrame, reference: pd.DataFrame) -> Estimate:
    """How fast does it train by the reference? Trials of one random block are paired; Student's over blocks."""
    here, there = (np.log(_timed(part)["samples_per_second"].astype(float)) for part in (rows, reference))
    return paired_interval((here - there).dropna()).map(math.exp)


def _to_itself(rows: pd.DataFrame) -> Estimate:
    n = len(_timed(rows))
    return Estimate(value=1.0, low=1.0, high=1.0, n=n) if n else t_interval(np.array([]))


def _paired(rows: pd.DataFrame, plain: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return (blocks,), (blocks,): seconds more in the first step, and saved in each later one."""
    here, there = _timed(rows), _timed(plain)
    both = here.index.intersection(there.index)
    extra = here.loc[both, "first_step_seconds"] - there.loc[both, "first_step_seconds"]
    saved = there.loc[both, "step_seconds_median"] - here.loc[both, "step_seconds_median"]
    return extra.to_numpy(float), saved.to_numpy(float)


def _repeats(rows: pd.DataFrame, column: str) -> Repeats:
    known = rows[rows[column].notna()]
    firsts = len(known)  # a row counts the first repeat, too
    return Repeats(
        num_identical=int(known[column].sum()) - firsts, num_repeats=int(known["num_repeats"].sum()) - firsts
    )


def first_difference(rows: pd.DataFrame) -> Mismatch | None:
    """Return what differs first between the first run and the one that parts from it earliest; None: nothing does."""
    records = [_plain(record) for record in rows.to_dict("records")]
    found = [first_mismatch(records[0], other) for other in records[1:]] if records else []
    return min((m for m in found if m is not None), key=lambda m: m.step or math.inf, default=None)


def _plain(record: dict) -> dict:
    """A row with lists for arrays, at every depth, so that no number of NumPy's gets into what is written."""

    def lists(value):
        if not isinstance(value, np.ndarray):
            return value
        return [lists(item) for item in value] if value.dtype == object else value.tolist()

    return {name: lists(value) for name, value in record.items()}


def resumed(audit: Audit, rows: pd.DataFrame) -> str:
    """Return "identical", what differs ("weights, logits"), why it failed, or "" where it was not tried."""
    tried = [(run, rows[rows["trial_id"] == run["trial_id"]]) for run in audit.resumed]
    for run, whole in tried:
        if whole.empty:
            continue
        if run["status"] not in ("completed", "diverged"):
            return f"{run['status']}: {in_one_line(str(run['error'] or '').partition(PRINTED)[0])}"
        columns = [name for name in BITS if name in run]
        both = [(name, run[name], whole[name].iloc[0]) for name in columns]
        differs = [name.removesuffix("_sha256") for name, a, b in both if isinstance(a, str) and a != b]
        return ", ".join(differs) or "identical"
    return ""
