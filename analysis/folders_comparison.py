"""Two results folders compared: what was matched, and an answer each on cost, bits and accuracy.

What this does *not* do: match or compare by itself (`analysis.folders` and its siblings do), or print.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from analysis import folders_accuracy, folders_bits, folders_cost
from analysis.answers import Answer
from analysis.folders import Matched, match
from analysis.folders_accuracy import Compared
from analysis.folders_cost import Ratio

TITLE = "What differs between two results folders?"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two folders compared: what was matched, and an answer each on cost, bits and accuracy."""

    matched: Matched
    ratios: tuple[Ratio, ...]
    compared: tuple[Compared, ...]
    answers: dict[str, Answer]


def compare(a: str | Path, b: str | Path, say: Callable[[str], None] = lambda line: None) -> Comparison:
    """Return what differs between two results folders. Raises InputError where one of them holds no study.

    `say` gets a line before each step.
    """
    say("reading and matching the rows of both folders")
    matched = match(a, b)
    say("comparing cost, bits and accuracy")
    ratios, compared = folders_cost.ratios(matched), folders_accuracy.compared(matched)
    answers = {
        "cost": folders_cost.answer(matched, ratios),
        "bits": folders_bits.answer(matched, folders_bits.bits(matched)),
        "accuracy": folders_accuracy.answer(matched, compared),
    }
    return Comparison(matched=matched, ratios=tuple(ratios), compared=tuple(compared), answers=answers)
