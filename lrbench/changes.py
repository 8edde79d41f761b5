"""How a study differs from the one that its folder held, in words. Nothing here decides whether that is allowed."""

import json
from typing import Any

from lrbench.calls import format_call
from lrbench.workloads import workload_label


def differences(before: dict, now: dict) -> list[str]:
    """Return how two studies, as study.json holds them, differ in the trials that they make: one phrase a factor.

    >>> study = {"replicates": 2, "fixed": {"epochs": 5}, "grid": {"seed": [0, 1, 2, 5]}}
    >>> differences(study, {"replicates": 1, "fixed": {"epochs": 5, "seed": 0}, "grid": {}})
    ['seed was 0-2,5, is 0', 'replicates was 2, is 1']
    """
    found = []
    levels = [{**{k: [v] for k, v in s.get("fixed", {}).items()}, **s.get("grid", {})} for s in (before, now)]
    for factor in dict.fromkeys([*levels[0], *levels[1]]):
        old, new = ([_level(level) for level in side.get(factor, [])] for side in levels)
        if sorted(old) == sorted(new):
            continue
        gone, came = ([x for x in one if x not in other] for one, other in ((old, new), (new, old)))
        if not (old and new):
            found.append(f"{factor} was {_range(old) or 'not given'}, is {_range(new) or 'not given'}")
        elif len(" ".join(old + new)) <= 80 or not set(old) & set(new):
            found.append(f"{factor} was {_range(old):.200}, is {_range(new):.200}")
        else:
            parts = [f"{word} {_range(some):.200}" for word, some in (("lost", gone), ("has got", came)) if some]
            found.append(f"{factor} {' and '.join(parts)}")
    if before.get("replicates", now["replicates"]) != now["replicates"]:
        found.append(f"replicates was {before['replicates']}, is {now['replicates']}")
    return [*found, *_of_questions(before, now), *_of_tables(before, now)]


def _of_questions(before: dict, now: dict) -> list[str]:
    """Say how the questions changed: what was asked only after rows were seen is no question stated beforehand."""
    old, new = ([_ordered(compare) for compare in study.get("compare", [])] for study in (before, now))
    gone, came = ([x for x in one if x not in other] for one, other in ((old, new), (new, old)))
    if len(gone) == len(came):
        return [f"[[compare]] {_keys(was, after)}" for was, after in zip(gone, came, strict=True)]
    words = [f"{word} {', '.join(map(_question, some))}" for word, some in (("lost", gone), ("has got", came)) if some]
    return [f"[[compare]] {' and '.join(words)}"]


def _question(compare: dict) -> str:
    return f"{compare['metric']} by {compare['factor']}"


def _of_tables(before: dict, now: dict) -> list[str]:
    found = []
    for name, defaults in (("tune", {"arms": []}), ("until", {})):
        old, new = before.get(name), now.get(name)
        if old is None and new is None:
            continue
        if old is None or new is None:
            found.append(
                f"[{name}] was {'not given' if old is None else 'there'}, is {'there' if new else 'not given'}"
            )
        elif words := _keys({**old, **defaults}, {**new, **defaults}):
            found.append(f"[{name}] {words}")
    return found


def _keys(old: dict, new: dict) -> str:
    """Say in which keys two tables differ: "looks was 5, 10, is 5, 20"."""
    differ = [key for key in dict.fromkeys([*old, *new]) if _ordered(old.get(key)) != _ordered(new.get(key))]
    return ", ".join(f"{key} was {_shown(old.get(key)):.200}, is {_shown(new.get(key)):.200}" for key in differ)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return _range([str(item) for item in value])
    return "not given" if value is None else _level(value)


def _level(level: Any) -> str:
    if not isinstance(level, dict):
        return str(level)
    if "name" not in level:
        return workload_label(level) if "data" in level or "base" in level else json.dumps(level, sort_keys=True)
    return format_call(_ordered(level))


def _ordered(level: object) -> object:
    """Return a table with its keys in one order, nested ones too: what was read back from JSON is sorted.

    >>> _ordered({"name": "StepLR", "gamma": 0.1}) == {"gamma": 0.1, "name": "StepLR"}
    True
    """
    if isinstance(level, dict):
        return {key: _ordered(level[key]) for key in sorted(level)}
    return [_ordered(item) for item in level] if isinstance(level, list) else level


def _range(levels: list[str]) -> str:
    """Write levels as a study does: whole numbers that follow each other as "0-7", others beside each other."""
    if not all(level.isdecimal() for level in levels):
        return ", ".join(levels)
    runs: list[list[int]] = []
    for level in sorted(map(int, levels)):
        if runs and level == runs[-1][1] + 1:
            runs[-1][1] = level
        else:
            runs.append([level, level])
    return ",".join(f"{first}-{last}" if first < last else f"{first}" for first, last in runs)
