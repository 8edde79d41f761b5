"""Which operations of a model does torch document as nondeterministic? A table, and who is in it. No torch here.

What this does *not* do: run the model (`lrbench.trial.examine` lists its operators), or know more than torch's text.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Documented:
    """An operation that torch documents as nondeterministic. `device` lists the tensors for which it is; `strict` is
    what use_deterministic_algorithms(True) does with it: "fixed", "raises" or "unsaid"."""

    name: str
    device: tuple[str, ...]
    strict: str
    forward: tuple[str, ...] = ()
    backward: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    when: str = ""


@cache
def table() -> tuple[Documented, ...]:
    """Return torch's list."""
    text = (Path(__file__).parent / "nondeterministic.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["operation"]
    return tuple(Documented(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}) for row in rows)


def found(forward: Iterable[str], backward: Iterable[str], modules: Iterable[str]) -> list[Documented]:
    """Return the documented operations among the operators of a forward and of a backward, and classes of modules.

    >>> [operation.name for operation in found(["mean"], ["upsample_bilinear2d_backward"], [])]
    ['torch.nn.functional.interpolate, bilinear']
    """
    forward, backward, modules = set(forward), set(backward), set(modules)
    return [
        operation
        for operation in table()
        if forward & set(operation.forward) or backward & set(operation.backward) or modules & set(operation.modules)
    ]
