"""What ran where? Counts by status, failures, flags that did not hold, machine, versions, time.

What stands against trusting the other answers comes first. What this does *not* do: pool or compare anything.
"""

import json
import sys

import numpy as np
import pandas as pd

from analysis import figures
from analysis.answers import Answer
from analysis.page.wording import count, level, listed, percent, seconds
from analysis.rows.conditions import completed, describe, place_columns, varied
from analysis.rows.timing import BUSY, num_busy, timed
from lrbench.record import PRINTED

TITLE = "What ran where?"
HOW = (
    "The figure shows each timed trial's speed over the median of its condition, in the order of time: a slope is "
    "drift of the machine."
)
_COUNTED = (
    "a comparison by accuracy has a verdict only where it is the same with each diverged trial counted as guessing"
)
_SHOWN = (
    "status",
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
    "git_commit",
    "git_dirty",
    "effective_device",
    "packed",
    "flags_held",
    "environment",
    "data_sha256",
)
_FLAGS = ("cudnn_benchmark", "cudnn_deterministic", "deterministic_algorithms", "cudnn_fp32_precision")
_FLAGS += ("matmul_fp32_precision", "num_threads")


def answer(rows: pd.DataFrame) -> Answer:
    """Return how the trials ended, and on which machine, with which versions, when."""
    if rows.empty:
        return Answer(
            title=TITLE,
            sentences=("No trial has a row yet.",),
            table=pd.DataFrame(columns=["what", "value", "num_trials"]),
            figure=lambda: figures.message("No trial has a row yet"),
        )
    leading = [*flag_violations(rows), *changed_parts(rows), *_mixed(rows)]
    sentences = [*leading, statuses(rows), *_machine(rows), *_span(rows), *_doubts(rows)]
    return Answer(
        title=TITLE,
        sentences=tuple(sentences),
        table=_table(rows),
        figure=lambda: _figure(rows),
        notes=(HOW,),
    )


def flag_violations(rows: pd.DataFrame) -> list[str]:
    """Return a sentence when some flag that was asked for was not in force, naming the flags and the trials."""
    broken = rows[rows["flags_held"] == False]  # noqa: E712 (null is not False)
    if broken.empty:
        return []
    names = [name for name in _FLAGS if (_texts(broken, name) != _texts(broken, f"effective_{name}")).any()]
    which = f" ({listed(names)})" if names else ""
    text = f"In {count(len(broken), 'trial')} of {len(rows):,} a flag that was asked for was not in force{which}"
    return [f"{text}: do not trust comparisons with them. First: trial {broken['trial_id'].iloc[0]}."]


def changed_parts(rows: pd.DataFrame) -> list[str]:
    """Return a sentence for each workload whose data or model was not the same in all of its trials.

    A workload's name stands for code of the user's and files on a disk: both can change between two runs, and the
    trials' names do not tell.
    """
    found = []
    for workload, part in rows.groupby("workload", observed=True, sort=False):
        data, sizes = (part[name].dropna().value_counts(sort=False) for name in ("data_sha256", "num_parameters"))
        if len(data) > 1:
            found.append(
                _changed(f"The data of {workload} were", [f"{d[:8]}… in {count(n, 'trial')}" for d, n in data.items()])
            )
        if len(sizes) > 1:
            parts = [f"{int(size):,} parameters in {count(n, 'trial')}" for size, n in sizes.items()]
            found.append(_changed(f"The model of {workload} was", parts))
    return found


def _changed(what: str, parts: list[str]) -> str:
    text = f"{what} not the same in all trials ({listed(parts)})"
    return f"{text}: do not trust comparisons across them; run the study into a new folder."


def _texts(rows: pd.DataFrame, name: str) -> pd.Series:
    return rows[name].astype(object).map(lambda value: level(float(value) if isinstance(value, int | float) else value))


def statuses(rows: pd.DataFrame) -> str:
    """Return how the trials ended, in a sentence."""
    done, failed = len(completed(rows)), rows[rows["status"] != "completed"]
    if failed.empty:
        return "The one trial completed." if done == 1 else f"All {done:,} trials completed."
    parts = [
        f"{amount:,} {kind.replace('_', ' ')}" for kind, amount in failed["status"].astype(str).value_counts().items()
    ]
    start = (
        f"{done:,} of {count(len(rows), 'trial')} completed"
        if done
        else f"None of {count(len(rows), 'trial')} completed"
    )
    counted = f", and {_COUNTED}" if (failed["status"] == "diverged").any() else ""
    if not done:
        return f"{start}: {listed(parts)}."
    return f"{start}; {listed(parts)}: means are of completed trials{counted}."


def first_error(rows: pd.DataFrame) -> str:
    """Return why the first of the trials that failed otherwise than by diverging did; "" where none has."""
    failed = rows[~rows["status"].isin(("completed", "diverged"))]
    if failed.empty:
        return ""
    first = failed.iloc[0]
    which = "The error" if len(failed) == 1 else "The first error"
    return f"{which}, of trial `{first['trial_id']}`: `{_last_line(first['error']).replace('`', chr(39))}`."


def failures(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each failed trial: which, how far it came, and the last line of its error."""
    failed = rows[rows["status"] != "completed"]
    names = [*varied(rows), "seed", "replicate"]
    records = [
        {
            "trial": row["trial_id"],
            "status": str(row["status"]).replace("_", " "),
            "stage": row["stage"] if isinstance(row["stage"], str) else "start",
            "factors": describe({name: row[name] for name in names}),
            "error": _last_line(row["error"]),
        }
        for _, row in failed.iterrows()
    ]
    return pd.DataFrame(records, columns=["trial", "status", "stage", "factors", "error"])


def _last_line(error) -> str:
    """The line that says what happened: the last of the traceback, before what the trial printed itself."""
    text = error.partition(PRINTED)[0] if isinstance(error, str) else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no message"


def _mixed(rows: pd.DataFrame) -> list[str]:
    names = place_columns(rows)
    return [f"The rows differ in {listed(names)}: they are never pooled across these."] if names else []


def _machine(rows: pd.DataFrame) -> list[str]:
    def values(name: str) -> str:
        return listed(sorted(rows[name].dropna().astype(str).unique()) or ["unknown"], "or")

    device = values("gpu_name") if rows["gpu_name"].notna().any() else values("cpu_model")
    versions = f"Python {values('python_version')}, torch {values('torch_version')}"
    if rows["cudnn_version"].notna().any():
        versions += f", cuDNN {values('cudnn_version')}"
    return [f"They ran on {device} ({values('num_cores')} cores, {values('os')}) with {versions}."]


def _span(rows: pd.DataFrame) -> list[str]:
    started = pd.to_datetime(rows["started_at"].dropna(), utc=True, format="ISO8601")
    if started.empty:
        return []
    lasted = pd.to_timedelta(rows.loc[started.index, "total_seconds"].fillna(0), unit="s")
    first, last = started.min(), (started + lasted).max()
    commits = rows["git_commit"].dropna().astype(str).unique()
    code = ""
    if len(commits):
        dirty = " with uncommitted changes" if (rows["git_dirty"] == True).any() else ""  # noqa: E712
        code = f", from commit {listed([c[:10] for c in commits])}{dirty}"
    until = last.strftime("%H:%M" if first.date() == last.date() else "%Y-%m-%d %H:%M")
    elapsed = seconds((last - first).total_seconds())
    return [f"They ran from {first.strftime('%Y-%m-%d %H:%M')} to {until} UTC ({elapsed}){code}."]


def _doubts(rows: pd.DataFrame) -> list[str]:
    """Return what may have disturbed the trials: throttling, company on the device, load, data, variables."""
    found = []
    throttled = rows[~rows["gpu_throttle_reasons"].astype(object).isin([None, np.nan, "none", "", "gpu_idle"])]
    throttled = throttled[throttled["gpu_throttle_reasons"].notna()]
    if len(throttled):
        reasons = listed(sorted(throttled["gpu_throttle_reasons"].astype(str).unique()), "or")
        found.append(f"The GPU's clocks were held back in {count(len(throttled), 'trial')} ({reasons}).")
    shared = int((rows["gpu_other_processes"] > 0).sum())
    if shared:
        found.append(f"Other processes were on the GPU in {count(shared, 'trial')}.")
    if busy := num_busy(rows):
        began = f"{count(busy, 'trial')} began with more than {BUSY} running processes on each core"
        found.append(f"{began}: others used the machine.")
    if (rows.groupby("condition_id", observed=True)["environment"].nunique() > 1).any():
        found.append("Environment variables that change speed or bits differ within a condition: see the table.")
    again = int((rows["attempt"] > 0).sum())
    if again:
        found.append(f"{count(again, 'trial')} had to be run more than once.")
    resumed = int((rows["num_resumes"] > 0).sum())
    if resumed:
        found.append(f"{count(resumed, 'trial')} went on from a checkpoint after a cut, and so have no speed.")
    return found


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    records = []
    for name in _SHOWN:
        amounts = rows[name].astype(object).value_counts(dropna=True)
        for value, amount in amounts.head(8).items():
            records.append({"what": name, "value": _value_text(name, value), "num_trials": int(amount)})
        if len(amounts) > 8:
            records.append(
                {"what": name, "value": f"{len(amounts) - 8:,} more values", "num_trials": int(amounts.iloc[8:].sum())}
            )
    return pd.DataFrame(records, columns=["what", "value", "num_trials"])


def _value_text(name: str, value) -> str:
    if name == "environment":
        return ", ".join(f"{k}={v}" for k, v in sorted(json.loads(value).items())) or "none set"
    return str(value)[:16] if name in ("git_commit", "data_sha256") else level(value)


def _figure(rows: pd.DataFrame):
    usable = timed(rows)
    usable = usable[usable["started_at"].notna()]
    if usable.empty:
        return figures.message("No trial completed alone on its device, so there is no speed to follow over time")
    speed = usable["samples_per_second"] / usable.groupby("condition_id", observed=True)[
        "samples_per_second"
    ].transform("median")
    started = pd.to_datetime(rows["started_at"], utc=True, format="ISO8601")
    since = (started - started.min()).dt.total_seconds()
    failed = rows[(rows["status"] != "completed") & started.notna()]
    spread = float(np.quantile(np.abs(speed - 1), 0.9))
    title = f"Speed over the run: nine of ten trials within {percent(spread)} of their condition's median"
    return figures.drift(since[usable.index].tolist(), speed.tolist(), since[failed.index].tolist(), title)


if __name__ == "__main__":
    from analysis.page.command import main

    sys.exit(main("provenance"))
