"""Two folders' bits: did the same trial end with the same weights, logits and predictions, and where did the two part?

Counts with exact bounds, and no p-value: bits are equal or they are not. Where trials repeated inside one folder differ
among themselves, a difference between the folders says nothing, and that is said first. What this does *not* do: find
the operator (`lrbench diverge`).
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import figures
from analysis.answers import Answer
from analysis.divergence import WORDS
from analysis.folders import Matched, Side
from analysis.page.wording import DASH, count, known, listed, number, percent
from analysis.rows import sameness
from analysis.rows.conditions import completed
from analysis.rows.nested import read_nested
from analysis.rows.replicates import digested, replicate_pairs
from analysis.rows.sameness import DIGESTS, Sameness
from analysis.statistics.intervals import mismatch_bound

TITLE = "What changed in bits?"
MOST_FOLLOWED = 1_000  # differing pairs that are followed step by step
HOW = (
    "A pair is one trial in both folders: the same factors, seeds and replicate. After no mismatch the upper bound is "
    "the one-sided 95% bound 1 − 0.05^(1/n)."
)
_ENDS = {
    "order": "order_sha256",
    "lr": "applied_lr_sha256",
    "loss": "losses_sha256",
    "weights": "weights_sha256",
    "logits": "logits_sha256",
    "predictions": "predictions_sha256",
    "length": "num_steps",
}
_FLAT = ["trial_id", "status", "final_accuracy", *_ENDS.values()]


@dataclass(frozen=True, kw_only=True)
class Bits:
    """Completed pairs of the two folders: `equal[name]` is (pairs that agree, pairs that can tell) for each of DIGESTS
    and "length", the number of steps.

    `followed` are differing pairs, compared digest by digest.
    """

    num_pairs: int
    equal: dict[str, tuple[int, int]]
    followed: tuple[Sameness, ...]

    @property
    def identical(self) -> bool:
        """Whether all pairs, and there are some, have equal weights."""
        same, told = self.equal.get("weights", (0, 0))
        return told > 0 and same == told


def bits(matched: Matched) -> Bits:
    """Compare the end of every pair, and of differing ones every step."""
    pairs = both_completed(matched, _FLAT)
    equal = {}
    for name, column in _ENDS.items():
        a, b = pairs[column].astype(object), pairs[f"{column}_b"].astype(object)
        told = a.notna() & b.notna()
        if told.any():
            equal[name] = (int((a[told] == b[told]).sum()), int(told.sum()))
    weights = pairs[pairs["weights_sha256"].notna() & pairs["weights_sha256_b"].notna()]
    apart = weights[weights["weights_sha256"].astype(object) != weights["weights_sha256_b"].astype(object)]
    followed = _followed(matched, apart.head(MOST_FOLLOWED))
    return Bits(num_pairs=len(pairs), equal=equal, followed=followed)


def both_completed(matched: Matched, columns: list[str]) -> pd.DataFrame:
    """Return the pairs of which both trials came to their end."""
    pairs = matched.pairs(columns)
    return pairs[(pairs["status"] == "completed") & (pairs["status_b"] == "completed")]


def _followed(matched: Matched, apart: pd.DataFrame) -> tuple[Sameness, ...]:
    if apart.empty:
        return ()
    rows = [_read(side.folder, set(ids)) for side, ids in zip((matched.a, matched.b), _ids(apart), strict=True)]
    firsts, seconds = (part.loc[ids].to_dict("records") for part, ids in zip(rows, _ids(apart), strict=True))
    return tuple(sameness.compare(a, b) for a, b in zip(firsts, seconds, strict=True))


def _read(folder: Path, trial_ids: set[str]) -> pd.DataFrame:
    """Return the rows of these trials by trial_id, with all that is compared; of a large folder little else is read."""
    from lrbench.store import load

    columns = [*sameness.FLAT, *sameness.NESTED]
    found = read_nested(folder, columns, trial_ids)
    if len(found) < len(trial_ids):  # a run that goes on has the others in its journal
        found = load(folder, ["trial_id", *columns])
        found = found[found["trial_id"].isin(trial_ids)]
    return found.set_index("trial_id")


def _ids(apart: pd.DataFrame) -> tuple[list, list]:
    return apart["trial_id"].tolist(), apart["trial_id_b"].tolist()


# ---------------------------------------------------------------------------------------------------------- the answer


def answer(matched: Matched, found: Bits) -> Answer:
    """Return in how many trials the folders agree to the bit, and where the others part."""
    noise = [text for side in (matched.a, matched.b) for text in _noise(side)]
    return Answer(
        title=TITLE,
        sentences=(*noise, *_sentences(matched, found)),
        table=_table(found),
        figure=lambda: figures.message("Bits are counted, not drawn"),
        notes=(HOW,) if found.equal else (),
        headline=(_brief(found),),
    )


def _brief(found: Bits) -> str:
    """The count in few words, for a heading."""
    if "weights" not in found.equal:
        return "not compared"
    same, told = found.equal["weights"]
    return f"equal in all {told:,} trials" if same == told else f"equal in {same:,} of {told:,} trials"


def _noise(side: Side) -> list[str]:
    """Say so where repeats inside one folder differ."""
    pairs = replicate_pairs(digested(completed(side.rows)))
    different = int((pairs["weights_sha256"].astype(object) != pairs["weights_sha256_second"].astype(object)).sum())
    if not different:
        return []
    inside = f"Inside {side.name} {different:,} of {count(len(pairs), 'pair')} of repeats differ"
    return [f"{inside}: a trial that differs between the folders need not owe it to anything that changed."]


def _sentences(matched: Matched, found: Bits) -> list[str]:
    if matched.num_same_runs and not matched.counts["num_matched"]:
        return ["The runs are the same, to the bit and to the second."]
    if "weights" not in found.equal:
        why = "their data or model are not the same" if matched.no_bits or matched.nothing else "none has digests"
        both = "No trial completed in both folders" if not found.num_pairs else f"Of the trials in both {why}"
        return [f"{both}, so bits cannot be compared."]
    same, told = found.equal["weights"]
    if same == told:
        bound = percent(mismatch_bound(0, told))
        ended = f"{_all(told, 'trial')} ended with the same weights in both folders, bit for bit"
        said = [f"{ended}; at 95% confidence at most {bound} of such trials differ."]
        others = [name for name, (k, n) in found.equal.items() if k < n]
        return [*said, *([f"Yet {listed(WORDS[name] for name in others)} are not always equal."] if others else [])]
    ends = [
        f", the same {name} in {found.equal[name][0]:,}" for name in ("logits", "predictions") if name in found.equal
    ]
    said = f"{same:,} of {count(told, 'trial')} ended with the same weights in both folders{''.join(ends)}."
    return [said, *_parting(found.followed), *_ending(found.followed)]


def _all(number_of: int, noun: str) -> str:
    return f"The one {noun}" if number_of == 1 else f"All {number_of:,} {noun}s"


def _parting(followed: tuple[Sameness, ...]) -> list[str]:
    partings = [pair.parting for pair in followed if pair.parting.step]
    if not partings:
        return ["Where they part cannot be told: the rows hold no digests of steps, and no losses."]
    verb = "part" if all(parting.exact for parting in partings) else "are first seen to differ"
    (what, times), *_ = Counter(parting.what for parting in partings).most_common(1)
    share = "" if times == len(partings) else f" in {times:,} of {len(partings):,}"
    said = f"Differing trials {verb} at step {_range([p.step for p in partings], number)}, in {WORDS[what]}{share}."
    cause = {
        "order": "The order of the images already differs: the two did not train on the same batches.",
        "images": "The images already differ before a step is taken: augmentation or decoding is not the same.",
        "rng": "torch's random state already differs before the step.",
        "lr": "The applied rates differ: the two did not follow the same plan.",
    }
    return [said, *([cause[what]] if what in cause else [])]


def _ending(followed: tuple[Sameness, ...]) -> list[str]:
    ulps = [pair.weights.median_ulps for pair in followed if known(pair.weights.median_ulps)]
    churn = [pair.churn for pair in followed if known(pair.churn)]
    parts = [f"the weights are {_range(ulps, number, ' ulps')} apart in the median"] if ulps else []
    parts += [f"{_range(churn, percent)} of the test images are classified differently"] if churn else []
    return [f"In the end {listed(parts)}."] if parts else []


def _range(values, form, unit: str = "") -> str:
    """The median, and the range where there is one."""
    low, median, high = (form(float(value)) for value in (min(values), np.median(values), max(values)))
    return f"{median}{unit}" if low == high else f"{median}{unit} ({low} to {high})"


def _table(found: Bits) -> pd.DataFrame:
    """What was compared, and all wherein pairs are said to part; the number of steps only where it is not the same."""
    parted = {pair.parting.what for pair in found.followed}
    told = {name for name, (same, of) in found.equal.items() if name != "length" or same < of}
    records = [
        {
            "what": WORDS[name].removeprefix("the "),
            "equal_in": "{:,} of {:,}".format(*found.equal[name]) if name in found.equal else DASH,
            "first_different_step": _first(found.followed, name),
        }
        for name in (*DIGESTS, "length")
        if name in told | parted
    ]
    return pd.DataFrame(records)


def _first(followed: tuple[Sameness, ...], name: str) -> str:
    steps = [pair.parting.step for pair in followed if pair.parting.what == name]
    return f"{_range(steps, number)}, in {count(len(steps), 'pair')}" if steps else DASH
