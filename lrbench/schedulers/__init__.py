"""Schedulers that torch lacks, and composition that is right: torch LRScheduler classes for any training loop.

`shapes` has a class for each decay in `lrbench.schedules`, `composition` puts schedulers after each other, upon each
other and beside each other, `warmup` puts a warm-up around any of them. Of lrbench they need `schedules` alone. What
this does *not* do: read a study, or replace torch's own schedulers, which may stand in every composition.
"""

from lrbench.schedulers.composition import Factory, PerGroupLR, ProductLR, SequenceLR
from lrbench.schedulers.shapes import (
    REXLR,
    CosineDecayLR,
    InverseSqrtLR,
    LinearDecayLR,
    TanhDecayLR,
    WarmupStableDecayLR,
)
from lrbench.schedulers.warmup import WarmupLR

__all__ = [
    "REXLR",
    "CosineDecayLR",
    "Factory",
    "InverseSqrtLR",
    "LinearDecayLR",
    "PerGroupLR",
    "ProductLR",
    "SequenceLR",
    "TanhDecayLR",
    "WarmupLR",
    "WarmupStableDecayLR",
]
