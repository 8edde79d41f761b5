"""V18: how often the suite's own analysis finds a difference where there is none.

Real rows of one condition are dealt out to arms at random, or numbers are drawn of which the truth is known, and the
analysis is asked as a report asks it. What this does *not* do: tell how often a true difference is missed (the report's
smallest detectable difference does).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lrbench.claims.frame import Room, Verdict, claim
from lrbench.claims.processes import repeated

STATED_RATE = 0.05  # of every interval, corrected p-value and bound: 95 %
# An honest method is accused once in so many comparisons: the tries are seeded, and their number is bounded.
ACCUSED = 1e-3
NUM_TRIES, NUM_DRAWS = 400, 4_000  # of whole analyses on rows; of one interval on numbers


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How often an alarm was raised in comparisons without a difference."""

    what: str
    num_tries: int
    num_alarms: int

    @property
    def seen(self) -> float:
        return self.num_alarms / self.num_tries

    @property
    def allowed(self) -> float:
        """The stated rate and the error of so many tries: a method at that rate is above it once in 1 / ACCUSED."""
        from scipy import stats

        return float(stats.binom.ppf(1 - ACCUSED, self.num_tries, STATED_RATE)) / self.num_tries

    @property
    def holds(self) -> bool:
        return self.seen <= self.allowed


def counted(what: str, alarms: Iterator[bool], num_tries: int) -> Rate:
    """Return how many of the next tries raise an alarm."""
    return Rate(what=what, num_tries=num_tries, num_alarms=sum(next(alarms) for _ in range(num_tries)))


# ----------------------------------------------------------------------------------------------------------- real rows


def accuracy_alarms(rows, num_arms: int, num_seeds: int, seed: int) -> Iterator[bool]:
    """Tell, try after try, whether any planned comparison of arms told two apart; all arms are draws from `rows`.

    Rows are drawn with replacement, so that every arm has the same true distribution: that of the rows at hand.
    """
    import numpy as np

    from analysis.comparisons import settings
    from analysis.rows.conditions import FACTORS, SEEDS

    rows = rows[[*FACTORS, *SEEDS, "replicate", "status", "final_accuracy", "final_loss"]]
    rng = np.random.default_rng(seed)
    arms = ["ConstantLR(factor=1.0)", *(f"A/A arm {number}" for number in range(1, num_arms))]
    labels = {"scheduler": np.repeat(arms, num_seeds), "replicate": 0}
    labels |= dict.fromkeys(SEEDS, np.tile(np.arange(num_seeds), num_arms))
    while True:
        drawn = rows.iloc[rng.integers(0, len(rows), num_arms * num_seeds)].reset_index(drop=True)
        (setting,) = settings(drawn.assign(**labels))
        yield any(comparison.told_apart for comparison in setting.planned)


def throughput_alarms(rows, seed: int) -> Iterator[bool]:
    """Tell, try after try, whether the interval of a speed ratio left out 1, each pair of repeats dealt to two levels.

    A coin decides for every pair of replicates which of them counts as cudnn_benchmark: on a CPU it changes nothing.
    """
    import numpy as np

    from analysis.first_steps import MEASURED
    from analysis.rows.conditions import FACTORS, SEEDS
    from analysis.throughput import contrasts, timed

    rng = np.random.default_rng(seed)
    usable = timed(rows).groupby("seed").filter(lambda pair: len(pair) == 2).sort_values(["seed", "replicate"])
    usable = usable[[*FACTORS, *SEEDS, "replicate", "cudnn_flags_inert", *MEASURED]]
    while True:
        coin = rng.random(len(usable) // 2) < 0.5
        dealt = usable.assign(cudnn_benchmark=np.stack([coin, ~coin], axis=1).ravel(), replicate=0)
        (contrast,) = contrasts(dealt)
        yield contrast.ratio.excludes(1.0)


# ------------------------------------------------------------------------------------------------------ simulated truth


def interval_alarms(draw: Callable, num_pairs: int, seed: int) -> Iterator[bool]:
    """Tell, try after try, whether the interval of paired differences that reports use left out 0, their true mean."""
    import numpy as np

    from analysis.statistics.intervals import paired_interval

    rng = np.random.default_rng(seed)
    while True:
        yield paired_interval(draw(rng, num_pairs)).excludes(0.0)


def normal(rng, n: int):
    """Return differences of accuracies as they are where many images decide."""
    return rng.normal(size=n)


def heavy_tailed(rng, n: int):
    """Return differences with rare large ones: Student's t with 3 degrees of freedom."""
    return rng.standard_t(3, size=n)


def drifting(rng, n: int):
    """Return differences of two timings in each of n blocks on a machine that drifts; a coin decides which is first."""
    drift = rng.normal(size=2 * n).cumsum().reshape(n, 2)
    return (drift[:, 0] - drift[:, 1]) * rng.choice([-1.0, 1.0], size=n) + rng.normal(size=n)


def exact_bound_rate(num_pairs: int) -> float:
    """Return the largest probability, over all true shares, that the share lies above the 95 % bound on mismatches.

    By the binomial formula, without a draw, at 999 shares.
    """
    import numpy as np
    from scipy import stats

    from analysis.statistics.intervals import mismatch_bound

    bounds = np.array([mismatch_bound(k, num_pairs) for k in range(num_pairs + 1)])
    shares = np.arange(1, 1000) / 1000
    chances = stats.binom.pmf(np.arange(num_pairs + 1)[:, None], num_pairs, shares)
    return float((chances * (bounds[:, None] < shares)).sum(axis=0).max())


# --------------------------------------------------------------------------------------------------------------- claim


@claim(
    id="V18",
    where="C",
    kind="S",
    expected="yes",
    source="95 % intervals and Holm's correction promise it; this suite's own check",
    gate=True,
)
def v18(room: Room) -> Verdict:
    """Where there is no difference (A/A), the suite's comparisons find one at most at the rate that they state."""
    rows = room.once(repeated)
    accuracies = rows.drop_duplicates("weights_sha256")  # repeats are the same number twice
    cases = [
        ("accuracy, 2 arms of 5 seeds, real trials", accuracy_alarms(accuracies, 2, 5, seed=1), NUM_TRIES),
        ("accuracy, 4 arms of 16 seeds, real trials", accuracy_alarms(accuracies, 4, 16, seed=2), NUM_TRIES),
        ("speed ratio, real pairs of repeats", throughput_alarms(rows, seed=3), NUM_TRIES),
        ("interval, 10 normal differences", interval_alarms(normal, 10, seed=4), NUM_DRAWS),
        ("interval, 10 heavy-tailed differences", interval_alarms(heavy_tailed, 10, seed=5), NUM_DRAWS),
        ("interval, 10 blocks on a machine that drifts", interval_alarms(drifting, 10, seed=6), NUM_DRAWS),
    ]
    rates = [counted(*case) for case in cases]
    evidence = [
        {
            "what": rate.what,
            "num_tries": rate.num_tries,
            "num_alarms": rate.num_alarms,
            "seen_rate": rate.seen,
            "stated_rate": STATED_RATE,
            "allowed_rate": rate.allowed,
            "holds": rate.holds,
        }
        for rate in rates
    ]
    for num_pairs in (1, 3, 10, 30):
        exact = exact_bound_rate(num_pairs)
        evidence.append(
            {
                "what": f"bound on mismatches, {num_pairs} pairs, by formula",
                "num_pairs": num_pairs,
                "seen_rate": exact,
                "stated_rate": STATED_RATE,
                "allowed_rate": STATED_RATE,
                "holds": exact <= STATED_RATE + 1e-9,  # the rounding of the beta quantile
            }
        )
    broken = [row["what"] for row in evidence if not row["holds"]]
    told = "; ".join(f"{rate.what}: {rate.seen:.1%} of {rate.num_tries:,}" for rate in rates)
    worst = max(row["seen_rate"] for row in evidence[len(rates) :])
    return Verdict(
        word="refuted" if broken else "supported",
        seen=f"differences found where there is none, at a stated {STATED_RATE:.0%}: {told}; the bound on mismatches "
        f"fails in at most {worst:.1%}" + (f"; too often: {', '.join(broken)}" if broken else ""),
        evidence=tuple(evidence),
    )
