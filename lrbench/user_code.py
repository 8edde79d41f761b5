"""Which files hold the code that a study names as "module:attr", and what is in them now. Nothing is imported here.

A trial's name says what was asked, not what the user's code did: `digests` tells rows of old code from rows of new.
What this does *not* do: follow what those files import in turn, or load anything (`lrbench.trial.workload` does).
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from lrbench.calls import is_reference
from lrbench.factors import Trial
from lrbench.references import source_file

_NOT_MODULES = ("torchvision", "imagefolder")  # in a workload's table they stand before a colon, too
_CALLABLES = ("model", "data", "loss", "groups", "lr_lambda", "scale_fn")


def digests(trials: Iterable[Trial]) -> dict[str, dict[str, str]]:
    """Return {module: {"file": path, "sha256": of its bytes}} of each module of the user's that the trials name.

    A module that is not there is left out: the check before the first trial tells of it.
    """
    named = {id(table): table for trial in trials for table in (trial.workload, trial.scheduler)}
    modules = sorted({reference.partition(":")[0] for table in named.values() for reference in _references(table)})
    files = {module: source_file(module) for module in modules if module.partition(".")[0] != "lrbench"}
    return {
        module: {"file": str(path), "sha256": sha256(path.read_bytes()).hexdigest()}
        for module, path in files.items()
        if path is not None
    }


def changed(known: dict[str, list[str]], now: dict[str, dict[str, str]]) -> list[str]:
    """Return the files among `now` of which other contents are known: {module: [sha256, …]}."""
    return [code["file"] for module, code in now.items() if code["sha256"] not in known.get(module, [code["sha256"]])]


def _references(table: Any) -> Iterator[str]:
    """The names of the user's code in a workload or a scheduler: a name itself, and what stands where code may."""
    if isinstance(table, str):
        if is_reference(table) and table.partition(":")[0] not in _NOT_MODULES:
            yield table
        return
    yield from _references(table.get("name", ""))
    for key in _CALLABLES:
        values = table.get(key, [])
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, str):
                yield from _references(value)
    for child in table.get("schedulers", []):
        yield from _references(child)
