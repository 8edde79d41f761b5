"""Where two trials part: the step (`steps`), then the operator (`traces`), from runs of both (`sides`).

    from lrbench.diverge import compare_traces, diverge

What an import names is loaded when it is first used; nothing here loads torch.
"""

from importlib import import_module

_HOMES = {
    "diverge": "lrbench.diverge.command",
    "compare_traces": "lrbench.diverge.traces",
    "first_mismatch": "lrbench.diverge.steps",
}
__all__ = ["compare_traces", "diverge", "first_mismatch"]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lrbench.diverge' has no attribute {name!r}")
