"""L7 and L10: which sources of randomness make runs scatter, and how that grows with the length of training.

A stream is varied alone while the others follow the row's seed; one weight moved by an ulp is the smallest disturbance
that there is. What this does *not* do: compare schedulers (`lrbench.claims.spread` does), or say where on a GPU noise
comes from.
"""

from itertools import pairwise

from lrbench.claims.frame import Room, Verdict, Word, bound_after_none, claim
from lrbench.claims.spread import CONFIDENCE, by_seed, together

HALF = 0.5  # a source that gives at least half of the variance by itself counts as giving as much as all
STREAMS = ("seed_init", "seed_order", "seed_augmentation", "seed_dropout")
_AUGMENTED = {"base": "digits-cnn", "crop_padding": 1}
_ROWS, _LENGTHS = "0-11", [1, 5, 20]


def pokes_and_lengths(room: Room):
    """Return runs of three lengths over 12 seeds, each as it is and with one weight moved by 1 and 2 ulps: L7, L10."""
    grid = {"epochs": _LENGTHS, "poke_ulps": [0, 1, 2], "seed": _ROWS}
    return room.study("pokes-and-lengths", fixed={"workload": _AUGMENTED}, grid=grid)


def repeats(room: Room):
    """Return repeats of one trial in new processes, for 12 seeds: what the kernels add by themselves."""
    return room.study("repeats", fixed={"workload": _AUGMENTED}, grid={"seed": _ROWS}, replicates=3)


# ------------------------------------------------------------------------------------------------------------------ L7


@claim(
    id="L7",
    where="C,G",
    kind="S",
    expected="all alike for long runs",
    source="arXiv 2103.04514 and its replication: SD 0.21 to 0.26 points for every single source",
)
def l7(room: Room) -> Verdict:
    """Each source of randomness alone (init, order, augmentation, dropout, one weight moved by an ulp; on CUDA the
    kernels too) spreads accuracy as much as all of them together."""
    layouts = {}
    for stream in STREAMS:
        rows = room.study(
            f"only-{stream}", fixed={"workload": _AUGMENTED}, grid={"seed": _ROWS, stream: [1000, 1001, 1002]}
        )
        layouts[stream.removeprefix("seed_")] = by_seed(rows, stream)
    pokes = room.once(pokes_and_lengths)
    layouts["one-ulp poke"] = by_seed(pokes[pokes["epochs"] == 5], "poke_ulps")
    again = room.once(repeats)
    if room.device.startswith("cuda"):
        return judge_l7({**layouts, "kernels": by_seed(again, "replicate")}, "")
    return judge_l7(layouts, f"; on this CPU {_repeated(again)}")


def _repeated(rows) -> str:
    """Say of how many repeats the weights came out otherwise."""
    first = rows[rows["replicate"] == 0].set_index("seed")["weights_sha256"]
    again = rows[rows["replicate"] > 0]
    others = int((again["weights_sha256"] != again["seed"].map(first)).sum())
    bound = f" (at most {bound_after_none(len(again)):.0%}, 95 %)" if not others else ""
    return f"{others} of {len(again)} repeats in a new process gave other weights{bound}"


def judge_l7(layouts: dict, about_repeats: str) -> Verdict:
    """Each layout is (seeds of all else, levels of one source); the share is what changing that source alone gives."""
    from analysis.statistics.variance import detectable_share, share_of_columns

    confidence = 1 - (1 - CONFIDENCE) / len(layouts)
    shares = {source: share_of_columns(table, confidence) for source, table in layouts.items()}
    evidence = [
        {
            "what": f"share of the variance that {source} gives alone",
            "value": share.value,
            "low": share.low,
            "high": share.high,
            "margin": HALF,
            "num_runs": layouts[source].size,
            "detectable": detectable_share(*layouts[source].shape, level=(1 - confidence) / 2),
        }
        for source, share in shares.items()
    ]
    told = ", ".join(f"{source} {_share(share)}" for source, share in shares.items())
    seen = f"share of the variance of accuracy that each gives alone, 1 being as much as all: {told}{about_repeats}"
    less = [source for source, share in shares.items() if share.high < 1]
    if less:
        return Verdict(word="refuted", seen=f"{seen}; less than all: {', '.join(less)}", evidence=tuple(evidence))
    if all(share.low > HALF for share in shares.values()):
        return Verdict(word="equivalent within margin", seen=f"{seen}; each above {HALF}", evidence=tuple(evidence))
    reach = min(row["detectable"] for row in evidence)
    seen += f"; none is told from all, and a share below {reach:.2f} would have been"
    return Verdict(word="inconclusive", seen=seen, evidence=tuple(evidence))


def _share(share) -> str:
    return f"{share.value:.2f} [{share.low:.2f}, {share.high:.2f}]" if share.bounded else "unknown (no run differs)"


# ----------------------------------------------------------------------------------------------------------------- L10


@claim(
    id="L10",
    where="C,G",
    kind="S",
    expected="yes",
    source="arXiv 2103.04514",
)
def l10(room: Room) -> Verdict:
    """The longer the training, the nearer a run whose one weight was moved by an ulp comes to a reseeded one: churn and
    weight distance of the two, as a share of those between seeds, rise with the number of epochs."""
    return judge_l10(room.once(pokes_and_lengths))


def judge_l10(rows) -> Verdict:
    """Ratios at each length; the longest against the shortest, seeds resampled for both together."""
    from analysis.statistics.variance import ratio_of_means, share_of_columns

    evidence, draws = [], {}
    lengths = sorted(rows["epochs"].unique().tolist())
    for epochs in lengths:
        part = rows[rows["epochs"] == epochs]
        for what, values in (("churn", _churn), ("weight distance", _distance)):
            poked, reseeded = _distances(part, values)
            ratio, draws[epochs, what] = ratio_of_means(poked, reseeded)
            evidence.append(
                {
                    "what": f"{what}: poked by an ulp, as a share of reseeded",
                    "num_epochs": int(epochs),
                    "value": ratio.value,
                    "low": ratio.low,
                    "high": ratio.high,
                    "num_runs": ratio.n,
                    "note": f"mean {sum(poked) / len(poked):.3g} against {sum(reseeded) / len(reseeded):.3g}",
                }
            )
        share = share_of_columns(by_seed(part, "poke_ulps"))
        evidence.append(
            {
                "what": "variance of accuracy: pokes alone, as a share of all",
                "num_epochs": int(epochs),
                "value": share.value,
                "low": share.low,
                "high": share.high,
                "num_runs": share.n,
            }
        )
    words, told = zip(*(_rise(draws, lengths, what, evidence) for what in ("churn", "weight distance")), strict=True)
    return Verdict(
        word=together(list(words)),
        seen=f"share of the difference between seeds at {', '.join(map(str, lengths))} epochs: {'; '.join(told)}",
        evidence=tuple(evidence),
    )


def _distances(rows, values) -> tuple[list[float], list[float]]:
    """Return, for each seed, how far its poked run is from it, and how far the next seed's run is."""
    runs = {(row.seed, row.poke_ulps): row for row in rows[rows["status"] == "completed"].itertuples()}
    seeds = sorted({seed for seed, _ in runs if (seed, 0) in runs and (seed, 1) in runs})
    poked = [values(runs[seed, 0], runs[seed, 1]) for seed in seeds]
    return poked, [values(runs[a, 0], runs[b, 0]) for a, b in pairwise([*seeds, seeds[0]])]


def _churn(one, other) -> float:
    return float((one.predictions != other.predictions).mean())


def _distance(one, other) -> float:
    import numpy as np

    a, b = (np.asarray(run.weights_sample, dtype=float) for run in (one, other))
    return float(np.linalg.norm(a - b) / np.linalg.norm(a))


def _rise(draws: dict, lengths: list[int], what: str, evidence: list[dict]) -> tuple[Word, str]:
    import numpy as np

    values = [row["value"] for row in evidence if row["what"].startswith(f"{what}:")]
    rises = draws[lengths[-1], what] - draws[lengths[0], what]
    known = rises[np.isfinite(rises)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (-np.inf, np.inf)
    word = "supported" if low > 0 else "refuted" if high < 0 else "inconclusive"
    told = f"{what} {', '.join(f'{value:.2g}' for value in values)}"
    if word == "inconclusive":
        told += f" (a rise of {(high - low) / 2:.2g} would have been seen)"
    return word, told
