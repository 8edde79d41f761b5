"""The columns in which two folders differ: what each holds, and what follows for a comparison of them.

What this does *not* do: match trials (`analysis.folders` does), or refuse anything.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.page.wording import count, level
from analysis.rows.conditions import FACTORS
from lrbench.record import BY_NAME

# why a column in which the folders differ matters
_SPEED = "speed may differ by it"
_BITS = "speed and bits may differ by it"
_CODE = "the code may differ"
_WHERE = {
    "hostname": "another machine, or another name of it",
    "os": _SPEED,
    "cpu_model": _BITS,
    "num_cores": _SPEED,
    "gpu_name": _BITS,
    "driver_version": _BITS,
    "python_version": _SPEED,
    "torch_version": _BITS,
    "torchvision_version": _BITS,
    "numpy_version": "images and their order may differ by it",
    "cuda_version": _BITS,
    "cudnn_version": _BITS,
    "lrbench_version": _CODE,
    "git_commit": _CODE,
    "git_dirty": "code that no commit holds may have run",
    "environment": _BITS,
    "executor": _SPEED,
    "cores": "speed may differ by it, where the machine is one",
}
_PACKED = "trials that shared their device are in no comparison of speed"
_INERT = "the cuDNN flags do something in one of them alone"
_SCHEMA = "a column that one lacks is null there, and not compared"
_NOTE = {"packed": _PACKED, "cudnn_flags_inert": _INERT, "schema_version": _SCHEMA}
MAY_BE_APART = tuple(name for name in FACTORS if name != "workload")
_OF_A_GPU = ("gpu_name", "driver_version", "cuda_version", "cudnn_version")  # null on a machine without one
_MOST_LEVELS = 4
_HASH = 40  # a text as long as this, and hexadecimal, is shortened


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A column in which the folders differ: what each holds, and what follows."""

    column: str
    a: str
    b: str
    follows: str


def differences(a: pd.DataFrame, b: pd.DataFrame) -> list[Difference]:
    """Return every column in which the folders differ: what was asked, then where it ran, then how it went."""
    found = []
    for name in (*FACTORS, "seed", "replicate", "data_sha256", "num_parameters", *_NOTE, *_WHERE):
        ours, theirs = (seen(rows, name) for rows in (a, b))
        one_is_older = bool(seen(a, "schema_version") != seen(b, "schema_version"))
        if one_is_older and not (ours and theirs) and name not in _OF_A_GPU:
            continue  # an older row has no such column: not known is not another
        if ours != theirs:
            found.append(
                Difference(
                    column=name, a=texts_of(ours, name), b=texts_of(theirs, name), follows=_follows(name, ours, theirs)
                )
            )
    return found


def seen(rows: pd.DataFrame, name: str) -> list:
    """Return a column's values, ascending; null is a level of what was asked, and no value of what was seen."""
    values = levels_of(rows, name)
    asked = BY_NAME[name].group == "asked"
    return values if asked else [value for value in values if value is not None]


def _follows(name: str, ours: list, theirs: list) -> str:
    if name == "data_sha256":
        return "accuracy and bits are not compared"
    if name == "num_parameters":
        return "another model: nothing is compared"
    if name in _NOTE or name in _WHERE:
        return (_NOTE | _WHERE)[name]
    if name in MAY_BE_APART and len(ours) == len(theirs) == 1:
        return "held at another level: what is compared is its effect"
    if set(ours) & set(theirs):
        return "only what both have is compared"
    return "no level is in both: nothing matches"


def texts_of(values: list, name: str = "") -> str:
    """Return values as they stand in a cell: seeds in a row as a range, long digests shortened, many levels counted.

    >>> texts_of([0, 1, 2, 3, 7], "seed"), texts_of(["a" * 64]), texts_of([]), texts_of([True])
    ('0-3,7', 'aaaaaaaaaa…', '–', 'True')
    """
    if not values:
        return "–"
    if name in ("seed", "replicate") and all(float(value).is_integer() for value in values):
        numbers = np.array(sorted(int(value) for value in values))
        runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
        return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    texts = [_text(value) for value in values]
    shown = ", ".join(texts[:_MOST_LEVELS])
    return shown if len(texts) <= _MOST_LEVELS else f"{count(len(texts), 'level')}: {shown}, …"


def _text(value) -> str:
    value = value.item() if hasattr(value, "item") else value
    value = int(value) if isinstance(value, float) and value.is_integer() else value
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else level(value)
    is_hash = len(text) >= _HASH and not set(text) - set("0123456789abcdef")
    return f"{text[:10]}…" if is_hash else text


def levels_of(rows: pd.DataFrame, name: str) -> list:
    """Return a column's values, ascending, None for null at the end."""
    values = [None if pd.isna(value) else value for value in rows[name].astype(object).unique()]
    return sorted(values, key=lambda value: (value is None, isinstance(value, str), value if value is not None else 0))
