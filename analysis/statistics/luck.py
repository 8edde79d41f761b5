"""Which test images a run got right, and how much of the spread over runs the choice of those images makes.

Rows hold predictions, not labels. Those of the digits are scikit-learn's; elsewhere only a bound is known, from how
often two runs disagree. What this does *not* do: word findings (`analysis.components` does).
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.intervals import Estimate, sd_interval
from analysis.statistics.variance import independent_error_sd


@dataclass(frozen=True, kw_only=True)
class Luck:
    """What the spread of accuracy over runs is made of. Standard deviations; nan where they cannot be told.

    total         over runs, on these test images, with chi-square's interval
    by_images     what the choice of the test images alone makes: each image is got wrong by chances of its own
    distribution  what would be left on test images without end (Jordan, arXiv 2304.01910)
    exact         whether labels were known; else `by_images` is an upper and `distribution` a lower bound
    """

    total: Estimate
    by_images: float
    distribution: Estimate
    exact: bool
    num_images: int

    @property
    def is_empty(self) -> bool:
        """Whether this is a bound that says nothing: luck of at most as much as there is, or more."""
        return not self.exact and self.by_images >= self.total.value

    @property
    def share(self) -> Estimate:
        """The share of the variance over runs that is luck of the test images, nan without spread or where empty."""
        if math.isnan(self.by_images) or not self.total.value > 0 or self.is_empty:
            return Estimate(value=math.nan, low=math.nan, high=math.nan, n=self.total.n)
        return share_of(self.by_images, self.total)


def luck(predictions, accuracies, labels) -> Luck:
    """How much of the spread is luck of the test images? (runs, images), (runs,), (images,) or empty → Luck.

    Each run has a seed of its own. Without labels the runs' disagreement stands in for their errors: two runs that
    differ in being right differ in their prediction, so it can only be too large.
    """
    predictions, accuracies = np.asarray(predictions), np.asarray(accuracies, dtype=float)
    exact, (num_runs, num_images) = len(labels) > 0, predictions.shape
    if num_runs < 2:
        nothing = Estimate(value=math.nan, low=0.0, high=math.inf, n=num_runs)
        return Luck(total=nothing, by_images=math.nan, distribution=nothing, exact=exact, num_images=num_images)
    by_images = independent_error_sd(predictions == labels) if exact else disagreement_sd(predictions)
    spread = float(np.std(accuracies, ddof=1)) if np.ptp(accuracies) > 0 else 0.0
    total = sd_interval(spread, num_runs - 1)
    return Luck(
        total=total,
        by_images=by_images,
        distribution=total.map(lambda sd: distribution_sd_of(sd, by_images, num_images)),
        exact=exact,
        num_images=num_images,
    )


def share_of(by_images_sd: float, total: Estimate) -> Estimate:
    """Which share of the variance is luck of the images? Their SD over the SD over runs, squared; at most 1.

    The interval is that of the SD over runs; the images' own part, a mean over all of them, is taken as known.
    """
    value, low, high = (min(1.0, (by_images_sd / sd) ** 2) for sd in (total.value, total.high, total.low))
    return Estimate(value=value, low=low, high=high, n=total.n)


def distribution_sd_of(test_set_sd: float, by_images_sd: float, num_images: int) -> float:
    """Which SD is left on test images without end? √((SD² - SD of the images²) n / (n - 1)), 0 where below zero.

    Theorem 1 of Jordan (arXiv 2304.01910), from summary figures.

    >>> round(distribution_sd_of(0.00149, 0.001453, 10_000), 5), distribution_sd_of(0.001, 0.002, 100)
    (0.00033, 0.0)
    """
    left = test_set_sd**2 - by_images_sd**2
    return math.inf if math.isinf(left) else math.sqrt(max(0.0, left) * num_images / (num_images - 1))


def disagreement_sd(predictions) -> float:
    """Which SD of accuracy follows at most from how often two runs disagree? (runs, images) → √(D / 2n).

    D is the share of images on which two runs differ, over all pairs of runs. Of an image that is right in a share p of
    runs, two runs differ in being right with probability 2 p (1 - p), and in their prediction at least as often.
    """
    predictions = np.asarray(predictions)
    num_runs, num_images = predictions.shape
    differing = 0.0
    for label in np.unique(predictions):
        share = (predictions == label).mean(axis=0)
        differing += float((share * (1 - share)).sum())
    return math.sqrt(differing / 2 * num_runs / (num_runs - 1)) / num_images


def labels_of(rows: pd.DataFrame) -> np.ndarray:
    """Return the labels of the test images, (images,), where they are known and every row's accuracy agrees; else ().

    Rows are those of one workload. Known are the digits: the last fifth of scikit-learn's file.
    """
    nothing = np.empty(0, dtype=int)
    if not rows["workload"].astype(str).str.startswith("digits-").all():
        return nothing
    from sklearn.datasets import load_digits

    predictions = np.stack(list(rows["predictions"]))
    target = load_digits().target
    labels = target[len(target) - len(target) // 5 :]
    if predictions.shape[1] != len(labels):
        return nothing
    agree = np.allclose((predictions == labels).mean(axis=1), rows["final_accuracy"].to_numpy(dtype=float), atol=1e-6)
    return labels if agree else nothing
