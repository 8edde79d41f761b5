"""L4, L6, L11 and L12: what is claimed of schedulers, warm-up and flags as recipes for accuracy.

L4 and L6 are of the cuDNN flags, which a CPU ignores: they ask for CUDA. The trials are small, so that many seeds can
be run; what they say is of this size of training. What this does *not* do: rank schedulers in general, or time them.
"""

from itertools import combinations

from lrbench.claims.frame import Room, Verdict, bound_after_none, claim
from lrbench.claims.spread import CONFIDENCE, SCHEDULERS, by_seed, lost, points

FLAG_ARMS = {"cudnn_benchmark": [False, True], "cudnn_deterministic": [False, True]}
# the digits at 32 x 32: convolutions large enough for cuDNN to have a choice
_ENLARGED = {"base": "digits-cnn", "image_size": 32, "model_args": {"in_channels": 1, "image_size": 32}}
WARMUP = {"kind": "linear", "fraction": 0.2}
HIGH_LR = 1.0  # ten times the recipe's own, at which a constant rate hardly learns
# shapes of L12, each moved at every optimizer step so that all end where they say
SHAPES = [
    {"name": "LinearDecayLR", "interval": "step"},
    {"name": "ConstantLR", "factor": 1.0, "interval": "step"},
    {"name": "StepLR", "step_size": "40%", "gamma": 0.1, "interval": "step"},
    {"name": "ExponentialLR", "gamma": 0.955, "interval": "step"},
    {"name": "CosineAnnealingLR", "interval": "step"},
]
LINEAR = "LinearDecayLR"
BASE_LRS = [0.0125, 0.025, 0.05, 0.1, 0.2]
TUNING_SEEDS, COMPARED_SEEDS = "100-103", "0-19"


# -------------------------------------------------------------------------------------------------------------- L4, L6


def schedulers_and_flags(room: Room):
    """Return the runs of four schedulers in the four arms of the cuDNN flags over 20 seeds."""
    grid = {"scheduler": SCHEDULERS, **FLAG_ARMS, "seed": "0-19"}
    return room.study("schedulers-and-flags", fixed={"workload": _ENLARGED}, grid=grid)


def in_arms(rows) -> dict:
    """Return {arm of the flags: (seeds, schedulers) of accuracy}, all with the same seeds and schedulers."""
    arms = {
        f"benchmark={benchmark}, deterministic={deterministic}": by_seed(part, "scheduler")
        for (benchmark, deterministic), part in rows.groupby(list(FLAG_ARMS))
    }
    seeds = sorted(set.intersection(*(set(table.index) for table in arms.values())))
    return {arm: table.loc[seeds] for arm, table in arms.items()}


@claim(id="L4", where="G", kind="S", expected="open", source="this suite's own question")
def l4(room: Room) -> Verdict:
    """The cuDNN flags move no scheduler's lead in accuracy over another by more than one SD over seeds."""
    rows = room.once(schedulers_and_flags)
    return judge_l4(in_arms(rows), lost(rows))


def judge_l4(arms: dict, missing: str = "") -> Verdict:
    """Each scheduler's lead on the first, in each arm less in the plain one; intervals hold for all at once."""
    import numpy as np

    from analysis.statistics.contrasts import interactions
    from analysis.statistics.intervals import holm, paired_interval, paired_p

    alike = _alike(arms)
    if alike:
        return Verdict(word="equivalent within margin", seen=f"{alike}{missing}")
    names, schedulers = list(arms), list(next(iter(arms.values())))
    contrasts = interactions(np.stack([table.to_numpy() for table in arms.values()], axis=2))
    margin = float(np.mean([table.std(ddof=1).mean() for table in arms.values()]))
    places = [(s, f) for s in range(contrasts.shape[1]) for f in range(contrasts.shape[2])]
    p_values = holm([paired_p(contrasts[:, s, f]) for s, f in places])
    evidence = []
    for (s, f), p in zip(places, p_values, strict=True):
        estimate = paired_interval(contrasts[:, s, f], 1 - 2 * (1 - CONFIDENCE) / len(places))
        evidence.append(
            {
                "what": f"lead in accuracy, {names[f + 1]} less {names[0]}",
                "scheduler": str(schedulers[s + 1]),
                "other": str(schedulers[0]),
                "value": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "margin": margin,
                "holm_p": float(p),
                "num_runs": estimate.n,
            }
        )
    largest = max(evidence, key=lambda row: abs(row["value"]))
    seen = (
        f"the largest of {len(evidence)} changes of a lead is {points(largest['value'])} points "
        f"[{points(largest['low'])}, {points(largest['high'])}] ({largest['scheduler']}, {largest['what']}); one "
        f"SD over seeds is {points(margin)} points{missing}"
    )
    beyond = [row for row in evidence if row["low"] > margin or row["high"] < -margin]
    if beyond:
        return Verdict(word="refuted", seen=f"{seen}; {len(beyond)} lie beyond it", evidence=tuple(evidence))
    if all(-margin < row["low"] and row["high"] < margin for row in evidence):
        return Verdict(word="equivalent within margin", seen=seen, evidence=tuple(evidence))
    reach = margin + max((row["high"] - row["low"]) / 2 for row in evidence)
    return Verdict(
        word="inconclusive", seen=f"{seen}; {points(reach)} points would have been seen", evidence=tuple(evidence)
    )


def _alike(arms: dict) -> str:
    """Say so where every run has the same accuracy in all arms: a count, which no interval describes."""
    plain, *others = arms.values()
    if not all(table.equals(plain) for table in others):
        return ""
    bound = f"at most {bound_after_none(plain.size):.0%} of runs would differ, 95 %"
    return f"each of {plain.size} runs has the same accuracy in all {len(arms)} arms, to the last image ({bound})"


@claim(id="L6", where="G", kind="S", expected="open", source="this suite's own question")
def l6(room: Room) -> Verdict:
    """The ranking of schedulers by accuracy is the same in every arm of the cuDNN flags."""
    rows = room.once(schedulers_and_flags)
    return judge_l6(in_arms(rows), lost(rows))


def judge_l6(arms: dict, missing: str = "") -> Verdict:
    """Kendall's tau of every two arms, and the schedulers whose rank intervals do not meet."""
    from analysis.statistics.rankings import moved, tau_interval

    evidence = []
    for (a, first), (b, second) in combinations(arms.items(), 2):
        tau = tau_interval(first.to_numpy(), second.to_numpy())
        elsewhere = [str(first.columns[arm]) for arm in moved(first.to_numpy(), second.to_numpy())]
        evidence.append(
            {
                "what": f"Kendall's tau of two orders: {a}; {b}",
                "value": tau.value,
                "low": tau.low,
                "high": tau.high,
                "num_runs": tau.n,
                "note": f"rank intervals do not meet: {', '.join(elsewhere)}" if elsewhere else "",
                "holds": not elsewhere,
            }
        )
    apart = sum(not row["holds"] for row in evidence)
    taus = [row["value"] for row in evidence if row["value"] == row["value"]]  # nan: all schedulers tie
    if not taus:
        seen = f"all schedulers tie in every arm, so there is no order to compare{missing}"
        return Verdict(word="inconclusive", seen=seen, evidence=tuple(evidence))
    seen = (
        f"Kendall's tau of {len(taus)} pairs of arms is {min(taus):.2f} to {max(taus):.2f}; in {apart} of them "
        f"some scheduler's rank intervals do not meet{missing}"
    )
    if apart:
        return Verdict(word="refuted", seen=seen, evidence=tuple(evidence))
    if min(taus) == 1 and len(taus) == len(evidence):
        return Verdict(word="supported", seen=seen, evidence=tuple(evidence))
    low = min(row["low"] for row in evidence)
    seen += f"; orders differ no more than these seeds' noise explains, and a tau below {low:.2f} would have been seen"
    return Verdict(word="inconclusive", seen=seen, evidence=tuple(evidence))


# ----------------------------------------------------------------------------------------------------------------- L11


@claim(
    id="L11",
    where="C,G",
    kind="S",
    expected="yes (ResNet110: 7.76 ± 0.69 to 6.28 ± 0.10 % error)",
    source="the README of pytorch_warmup",
)
def l11(room: Room) -> Verdict:
    """At a high rate a linear warm-up lowers the mean error, and narrows its spread over seeds."""
    rows = room.study(
        "warmup-at-a-high-rate",
        fixed={"workload": "digits-cnn", "base_lr": HIGH_LR, "scheduler": {"name": "CosineAnnealingLR"}},
        grid={"warmup": ["off", WARMUP], "seed": "0-29"},
    )
    table = by_seed(rows, "warmup")
    (warmed,) = [level for level in table if level != "off"]
    return judge_l11(table["off"].to_numpy(), table[warmed].to_numpy(), lost(rows))


def judge_l11(without, warmed, missing: str = "") -> Verdict:
    """Accuracies by seed, without and with the warm-up: the mean by a paired t-test, the spread by a paired one."""
    import numpy as np

    from analysis.statistics.dispersion import detectable_spread_ratio, sd_ratio, spread_p
    from analysis.statistics.intervals import holm, paired_interval, paired_p
    from analysis.statistics.power import smallest_detectable

    differences = np.asarray(warmed) - np.asarray(without)
    mean, ratio = paired_interval(differences), sd_ratio(warmed, without)
    p_mean, p_spread = (float(p) for p in holm([paired_p(differences), spread_p(warmed, without)]))
    detectable = (
        smallest_detectable(float(np.std(differences, ddof=1)), len(differences)),
        detectable_spread_ratio(len(differences)),
    )
    evidence = [
        {"what": what, "value": e.value, "low": e.low, "high": e.high, "holm_p": p, "detectable": d, "num_runs": e.n}
        for what, e, p, d in (
            ("accuracy, with less without warm-up", mean, p_mean, detectable[0]),
            ("SD over seeds, with by without warm-up", ratio, p_spread, detectable[1]),
        )
    ]
    evidence += [
        {
            "what": f"runs {what}",
            "base_lr": HIGH_LR,
            "mean_accuracy": float(np.mean(values)),
            "accuracy_sd": float(np.std(values, ddof=1)),
            "num_runs": len(values),
        }
        for what, values in (("without warm-up", without), ("with warm-up", warmed))
    ]
    better, narrower = mean.value > 0, ratio.value < 1
    told = [p_mean < 0.05, p_spread < 0.05]
    seen = (
        f"at base_lr {HIGH_LR:g} error {points(1 - np.mean(without))} ± {points(np.std(without, ddof=1))} % without "
        f"and {points(1 - np.mean(warmed))} ± {points(np.std(warmed, ddof=1))} % with it ({len(differences)} "
        f"seeds; Holm p {_p(p_mean)} of the mean, {_p(p_spread)} of the spread){missing}"
    )
    if (told[0] and not better) or (told[1] and not narrower):
        return Verdict(word="refuted", seen=seen, evidence=tuple(evidence))
    if all(told):
        return Verdict(word="supported", seen=seen, evidence=tuple(evidence))
    seen += (
        f"; {points(detectable[0])} points, or an SD smaller by a factor of {detectable[1]:.1f}, would have been seen"
    )
    return Verdict(word="inconclusive", seen=seen, evidence=tuple(evidence))


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


# ----------------------------------------------------------------------------------------------------------------- L12


@claim(
    id="L12",
    where="C,G",
    kind="S",
    expected="yes",
    source="arXiv 2310.07831, 2502.15938",
)
def l12(room: Room) -> Verdict:
    """Linear decay to zero is at least as accurate as the other shapes, each at its own best base_lr."""
    import pandas as pd

    fixed = {"workload": "digits-cnn"}
    tuning = room.study(
        "shapes-tuned", fixed=fixed, grid={"scheduler": SHAPES, "base_lr": BASE_LRS, "seed": TUNING_SEEDS}
    )
    chosen = best_rates(tuning)
    tables = {shape["name"]: shape for shape in SHAPES}
    parts = []
    for rate in sorted(set(chosen.values())):
        shapes = [tables[name] for name, best in chosen.items() if best == rate]
        grid = {"scheduler": shapes, "base_lr": [rate], "seed": COMPARED_SEEDS}
        parts.append(room.study(f"shapes-at-{rate:g}", fixed=fixed, grid=grid))
    rows = pd.concat(parts, ignore_index=True)
    return judge_l12(by_seed(rows, "scheduler_name"), chosen, lost(rows))


def best_rates(rows) -> dict[str, float]:
    """Return each scheduler's base_lr of the highest mean accuracy, the smaller of equal ones. A run that did not
    complete counts as accuracy 0."""
    accuracy = rows["final_accuracy"].where(rows["status"] == "completed", 0.0)
    means = accuracy.groupby([rows["scheduler_name"].astype(str), rows["base_lr"]]).mean()
    return {name: float(part.droplevel(0).idxmax()) for name, part in means.groupby(level=0)}


def judge_l12(table, chosen: dict[str, float], missing: str = "") -> Verdict:
    """Linear less each other, seed by seed; one SD of linear over seeds is the margin of "at least as"."""
    import numpy as np

    from analysis.statistics.intervals import holm, paired_interval, paired_p
    from analysis.statistics.power import smallest_detectable

    others = [name for name in table if name != LINEAR]
    margin = float(table[LINEAR].std(ddof=1))
    p_values = holm([paired_p(table[LINEAR] - table[name]) for name in others])
    evidence = []
    for name, p in zip(others, p_values, strict=True):
        differences = (table[LINEAR] - table[name]).to_numpy()
        estimate = paired_interval(differences, 1 - 2 * (1 - CONFIDENCE) / len(others))
        evidence.append(
            {
                "what": f"accuracy of {LINEAR} at base_lr {chosen[LINEAR]:g} less that of the other",
                "scheduler": LINEAR,
                "other": name,
                "base_lr": chosen[name],
                "mean_accuracy": float(table[name].mean()),
                "value": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "margin": margin,
                "holm_p": float(p),
                "detectable": smallest_detectable(float(np.std(differences, ddof=1)), estimate.n),
                "num_runs": estimate.n,
                "note": "its best rate is at the end of those tried"
                if chosen[name] in (BASE_LRS[0], BASE_LRS[-1])
                else "",
            }
        )
    told = ", ".join(f"{row['other']} at {row['base_lr']:g}: {100 * row['value']:+.2f}" for row in evidence)
    seen = (
        f"{LINEAR} at base_lr {chosen[LINEAR]:g}, {points(table[LINEAR].mean())} % over {len(table)} seeds, less the "
        f"others in points: {told}; margin {points(margin)} points (one SD over seeds){missing}"
    )
    worse = [row["other"] for row in evidence if row["holm_p"] < 0.05 and row["value"] < 0]
    if worse:
        return Verdict(word="refuted", seen=f"{seen}; better: {', '.join(worse)}", evidence=tuple(evidence))
    if all(row["low"] > 0 for row in evidence):
        return Verdict(word="supported", seen=seen, evidence=tuple(evidence))
    if all(row["low"] > -margin for row in evidence):
        return Verdict(word="equivalent within margin", seen=seen, evidence=tuple(evidence))
    reach = max(row["detectable"] for row in evidence)
    seen += f"; a difference of {points(reach)} points would have been seen"
    return Verdict(word="inconclusive", seen=seen, evidence=tuple(evidence))
