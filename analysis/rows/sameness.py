"""How alike are two trials? Digest by digest, and where they differ how far apart they are. Pure functions on two rows.

What is equal to the bit is handled first: its distance is 0 by definition, and nothing is computed or tested. What a
row does not hold (rows of older runs lack some columns) is nan, or left out of what is called equal: never taken for
equal. What this does *not* do: choose pairs (`analysis.rows.replicates` does) or word findings (`analysis.divergence`
does).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lrbench.record import COLUMNS
from lrbench.ulps import ulps

# what leads to what in a training step, as the record has it; then what comes after training
STEP_DIGESTS = tuple(c.name.removesuffix("_xxh3") for c in COLUMNS if c.group == "steps" and c.name.endswith("_xxh3"))
_END_DIGESTS = {
    "order": "order_sha256",
    "lr": "applied_lr_sha256",
    "loss": "losses_sha256",
    "gradients": "gradients_sha256",
    "weights": "weights_sha256",
    "optimizer": "optimizer_sha256",
    "logits": "logits_sha256",
    "predictions": "predictions_sha256",
}
DIGESTS = tuple(dict.fromkeys([*STEP_DIGESTS, *_END_DIGESTS]))
FLAT = ("num_steps", *_END_DIGESTS.values())
NESTED = (
    "train_loss_steps",
    "applied_lr",
    "class_accuracy",
    "predictions",
    "probe_logits",
    "weights_sample",
    "digest_steps",
    *(f"{name}_xxh3" for name in STEP_DIGESTS),
)


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far apart two lists of float32 are; nan is what cannot be told.

    `differing_share` of the values differ in some bit; ulps are those of `lrbench.ulps`, over all values that have any;
    `relative_l2`, of the finite values, is the Euclidean distance over the mean of the two norms, so that it does not
    matter which list comes first.
    """

    differing_share: float
    median_ulps: float
    max_ulps: float
    relative_l2: float


EQUAL = Distance(differing_share=0.0, median_ulps=0.0, max_ulps=0.0, relative_l2=0.0)
UNKNOWN = Distance(differing_share=math.nan, median_ulps=math.nan, max_ulps=math.nan, relative_l2=math.nan)


@dataclass(frozen=True, kw_only=True)
class Parting:
    """Where two trainings part: `what` was the first thing seen to differ, at training step `step` (counted from 1).

    `after` is the last step before it at whose end weights and optimizer are known to be equal (0: none is), so the
    trainings parted in one of the steps after + 1 to step. `step` 0 and `what` "": no step is seen to differ.
    """

    step: int
    what: str
    after: int

    @property
    def exact(self) -> bool:
        """Whether it is known that they parted in this step and in none before it."""
        return self.step > 0 and self.step == self.after + 1


@dataclass(frozen=True, kw_only=True)
class Sameness:
    """What `compare` finds. Shares are fractions; nan, or an empty tuple or array, is what cannot be told.

    equal                       for each of DIGESTS that can be told: is it the same in both?
    parting                     where the trainings part
    weights, logits             distances, of the sample of the weights and of the probe's logits
    churn                       share of the test images that are classified differently
    class_accuracy_differences  second less first, for each class; nan: no test image is of it
    loss_gaps                   (num_steps,) float64: absolute difference of the training loss at each step
    """

    equal: Mapping[str, bool]
    parting: Parting
    weights: Distance
    logits: Distance
    churn: float
    class_accuracy_differences: tuple[float, ...]
    loss_gaps: np.ndarray = field(compare=False, repr=False)

    @property
    def identical(self) -> bool:
        """Whether the weights, and everything else that can be told, are equal to the bit."""
        return "weights" in self.equal and all(self.equal.values())

    @property
    def weights_differ(self) -> bool:
        """Whether the weights are known to differ."""
        return not self.equal.get("weights", True)

    @property
    def different(self) -> tuple[str, ...]:
        """What is known to differ, in the order of DIGESTS."""
        return tuple(name for name, same in self.equal.items() if not same)

    @property
    def largest_class_difference(self) -> float:
        """The largest difference of a class's accuracy, without its sign; nan where none is known."""
        known = [abs(value) for value in self.class_accuracy_differences if not math.isnan(value)]
        return max(known, default=math.nan)


def compare(first: Mapping, second: Mapping) -> Sameness:
    """Return how alike two trials are: two rows, as `lrbench.run_trial` returns them or out of `lrbench.load`.

    The rows need the columns FLAT and NESTED; what they lack is unknown. Trainings of other length are compared over
    the steps that both did.
    """
    verdicts = _step_verdicts(first, second)
    equal = _equal(first, second, verdicts)
    return Sameness(
        equal=equal,
        parting=_parting(first, second, equal, verdicts),
        weights=_distance(first, second, "weights_sample", equal.get("weights")),
        logits=_distance(first, second, "probe_logits", equal.get("logits")),
        churn=_churn(first, second, equal.get("predictions")),
        class_accuracy_differences=_class_differences(first, second),
        loss_gaps=_loss_gaps(first, second),
    )


# ---------------------------------------------------------------------------------------------------------- distances


def distance(first, second) -> Distance:
    """Return how far apart two lists of float32 of one length are; of other lengths, or empty, it cannot be told.

    1.0 and the next float are 1 ulp apart, and so are 0.0 and -0.0: 0 means equal bits and nothing else. Infinity is
    the float after the largest. A pair of which one is not a number differs, and has no ulps.
    """
    a, b = np.asarray(first, dtype=np.float32), np.asarray(second, dtype=np.float32)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        return UNKNOWN
    bits_a, bits_b = (values.view(np.uint32) for values in (np.ascontiguousarray(a), np.ascontiguousarray(b)))
    differ = bits_a != bits_b
    if not differ.any():
        return EQUAL
    counted = ~differ | ~(np.isnan(a) | np.isnan(b))  # a NaN that repeats is 0 from itself
    apart = ulps(bits_a, bits_b)[counted]
    return Distance(
        differing_share=float(np.mean(differ)),
        median_ulps=float(np.median(apart)) if len(apart) else math.nan,
        max_ulps=float(apart.max()) if len(apart) else math.nan,
        relative_l2=_relative_l2(a, b),
    )


def _bits(values) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float32).view(np.int32).astype(np.int64)


def _relative_l2(a: np.ndarray, b: np.ndarray) -> float:
    finite = np.isfinite(a) & np.isfinite(b)
    if not finite.any():
        return math.nan
    a, b = a[finite].astype(np.float64), b[finite].astype(np.float64)
    scale = (np.linalg.norm(a) + np.linalg.norm(b)) / 2
    return float(np.linalg.norm(a - b) / scale) if scale else 0.0  # 0.0 against -0.0: other bits, no distance


def _distance(first: Mapping, second: Mapping, name: str, equal: bool | None) -> Distance:
    if equal:
        return EQUAL
    a, b = _array(first, name), _array(second, name)
    return UNKNOWN if a is None or b is None else distance(a, b)


def _churn(first: Mapping, second: Mapping, equal: bool | None) -> float:
    if equal:
        return 0.0
    a, b = _array(first, "predictions"), _array(second, "predictions")
    known = a is not None and b is not None and a.shape == b.shape and len(a)
    return float(np.mean(a != b)) if known else math.nan


def _class_differences(first: Mapping, second: Mapping) -> tuple[float, ...]:
    a, b = _array(first, "class_accuracy"), _array(second, "class_accuracy")
    if a is None or b is None or a.shape != b.shape:
        return ()
    return tuple((b.astype(float) - a.astype(float)).tolist())


def _loss_gaps(first: Mapping, second: Mapping) -> np.ndarray:
    a, b = _losses(first, second) or ([], [])
    n = min(len(a), len(b))
    a, b = (np.asarray(part[:n], dtype=np.float32) for part in (a, b))
    with np.errstate(invalid="ignore"):  # inf - inf
        gaps = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return np.where(_bits(a) == _bits(b), 0.0, gaps)


# ------------------------------------------------------------------------------------------------- digests and steps


def _equal(first: Mapping, second: Mapping, by_step: dict[str, dict[int, bool]]) -> dict[str, bool]:
    """Return for each thing that both rows have digests of whether all of them are equal, in the order of DIGESTS."""
    found = {}
    for name in DIGESTS:
        verdicts = list(by_step.get(name, {}).values())
        a, b = (_text(row, _END_DIGESTS.get(name, "")) for row in (first, second))
        verdicts += [a == b] if a and b else []
        if name == "loss" and (losses := _losses(first, second)):
            verdicts.append(np.array_equal(*map(_bits, losses)))
        if verdicts:
            found[name] = all(verdicts)
    return found


def _step_verdicts(first: Mapping, second: Mapping) -> dict[str, dict[int, bool]]:
    """Return for each of STEP_DIGESTS, at each step at which both rows have one, whether it is the same."""
    steps = [_array(row, "digest_steps") for row in (first, second)]
    if any(part is None for part in steps):
        return {}
    places = [{int(step): place for place, step in enumerate(part)} for part in steps]
    shared = [(step, places[0][step], places[1][step]) for step in sorted(places[0].keys() & places[1].keys())]
    found = {}
    for name in STEP_DIGESTS:
        a, b = _array(first, f"{name}_xxh3"), _array(second, f"{name}_xxh3")
        if a is not None and b is not None:
            found[name] = {step: bool(a[i] == b[j]) for step, i, j in shared}
    return found


def _parting(
    first: Mapping, second: Mapping, equal: Mapping[str, bool], verdicts: dict[str, dict[int, bool]]
) -> Parting:
    steps = [int(row["num_steps"]) for row in (first, second) if not _missing(row.get("num_steps"))]
    seen = [(step, name) for name, here in verdicts.items() for step, same in here.items() if not same]
    seen += [(step, "loss") for step in _first_of(_losses_differ(first, second))]
    seen += [(step, "lr") for step in _first_of(_rates_differ(first, second))]
    if len(steps) == 2 and steps[0] == steps[1]:  # what was kept at the end is of the last step
        seen += [(steps[0], name) for name in STEP_DIGESTS if not equal.get(name, True)]
    elif len(steps) == 2:
        seen.append((min(steps) + 1, "length"))
    by_cause = {name: place for place, name in enumerate((*STEP_DIGESTS, "length"))}
    step, what = min(seen, key=lambda found: (found[0], by_cause[found[1]]), default=(0, ""))
    both = [verdicts.get(name, {}) for name in ("weights", "optimizer")]
    same_after = [at for at in both[0] if both[0][at] and both[1].get(at) and (at < step or not step)]
    return Parting(step=step, what=what, after=max(same_after, default=0))


def _first_of(differ: np.ndarray) -> list[int]:
    """Return the first step (from 1) at which something differs, in a list that is empty where nothing does."""
    return [int(np.argmax(differ)) + 1] if differ.any() else []


def _losses_differ(first: Mapping, second: Mapping) -> np.ndarray:
    a, b = _losses(first, second) or ([], [])
    n = min(len(a), len(b))
    return _bits(a[:n]) != _bits(b[:n])


def _losses(first: Mapping, second: Mapping) -> tuple:
    """The losses at each step of both; empty where one is missing."""
    both = _array(first, "train_loss_steps"), _array(second, "train_loss_steps")
    return () if any(part is None for part in both) else both


def _rates_differ(first: Mapping, second: Mapping) -> np.ndarray:
    """(num_steps,): does a rate differ? Empty where a step was skipped: rates are kept for each optimizer step."""
    differ = np.zeros(0, dtype=bool)
    groups = [row.get("applied_lr") for row in (first, second)]
    if any(_missing(part) for part in groups) or len(groups[0]) != len(groups[1]):
        return differ
    for a, b in zip(*groups, strict=True):
        if [len(a), len(b)] != [_number(first, "num_steps"), _number(second, "num_steps")]:
            return np.zeros(0, dtype=bool)
        n = min(len(a), len(b))
        here = np.asarray(a[:n], dtype=float) != np.asarray(b[:n], dtype=float)
        differ = here if not len(differ) else differ | here
    return differ


# -------------------------------------------------------------------------------------------------------------- cells


def _missing(value) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _array(row: Mapping, name: str) -> np.ndarray | None:
    """A nested column as an array; None where the row does not have it."""
    value = row.get(name)
    return None if _missing(value) else np.asarray(value)


def _text(row: Mapping, name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _number(row: Mapping, name: str) -> int:
    value = row.get(name)
    return -1 if _missing(value) else int(value)
