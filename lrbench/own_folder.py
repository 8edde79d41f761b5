"""Which results folder a study has where none is named: the study as written has one, and what --set makes its own.

What this does *not* do: look at what is there, or write (`lrbench.continuing`).
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from lrbench.factors import Trial, check_level, recipe
from lrbench.study import Study

MOST_CHARACTERS = 80  # of a folder's name; longer ones are cut, and told apart by a digest
_PLAIN = re.compile(r"[\w.,+-]+", re.ASCII)  # needs no quotes in a shell


def default_folder(study: Study) -> Path:
    """Return results/NAME, or results/NAME-FACTOR=LEVEL… for a study whose levels are others than those written.

    Seeds and replicates that are only added make more of the same trials, and stay in results/NAME.

    >>> from lrbench.study import read_study
    >>> quickstart = read_study("quickstart")
    >>> str(default_folder(quickstart)), str(default_folder(quickstart.with_levels(seed="0-19", replicates=3)))
    ('results/quickstart', 'results/quickstart')
    >>> str(default_folder(quickstart.with_levels(epochs=1, seed="0-1")))
    'results/quickstart-epochs=1-seed=0-1'
    """
    changed = other_levels(study)
    name = "-".join([study.name, *(f"{factor}={_text(levels)}" for factor, levels in sorted(changed.items()))])
    if len(name) > max(MOST_CHARACTERS, len(study.name)):
        name = f"{name[: MOST_CHARACTERS - 9]}~{_digest(changed)}"
    return Path("results", name)


def other_levels(study: Study) -> dict[str, list]:
    """Return the factors that have other levels than the study as written, with those; added seeds are none."""
    if study.written is None:
        return {}
    old, new = _levels(study.written), _levels(study)
    changed = {}
    for factor in dict.fromkeys([*old, *new]):
        before = old.get(factor, _default(factor, study.written))
        now = new.get(factor, _default(factor, study))
        more = {*map(_json, before)} <= {*map(_json, now)}
        if not more or (len(before) < len(now) and factor != "seed"):
            changed[factor] = now
    if study.replicates < study.written.replicates:
        changed["replicates"] = [study.replicates]
    return changed


def _levels(study: Study) -> dict[str, list]:
    return {**{factor: [level] for factor, level in study.fixed.items()}, **study.grid}


def _default(factor: str, study: Study) -> list:
    """Return the level that a factor has where a study gives none: its recipe's, if its workloads have one alike."""
    workloads = _levels(study).get("workload", [])
    of_recipes = [check_level(factor, recipe(each)[factor]) for each in workloads if factor in recipe(each)]
    if of_recipes:
        return of_recipes[:1] if len(of_recipes) == len(workloads) and _alike(of_recipes) else []
    field = Trial.model_fields[factor]
    return [] if field.is_required() or field.default is None else [field.default]


def _alike(levels: list) -> bool:
    return len({*map(_json, levels)}) == 1


def _text(levels: list) -> str:
    if (
        len(levels) > 1
        and all(type(level) is int for level in levels)
        and levels == [*range(levels[0], levels[-1] + 1)]
    ):
        return f"{levels[0]}-{levels[-1]}"
    text = ",".join(level if isinstance(level, str) else _json(level) for level in levels)
    if _PLAIN.fullmatch(text):
        return text
    names = ",".join(level.get("name", "") if isinstance(level, dict) else "" for level in levels)
    return f"{names}~{_digest(levels)}" if _PLAIN.fullmatch(names) else f"~{_digest(levels)}"


def _digest(value: Any) -> str:
    return hashlib.sha256(_json(value).encode()).hexdigest()[:8]


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
