"""Pairs of trials that should be alike, and how far apart they are: repeats, and one weight moved by an ulp.

A pair of the second kind is a positive control: its trials differ by a known and smallest thing, so every measure of
sameness must see it, and it shows what any difference at all grows to. What this does *not* do: test for
significance; the pairs are counted, and their distances given as median and range.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.page.wording import DASH, count, known, listed, number, percent, points
from analysis.rows import sameness
from analysis.rows.conditions import describe, places
from analysis.rows.replicates import digested, machine_parts, poke_pairs, pokes, replicate_pairs
from analysis.rows.sameness import DIGESTS, Sameness
from analysis.statistics.growth import growth

MOST_SENTENCES = 4
WORDS = {
    "order": "the order of the images",
    "images": "the images as the model saw them",
    "rng": "torch's random state",
    "lr": "the learning rates",
    "loss": "the training loss",
    "gradients": "the gradients",
    "weights": "the weights",
    "optimizer": "the optimizer's state",
    "logits": "the logits",
    "predictions": "the predictions",
    "length": "the number of steps",
}


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pairs of one kind under one combination of machine factors: repeats (`ulps` 0), or one weight moved by `ulps`.

    `conditions` are the condition_ids of the two trials, pair by pair.
    """

    ulps: int
    factors: dict
    found: tuple[Sameness, ...]
    conditions: tuple[tuple[str, str], ...]

    @property
    def kind(self) -> str:
        return f"poke_ulps={self.ulps}" if self.ulps else "repeats"

    @property
    def label(self) -> str:
        return ", ".join(filter(None, [self.kind, describe(self.factors)]))

    @property
    def different(self) -> tuple[Sameness, ...]:
        """The pairs whose weights differ."""
        return tuple(pair for pair in self.found if pair.weights_differ)


def all_pairs(rows: pd.DataFrame) -> list[Pairs]:
    """Return the pairs in digested rows of one place: repeats, then one weight moved, in each part of the rows."""
    if "read_whole" in rows:  # of a large study the nested columns were read for a part of the trials
        rows = rows[rows["read_whole"]]
    columns = [name for name in ("condition_id", *sameness.FLAT, *sameness.NESTED) if name in rows]
    found = []
    for factors, part in machine_parts(rows):
        kinds = [(0, replicate_pairs(part[[*columns, "content"]]))]
        kinds += [(ulps, poke_pairs(part, ulps, columns)) for ulps in pokes(part)]
        found += [_compared(ulps, factors, pairs, columns) for ulps, pairs in kinds if len(pairs)]
    return found


def _compared(ulps: int, factors: dict, pairs: pd.DataFrame, columns: list[str]) -> Pairs:
    seconds = [f"{name}_second" for name in columns]
    firsts = pairs[columns].to_dict("records")
    others = pairs[seconds].set_axis(columns, axis=1).to_dict("records")
    both = list(zip(firsts, others, strict=True))
    return Pairs(
        ulps=ulps,
        factors=factors,
        found=tuple(sameness.compare(*pair) for pair in both),
        conditions=tuple(tuple(str(row["condition_id"]) for row in pair) for pair in both),
    )


# ---------------------------------------------------------------------------------------------------------- sentences


def sentences(found: list[Pairs]) -> list[str]:
    """Say what a poke did, where pairs part and how far apart they end, and what differs although the weights agree."""
    apart = [pairs for pairs in found if pairs.different or pairs.ulps]
    said = [_noise(pairs, found) or _apart(pairs) for pairs in apart[:MOST_SENTENCES]]
    if len(apart) > MOST_SENTENCES:
        said.append(
            f"{count(len(apart) - MOST_SENTENCES, 'more group')} of differing pairs: see the table of distances."
        )
    return [*said, *_beyond_the_weights(found)]


def _noise(pairs: Pairs, found: list[Pairs]) -> str:
    """Say that a poke's effect cannot be told, where trials part without one; "" elsewhere."""
    repeats = [one for one in found if not one.ulps and one.factors == pairs.factors and one.different]
    if not pairs.ulps or not repeats:
        return ""
    under = f"{describe(pairs.factors)}: " if pairs.factors else ""
    parted, tried = len(repeats[0].different), len(repeats[0].found)
    what = f"{'what' if under else 'What'} moving one weight by {count(pairs.ulps, 'ulp')} does cannot be told"
    return f"{under}{what}: {parted:,} of {count(tried, 'pair')} of repeats differ without it."


def not_told(found: list[Pairs]) -> list[str]:
    """Say which digests no pair has, so that nothing is known of them."""
    pairs = [pair for group in found for pair in group.found]
    missing = [WORDS[name] for name in DIGESTS if pairs and not any(name in pair.equal for pair in pairs)]
    return [f"The rows hold no digests of {listed(missing)}: whether these agree cannot be told."] if missing else []


def _apart(pairs: Pairs) -> str:
    """What was done, where the pairs part, how the gap grows, where they end: up to three sentences."""
    under = f"{describe(pairs.factors)}: " if pairs.factors else ""
    if pairs.ulps:
        changed = f"changed the final weights in {len(pairs.different):,} of {count(len(pairs.found), 'pair')}"
        opening = (
            f"{under}{'one' if under else 'One'} weight moved by {count(pairs.ulps, 'ulp')} before training {changed}"
        )
        if not pairs.different:
            return f"{opening}: it was absorbed, or reached nothing."
        first = _parting(pairs.different, "the two")
    else:
        opening, first = f"{under}{'differing' if under else 'Differing'} repeats", _parting(pairs.different, "")
        if not first:
            opening, first = f"{opening} cannot be followed step by step", ""
    said = [f"{opening}{'; ' if pairs.ulps and first else ' ' if first else ''}{first}"]
    # the churn of repeats stands beside that of seeds, in the counts (`analysis.reproducibility`)
    said += [_growing(pairs.different), _ending(pairs.different, with_churn=bool(pairs.ulps))]
    return " ".join(f"{sentence}." for sentence in said if sentence)


def _parting(different: tuple[Sameness, ...], who: str) -> str:
    partings = [pair.parting for pair in different if pair.parting.step]
    if not partings:
        return ""
    verb = "part" if all(parting.exact for parting in partings) else "are first seen to differ"
    (what, times), *_ = Counter(parting.what for parting in partings).most_common(1)
    share = "" if times == len(partings) else f" in {times:,} of {count(len(partings), 'pair')}"
    step = _range([parting.step for parting in partings], number)
    return f"{who} {verb} at step {step}, in {WORDS[what]}{share}".strip()


def _growing(different: tuple[Sameness, ...]) -> str:
    grown = [growth(pair.loss_gaps) for pair in different if len(pair.loss_gaps)]
    doubling = [one.doubling_steps for one in grown if known(one.doubling_steps)]
    if not any(one.num_seen for one in grown):
        return ""
    largest = _range([one.largest_gap for one in grown], brief)
    if not doubling:
        return f"The gap in training loss reaches {largest}; no growth can be told from its scatter"
    told = f" in the {len(doubling):,} of {count(len(grown), 'pair')} that tell" if len(doubling) < len(grown) else ""
    steps = _range(doubling, lambda value: number(value, 2), " steps")
    return f"The gap in training loss doubles every {steps}{told} and reaches {largest}"


def _ending(different: tuple[Sameness, ...], with_churn: bool) -> str:
    apart = [pair.weights for pair in different if known(pair.weights.median_ulps)]
    relative = [one.relative_l2 for one in apart if known(one.relative_l2)]
    churn = [pair.churn for pair in different if with_churn and known(pair.churn)]
    parts = []
    if apart:
        middle = _range([one.median_ulps for one in apart], number, " ulps")
        norm = f", or {_range(relative, brief)} of their norm" if relative else ""
        parts.append(f"the weights are {middle} apart in the median{norm}")
    if churn:
        parts.append(f"{_range(churn, percent, ' of test images')} are classified differently")
    return f"In the end {'; '.join(parts)}" if parts else ""


def _beyond_the_weights(found: list[Pairs]) -> list[str]:
    repeats = [pair for pairs in found if not pairs.ulps for pair in pairs.found]
    equal = [pair for pair in repeats if pair.equal.get("weights")]
    differing = Counter(name for pair in equal for name in pair.different)
    if not differing:
        return []
    parts = [f"{WORDS[name]} in {differing[name]:,}" for name in DIGESTS if name in differing]
    return [f"Of {count(len(equal), 'pair')} of repeats with equal weights, other things differ: {listed(parts)}."]


def brief(value: float) -> str:
    """Two digits: a distance is not known to more."""
    return number(value, 2)


# ------------------------------------------------------------------------------------------------------------- tables


def digest_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return in how many pairs each thing is bit-identical, "k of n" over the pairs that can tell; one row a group."""
    return _by_place(rows, lambda pairs: {name: _equal_count(pairs, name) for name in DIGESTS})


def distance_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how far apart the differing pairs are: median and range over pairs; no row where none differ."""
    return _by_place(rows, _distances)


def _by_place(rows: pd.DataFrame, record) -> pd.DataFrame:
    parts = places(rows)
    records = []
    for part in parts:
        place = {"place": part.label} if len(parts) > 1 else {}
        for pairs in all_pairs(digested(part.rows)):
            factors = {name: describe({name: value}).partition("=")[2] for name, value in pairs.factors.items()}
            if cells := record(pairs):
                records.append({"kind": pairs.kind, **factors, "num_pairs": len(pairs.found), **cells, **place})
    return pd.DataFrame(records)


def _equal_count(pairs: Pairs, name: str) -> str:
    told = [pair.equal[name] for pair in pairs.found if name in pair.equal]
    return f"{sum(told):,} of {len(told):,}" if told else DASH


def _distances(pairs: Pairs) -> dict[str, str]:
    different = pairs.different
    if not different:
        return {}
    grown = [growth(pair.loss_gaps) for pair in different if len(pair.loss_gaps)]
    seen_in = Counter(pair.parting.what for pair in different if pair.parting.what).most_common()
    return {
        "num_different": f"{len(different):,}",
        "first_different_step": _range([pair.parting.step for pair in different if pair.parting.step], number),
        "first_seen_in": ", ".join(f"{what} {times:,}" for what, times in seen_in) or DASH,
        "loss_gap_doubling_steps": _range([one.doubling_steps for one in grown], lambda value: number(value, 2)),
        "largest_loss_gap": _range([one.largest_gap for one in grown], brief),
        **_apart_columns("weights", [pair.weights for pair in different]),
        **_apart_columns("logits", [pair.logits for pair in different]),
        "churn": _range([pair.churn for pair in different], percent),
        "class_accuracy_difference_(points)": _range([pair.largest_class_difference for pair in different], _unsigned),
    }


def _apart_columns(name: str, distances: list[sameness.Distance]) -> dict[str, str]:
    return {
        f"{name}_ulps,_median": _range([one.median_ulps for one in distances], number),
        f"{name}_ulps,_largest": _range([one.max_ulps for one in distances], number),
        f"{name}_relative_L2": _range([one.relative_l2 for one in distances], brief),
    }


def _unsigned(fraction: float) -> str:
    return points(fraction).lstrip("+")


def _range(values: list[float], form, unit: str = "") -> str:
    """The median of what is known, and the range where there is one.

    >>> _range([1.0, 5.0, float("nan"), 2.0], number, " steps"), _range([3.0], number), _range([], number)
    ('2 steps (1 to 5)', '3', '–')
    """
    values = [value for value in values if known(value)]
    if not values:
        return DASH
    low, median, high = (form(float(value)) for value in (min(values), np.median(values), max(values)))
    return f"{median}{unit}" if low == high else f"{median}{unit} ({low} to {high})"
