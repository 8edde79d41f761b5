"""L5, L8 and L9: how far runs scatter over seeds, and what that does to comparisons.

The trials are small (the digits, 100 steps), so that many can be run; what they say is of this size of training. The
statistics are `analysis.statistics.variance`, `analysis.statistics.dispersion` and `analysis.statistics.rankings`,
proved there on simulated truth. What this does *not* do: ask where the scatter comes from
(`lrbench.claims.noise_sources` does), or compare recipes (`lrbench.claims.recipes`).
"""

from itertools import combinations

from lrbench.claims.frame import Room, Verdict, Word, claim

SCHEDULERS = [
    {"name": "ConstantLR", "factor": 1.0},
    {"name": "StepLR", "step_size": "40%", "gamma": 0.1},
    {"name": "CosineAnnealingLR"},
    {"name": "LinearDecayLR"},
]
LOW_LR, HIGH_LR = 0.1, 0.5  # the recipe's own rate, at which all converge, and one at which they barely do
CONFIDENCE = 0.95
ALIKE = 1.5  # standard deviations closer than this ratio count as alike
MORE_THAN = 0.05  # one comparison of twenty


def schedules_and_seeds(room: Room):
    """Return the runs of four schedulers at two rates over 24 seeds: what L5, L8 and L9 look at."""
    grid = {"scheduler": SCHEDULERS, "base_lr": [LOW_LR, HIGH_LR], "seed": "0-23"}
    return room.study("schedules-and-seeds", fixed={"workload": "digits-cnn"}, grid=grid)


def by_seed(rows, column: str):
    """Return completed runs as a table (seeds, levels of `column`); seeds at which a level is missing are left out."""
    completed = rows[rows["status"] == "completed"].astype({column: object}).sort_values(column)
    return completed.pivot(index="seed", columns=column, values="final_accuracy").dropna()


def right_of(rows):
    """Return which test images each run got right, (runs, images) of bool, by seed. The labels are scikit-learn's.

    Raises ValueError where a run's accuracy says otherwise, as it would if the test part were another one.
    """
    import numpy as np
    from sklearn.datasets import load_digits

    rows = rows[rows["status"] == "completed"].sort_values("seed")
    predictions = np.stack(list(rows["predictions"]))
    right = predictions == load_digits().target[-predictions.shape[1] :]
    if not np.allclose(right.mean(axis=1), rows["final_accuracy"]):
        raise ValueError("the accuracies of the rows are not those of the last images of scikit-learn's digits")
    return right


def lost(rows) -> str:
    """Return how many runs are in no comparison, as the end of a sentence; "" where none is missing."""
    missing = int((rows["status"] != "completed").sum())
    return f"; {missing} of {len(rows)} runs did not complete and are in no comparison" if missing else ""


def together(words: list[Word]) -> Word:
    """Return the verdict on a statement whose parts have these: refuted by any, supported by all.

    >>> together(["supported", "refuted"]), together(["supported", "inconclusive"]), together(["supported"])
    ('refuted', 'inconclusive', 'supported')
    """
    return "refuted" if "refuted" in words else "supported" if set(words) == {"supported"} else "inconclusive"


def points(fraction: float) -> str:
    """Return a difference or an SD of accuracy in percentage points, two decimals.

    >>> points(0.0123)
    '1.23'
    """
    return f"{100 * fraction:.2f}"


# ------------------------------------------------------------------------------------------------------------------ L5


@claim(
    id="L5",
    where="C,G",
    kind="S",
    expected="open for schedulers; for the rate yes (from 0.5 to 1.0 five times the variance)",
    source="arXiv 2304.01910, section 5",
)
def l5(room: Room) -> Verdict:
    """The SD of accuracy over runs differs between schedulers, and a higher base_lr raises the variance that is left on
    test images without end."""
    return judge_l5(room.once(schedules_and_seeds))


def judge_l5(rows) -> Verdict:
    """Schedulers at the lower rate two by two, then the two rates of each scheduler."""
    between, first, told = _between_schedulers(rows[rows["base_lr"] == LOW_LR])
    higher, second, gaps = _between_rates(rows)
    return Verdict(
        word=together([first, second]),
        seen=f"between schedulers at base_lr {LOW_LR}: {told}; base_lr {HIGH_LR} against {LOW_LR}: {gaps} (runs differ "
        f"in their seed){lost(rows)}",
        evidence=(*between, *higher),
    )


def _between_schedulers(rows) -> tuple[list[dict], Word, str]:
    from analysis.statistics.dispersion import detectable_spread_ratio, sd_ratio, spread_p
    from analysis.statistics.intervals import holm

    table = by_seed(rows, "scheduler")
    pairs = list(combinations(table, 2))
    ratios = [sd_ratio(table[a], table[b], 1 - (1 - CONFIDENCE) / len(pairs)) for a, b in pairs]
    p_values = holm([spread_p(table[a], table[b]) for a, b in pairs])
    detectable = detectable_spread_ratio(len(table), 0.0, 0.05 / len(pairs))
    evidence = [
        {
            "what": "SD of the one by SD of the other",
            "scheduler": str(a),
            "other": str(b),
            "base_lr": LOW_LR,
            "value": ratio.value,
            "low": ratio.low,
            "high": ratio.high,
            "holm_p": float(p),
            "detectable": detectable,
            "num_runs": ratio.n,
        }
        for (a, b), ratio, p in zip(pairs, ratios, p_values, strict=True)
    ]
    sds = table.std(ddof=1)
    spread = f"SDs from {points(sds.min())} to {points(sds.max())} points over {len(table)} seeds"
    told = [row for row in evidence if row["holm_p"] < 0.05]
    if told:
        most = min(told, key=lambda row: row["holm_p"])
        return evidence, "supported", f"{spread}, {len(told)} of {len(pairs)} pairs told apart ({_ratio(most)})"
    if all(row["low"] > 1 / ALIKE and row["high"] < ALIKE for row in evidence):
        return evidence, "refuted", f"{spread}, all pairs alike within a ratio of {ALIKE}"
    return evidence, "inconclusive", f"{spread}, no pair told apart (a ratio of {detectable:.1f} would have been seen)"


def _ratio(row: dict) -> str:
    return f"{row['scheduler']} by {row['other']} {row['value']:.2f}, Holm p {row['holm_p']:.3f}"


def _between_rates(rows) -> tuple[list[dict], Word, str]:
    from analysis.statistics.variance import distribution_gap, distribution_sd

    schedulers = list(dict.fromkeys(rows["scheduler"].astype(str)))
    evidence = []
    for scheduler in schedulers:
        low, high = (_right_on_shared_seeds(rows[rows["scheduler"] == scheduler], rate) for rate in (LOW_LR, HIGH_LR))
        gap = distribution_gap(high, low, 1 - (1 - CONFIDENCE) / len(schedulers))
        evidence.append(
            {
                "what": f"variance of accuracy on endless test images, base_lr {HIGH_LR} less {LOW_LR}",
                "scheduler": scheduler,
                "value": gap.value,
                "low": gap.low,
                "high": gap.high,
                "num_runs": gap.n,
                "note": f"SD {points(distribution_sd(high))} points against {points(distribution_sd(low))}",
            }
        )
    raised = sum(row["low"] > 0 for row in evidence)
    word = "supported" if raised == len(evidence) else "inconclusive"
    if any(row["high"] < 0 for row in evidence):
        word = "refuted"
    reach = max((row["high"] - row["low"]) / 2 for row in evidence)
    unseen = "" if word != "inconclusive" else f"; a gap of ({points(reach**0.5)} points)² would have been seen"
    return evidence, word, f"larger in {raised} of {len(evidence)} schedulers, e.g. {evidence[0]['note']}{unseen}"


def _right_on_shared_seeds(rows, base_lr: float):
    shared = set.intersection(
        *(set(part["seed"]) for _, part in rows[rows["status"] == "completed"].groupby("base_lr"))
    )
    return right_of(rows[(rows["base_lr"] == base_lr) & rows["seed"].isin(shared)])


# ------------------------------------------------------------------------------------------------------------------ L8


@claim(
    id="L8",
    where="C,G",
    kind="S",
    expected="yes (about 10 % false positives, 75 % false negatives)",
    source="arXiv 2103.03098",
)
def l8(room: Room) -> Verdict:
    """One run of each puts the worse of two schedulers first in more than one comparison of twenty."""
    return judge_l8(room.once(schedules_and_seeds))


def judge_l8(rows) -> Verdict:
    """Which is the worse one is known where all seeds together tell (paired t-test, Holm); only such pairs count.

    Order and rate of error come from the same seeds; as pairs that are told apart are the easier ones, that makes the
    rate too small if anything, and speaks against the statement.
    """
    from analysis.statistics.rankings import misranking_interval

    evidence, told = [], []
    for base_lr in (LOW_LR, HIGH_LR):
        table = by_seed(rows[rows["base_lr"] == base_lr], "scheduler")
        compared = _better_and_worse(table, base_lr)
        evidence += compared
        told += [(table[row["scheduler"]], table[row["other"]]) for row in compared if row["holm_p"] < 0.05]
    if not told:
        reach = max(row["detectable"] for row in evidence)
        seen = f"no pair of {len(evidence)} is told apart by all seeds together, so there is no right order to miss"
        seen += f" (a difference of {points(reach)} points would have been told){lost(rows)}"
        return Verdict(word="inconclusive", seen=seen, evidence=tuple(evidence))
    wrong = misranking_interval(told)
    span = f"{wrong.value:.0%} [{wrong.low:.0%}, {wrong.high:.0%}] of comparisons"
    seen = f"one run of each is in the wrong order in {span}, over the {len(told)} of {len(evidence)} pairs that all "
    seen += f"{wrong.n} seeds together tell apart{lost(rows)}"
    if wrong.low > MORE_THAN:
        return Verdict(word="supported", seen=seen, evidence=tuple(evidence))
    if wrong.high < MORE_THAN:
        return Verdict(word="refuted", seen=seen, evidence=tuple(evidence))
    seen += f"; {MORE_THAN + (wrong.high - wrong.low) / 2:.0%} would have been told from {MORE_THAN:.0%}"
    return Verdict(word="inconclusive", seen=seen, evidence=tuple(evidence))


def _better_and_worse(table, base_lr: float) -> list[dict]:
    """Return a row of evidence for each pair of schedulers, the one with the higher mean first."""
    from analysis.statistics.intervals import holm, paired_p
    from analysis.statistics.power import smallest_detectable
    from analysis.statistics.rankings import misranking

    by_mean = sorted(table, key=lambda arm: -table[arm].mean())
    pairs = list(combinations(by_mean, 2))
    differences = [table[better] - table[worse] for better, worse in pairs]
    return [
        {
            "what": "probability that one run of each is in the wrong order",
            "scheduler": better,
            "other": worse,
            "base_lr": base_lr,
            "value": misranking(table[better], table[worse]),
            "holm_p": float(p),
            "detectable": smallest_detectable(float(gap.std(ddof=1)), len(gap)),
            "num_runs": len(table),
            "note": f"means {points(gap.mean())} points apart{'' if p < 0.05 else ': not told apart'}",
        }
        for (better, worse), gap, p in zip(pairs, differences, holm([paired_p(d) for d in differences]), strict=True)
    ]


# ------------------------------------------------------------------------------------------------------------------ L9


@claim(
    id="L9",
    where="C,G",
    kind="S",
    expected="yes: the binomial formula overestimates about 2.5 times, the other fits",
    source="arXiv 2304.01910, sections 3 and 4",
)
def l9(room: Room) -> Verdict:
    """The SD of test accuracy over seeds is smaller than the binomial formula says, and is the one that independent
    errors of each test image predict."""
    rows = room.once(schedules_and_seeds)
    rows = rows[rows["base_lr"] == LOW_LR]
    return judge_l9({str(name): right_of(part) for name, part in rows.groupby("scheduler", observed=True, sort=False)})


def judge_l9(right_by_arm: dict) -> Verdict:
    """Each arm's SD against both predictions; intervals hold for all arms at once."""
    from analysis.statistics.variance import binomial_sd, independent_error_sd, sd_estimate

    confidence = 1 - (1 - CONFIDENCE) / len(right_by_arm)
    evidence = []
    for arm, right in right_by_arm.items():
        accuracies = right.mean(axis=1)
        found = sd_estimate(accuracies, confidence)
        predictions = {
            "binomial": binomial_sd(accuracies.mean(), right.shape[1]),
            "independent errors": independent_error_sd(right),
        }
        for formula, predicted in predictions.items():
            evidence.append(
                {
                    "what": formula,
                    "scheduler": arm,
                    "base_lr": LOW_LR,
                    "mean_accuracy": float(accuracies.mean()),
                    "accuracy_sd": found.value,
                    "predicted_sd": predicted,
                    "value": found.value / predicted,
                    "low": found.low / predicted,
                    "high": found.high / predicted,
                    "margin": ALIKE,
                    "num_runs": found.n,
                }
            )
    binomial, independent = ([r for r in evidence if r["what"] == what] for what in ("binomial", "independent errors"))
    first = "refuted" if any(r["low"] > 1 for r in binomial) else "inconclusive"
    first = "supported" if all(r["high"] < 1 for r in binomial) else first
    second = "refuted" if any(r["low"] > 1 or r["high"] < 1 for r in independent) else "inconclusive"
    second = "supported" if all(r["low"] > 1 / ALIKE and r["high"] < ALIKE for r in independent) else second
    word = together([first, second])
    reach = max(r["high"] / r["low"] for r in evidence) ** 0.5
    seen = (
        f"SD over {evidence[0]['num_runs']} seeds by the binomial formula {_ratios(binomial)}, by independent errors "
        f"{_ratios(independent)}, over {len(right_by_arm)} schedulers"
    )
    if word == "inconclusive":
        seen += f"; a ratio beyond {reach:.1f} would have been seen"
    return Verdict(word=word, seen=seen, evidence=tuple(evidence))


def _ratios(rows: list[dict]) -> str:
    values = [row["value"] for row in rows]
    outside = [row["scheduler"] for row in rows if row["low"] > 1 or row["high"] < 1]
    return f"{min(values):.2f} to {max(values):.2f} ({', '.join(outside) or 'none'} told from 1)"
