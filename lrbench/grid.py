"""Levels and their products: what "0-9" means, how levels stand in a row, how a grid is crossed.

What this does *not* do: know whether a level is allowed (`lrbench.factors`).
"""

import itertools
import json
import re
from collections.abc import Iterable
from typing import Any

from lrbench.calls import format_call
from lrbench.levels import Problems, Warmup
from lrbench.workloads import workload_label

# More is a slip ("0-9999999999"), and is told as one before it fills the memory. 100,000 trials are known to be fast.
MAX_TRIALS = 1_000_000
_RANGE = re.compile(r"\d{1,19}(-\d{1,19})?(,\d{1,19}(-\d{1,19})?)*")


def varies(value: Any) -> bool:
    """Tell whether a level varies its factor: a list, or a range such as "0-9" and "0-4,7"."""
    return isinstance(value, list) or (isinstance(value, str) and bool(_RANGE.fullmatch(value.replace(" ", ""))))


def levels_of(value: Any) -> list:
    """Return a list as it is, and "0-9" or "0-4,7" as whole numbers. Raises Problems for anything else.

    >>> levels_of("0-2,7")
    [0, 1, 2, 7]
    """
    if not varies(value):
        raise Problems([((), f'found {value!r}; allowed: a list of levels, or a range of whole numbers such as "0-9"')])
    if isinstance(value, list):
        return value
    ends = [part.partition("-") for part in value.replace(" ", "").split(",")]
    ranges = [range(int(first), int(last or first) + 1) for first, _, last in ends]
    if backwards := [part for part in ranges if not part]:
        meant = f"{backwards[0].stop - 1}-{backwards[0].start}"
        raise Problems([((), f'found {value!r}, which runs backwards; did you mean "{meant}"?')])
    count = sum(part.stop - part.start for part in ranges)
    if count > MAX_TRIALS:
        raise Problems([((), f"found {value!r}, which is {count:,} levels; a study has at most {MAX_TRIALS:,} trials")])
    return [level for part in ranges for level in part]


def product(grid: dict[str, list], names: Iterable[str]) -> list[dict]:
    """Return every point of the named factors' levels, the last factor changing fastest.

    >>> product({"seed": [0, 1], "epochs": [5]}, ["seed", "epochs"])
    [{'seed': 0, 'epochs': 5}, {'seed': 1, 'epochs': 5}]
    """
    names = list(names)
    return [dict(zip(names, levels, strict=True)) for levels in itertools.product(*(grid[name] for name in names))]


def as_in_row(factor: str, level: Any) -> Any:
    """Return a checked level as it stands in a row's column: calls and tables as text; "off" stays (a row has null).

    >>> as_in_row("scheduler", {"name": "StepLR", "step_size": 3, "interval": "step"})
    'StepLR(step_size=3)'
    """
    if factor in ("scheduler", "optimizer"):
        return format_call({key: value for key, value in level.items() if key != "interval"})
    if factor == "workload":
        return workload_label(level)
    if isinstance(level, dict):  # a warm-up
        return json.dumps(Warmup.model_validate(level).model_dump(mode="json", exclude_none=True), sort_keys=True)
    return level
