"""The [until] table of a study file: seeds are added in declared looks until the questions are settled. No torch here.

What this does *not* do: decide whether they are (`analysis`), or add the seeds (`lrbench.stages`).
"""

import re
from collections.abc import Container, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict

from lrbench.errors import did_you_mean
from lrbench.questions import Problem

SPENDING = ("obrien_fleming", "pocock")
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Until(BaseModel):
    """When a study ends: after which numbers of seeds it is looked at, and how the error is spent over the looks.

    After `time_limit_seconds` of run time no further look begins; 0 is no limit.
    """

    model_config = ConfigDict(frozen=True)
    looks: list[int]
    spending: str = "obrien_fleming"
    time_limit_seconds: float = 0.0


def parse_until(
    document: dict, grid: dict[str, list], wrong: Container[str], asks: bool, problem: Problem
) -> Until | None:
    """Return a study's [until], each mistake told to `problem`; `asks` says whether there is something to settle."""
    table = document.get("until")
    if table is None:
        return None
    if not isinstance(table, dict):
        problem("until", f"found {table!r}; allowed: a table, [until]")
        return None
    known = ("looks", "spending", "time_limit")
    for key in table:
        if key not in known:
            problem(f"until.{key}", f"is unknown; allowed: {', '.join(known)}.{did_you_mean(key, known)}")
    if not asks:
        problem("until", "has nothing to settle: vary scheduler under [grid], or add a question with [[compare]]")
    spending = table.get("spending", SPENDING[0])
    if spending not in SPENDING:
        hint = did_you_mean(str(spending), SPENDING)
        problem("until.spending", f"found {spending!r}; allowed: {', '.join(SPENDING)}.{hint}")
    seconds = _seconds(table.get("time_limit"), problem)
    looks = _looks(table.get("looks"), grid.get("seed", []), "seed" in wrong, problem)
    return Until(looks=looks, spending=str(spending), time_limit_seconds=seconds)


def _looks(looks: Any, seeds: list, unknown: bool, problem: Problem) -> list[int]:
    example = "as in looks = [5, 10, 20]"
    if looks is None:
        problem("until.looks", f"is missing: write the numbers of seeds to look at, {example}")
        return []
    whole = isinstance(looks, list) and all(isinstance(n, int) and not isinstance(n, bool) for n in looks)
    if not whole or not looks or min(looks) < 2:
        problem("until.looks", f"found {looks!r}; allowed: whole numbers of seeds from 2 on, {example}")
        return []
    if any(later <= earlier for earlier, later in pairwise(looks)):
        problem("until.looks", f"found {looks!r}; each look needs more seeds than the one before: {example}")
    elif not unknown and looks[-1] != len(seeds):
        problem(
            "until.looks",
            f"ends at {looks[-1]} seeds, but the grid has {len(seeds)}; write under [grid] as many as the last look "
            f'has, seed = "0-{looks[-1] - 1}"',
        )
    return looks


def _seconds(text: Any, problem: Problem) -> float:
    if text is None:
        return 0.0
    found = _TIME.fullmatch(text.strip()) if isinstance(text, str) else None
    if not found or float(found[1]) == 0:
        problem("until.time_limit", f'found {text!r}; allowed: a time above 0 such as "90s", "45m", "2h" or "1d"')
        return 0.0
    return float(found[1]) * _SECONDS[found[2]]


def run_seconds(spans: Sequence[tuple[str | None, float | None]]) -> float:
    """Return how long a study has run: the time in which at least one of its trials did.

    `spans` are the rows' (started_at, total_seconds). It follows from the rows alone, however often a run was cut off
    and however many trials ran at once. A trial that died before it could say when it began counts by itself.

    >>> run_seconds([("2026-01-01T00:00:00+00:00", 60.0), ("2026-01-01T00:00:30+00:00", 60.0), (None, 5.0)])
    95.0
    """
    known = sorted((datetime.fromisoformat(at).timestamp(), s) for at, s in spans if at is not None and s is not None)
    total = sum(seconds for at, seconds in spans if at is None and seconds is not None)
    end = float("-inf")
    for begin, seconds in known:
        total += max(0.0, begin + seconds - max(begin, end))
        end = max(end, begin + seconds)
    return total


# -------------------------------------------------------------------------------------------------------- changed late


def looks_differ(first: dict | None, now: dict | None) -> bool:
    """Tell whether two [until] tables spend the error otherwise; when no further look begins is not part of that."""
    return _spent(first) != _spent(now)


def looks_caveat(record: dict) -> str:
    """Return what study.json says of looks that were changed when rows were there already; "" where none were.

    >>> looks_caveat({"first_until": None, "study": {"until": {"looks": [2, 6], "spending": "pocock"}}})
    'The looks were changed after the data were seen (none, now 2, 6 by pocock): the error rate no longer holds.'
    """
    if "first_until" not in record:
        return ""
    first, now = _spent(record["first_until"]), _spent(record["study"]["until"])
    return f"The looks were changed after the data were seen ({first}, now {now}): the error rate no longer holds."


def _spent(until: dict | None) -> str:
    return f"{', '.join(map(str, until['looks']))} by {until['spending']}" if until else "none"
