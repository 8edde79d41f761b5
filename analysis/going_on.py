"""Which seeds are missing to a number of seeds, and the command that runs them in the study's own folder.

What this does *not* do: say how many are needed (`analysis.statistics.power` does), or find the command
(`lrbench.typed` does, where the report is asked for).
"""

import itertools
from collections.abc import Sequence

import pandas as pd

from analysis.page.wording import count
from analysis.rows.conditions import SEEDS

MOST_SEEDS = 500  # more seeds than that are not worth a line of advice


def more_seeds(
    rows: pd.DataFrame, seeds: Sequence[int], needed: int, per_block: bool, record: dict | None = None
) -> tuple[str, ...]:
    """Return how many seeds are missing to so many seeds (or blocks: a seed's replicates are one each), and the words.

    ("42 more seeds (2,352 trials)", ": lrbench run quickstart --set seed=0-49"); nothing where none is missing. The
    second is "" where streams of seeds vary apart.
    """
    replicates = max(1, int(rows["replicate"].nunique())) if per_block else 1
    in_all = -(-needed // replicates)
    missing = in_all - len(seeds)
    if missing <= 0:
        return ()
    in_each = len(rows[rows["seed"].isin(seeds)]) / max(1, len(seeds))  # of all settings: the command runs them all
    words = f"{count(missing, 'more seed')} ({count(round(in_each * missing), 'trial')})"
    if not seeds or any((rows[name] != rows["seed"]).any() for name in SEEDS[1:]):
        return words, ""
    taken = {
        *((record or {}).get("study", {}).get("tune") or {}).get("seeds", ())
    }  # what chose a rate is compared never
    free = (seed for seed in itertools.count(seeds[-1] + 1) if seed not in taken)
    return words, f": {command(rows, record)} --set seed={_ranges([*seeds, *itertools.islice(free, missing)])}"


def _ranges(seeds: Sequence[int]) -> str:
    """Return whole numbers as --set takes them.

    >>> _ranges([0, 1, 2, 7])
    '0-2,7'
    """
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)


def command(rows: pd.DataFrame, record: dict | None = None) -> str:
    """Return the command that runs the study again in its folder, its seeds left out.

    `record` is the study.json with what `lrbench.typed.again` found under "again"; without that the study goes by its
    name, where the rows have one. Trials of another device than the machine would choose by itself need it said.
    """
    record = record or {}
    names = rows["study"].dropna().unique()
    again = record.get("again") or f"lrbench run {names[0] if len(names) == 1 else 'STUDY'}"
    study = record.get("study", {})
    asked = {**study.get("fixed", {}), **study.get("grid", {})}.get("device", "auto")
    devices, gpus = rows["device"].dropna().unique(), [gpu for at in record.get("places", ()) for gpu in at["gpus"]]
    chosen = str(devices[0]) if study and asked == "auto" and len(devices) == 1 else "auto"
    return again if chosen in ("auto", "cuda" if gpus else "cpu") else f"{again} --device {chosen}"
