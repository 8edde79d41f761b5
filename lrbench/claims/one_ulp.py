"""V19: one weight moved by one ulp, the smallest change there is: seen at once, and what it grows to.

What this does *not* do: say where variance comes from (`lrbench.claims.spread` does).
"""

from lrbench.claims.frame import Room, Verdict, claim
from lrbench.watch import STEP_DIGESTS, Watch

# Trains well (about 95 % of the test images) in 700 steps, at a rate so high for its batch that small differences
# grow. The warm-up keeps the first update small against the weight: a large one would round the ulp away.
RECIPE = {
    "workload": {"base": "digits-cnn", "train_limit": 640},
    "batch_size": 16,
    "base_lr": 0.2,
    "warmup": {"kind": "linear", "steps": 20},
}
SHORT_EPOCHS, LONG_EPOCHS, NUM_SEEDS = 1, 20, 10
NEAR = 0.5  # the churn of a poke is near that of a reseed where it is more than this share of it


@claim(
    id="V19",
    where="C",
    kind="S",
    expected="positive control",
    source="arXiv 2103.04514 (one bit of one weight gives the variability of a new seed)",
    gate=True,
)
def v19(room: Room) -> Verdict:
    """One weight moved by one ulp at the start gives other weights after the first step, and by the end of a long
    training churn near that of another seed."""
    grid = {"poke_ulps": [0, 1], "seed": f"0-{NUM_SEEDS - 1}"}
    run = {"grid": grid, "device": "cpu"}
    short = room.study("one-ulp-short", fixed={**RECIPE, "epochs": SHORT_EPOCHS}, watch=Watch(digest_every=1), **run)
    long = room.study("one-ulp-long", fixed={**RECIPE, "epochs": LONG_EPOCHS}, **run)
    return judge_v19(short, long)


def judge_v19(short, long) -> Verdict:
    """Judge the rows of poked and plain trials: short ones with digests at each step, and long ones."""
    from analysis.statistics.variance import ratio_of_means

    first = first_step(short)
    evidence = [*first, *churn(short, SHORT_EPOCHS), *churn(long, LONG_EPOCHS)]
    told = {}
    for epochs in (SHORT_EPOCHS, LONG_EPOCHS):
        rows = [row for row in evidence if row["what"] == "churn" and row["num_epochs"] == epochs]
        poke, reseed = ([row[name] for row in rows] for name in ("poke_churn", "reseed_churn"))
        ratio, _ = ratio_of_means(poke, reseed)
        told[epochs] = (sum(poke) / len(poke), sum(reseed) / len(reseed), ratio)
        numbers = {"value": ratio.value, "low": ratio.low, "high": ratio.high}
        evidence.append({"what": "churn of a poke by that of a reseed", "num_epochs": epochs, **numbers})
    at_once = all(row["holds"] for row in first)
    poke, reseed, ratio = told[LONG_EPOCHS]
    short_poke, short_reseed, short_ratio = told[SHORT_EPOCHS]
    too_short = ": too short to show it" if short_ratio.high < NEAR else ""
    word = "refuted" if not at_once or ratio.high < NEAR else "supported" if ratio.low > NEAR else "inconclusive"
    return Verdict(
        word=word,
        seen=f"other weights after step 1 in {sum(row['holds'] for row in first)} of {len(first)} seeds; after "
        f"{LONG_EPOCHS} epochs a poke changes {poke:.1%} of test predictions and another seed {reseed:.1%}, a ratio of "
        f"{ratio.value:.2f} (95 % {ratio.low:.2f} to {ratio.high:.2f}, bootstrap over {ratio.n} seeds; near is above "
        f"{NEAR}); after {SHORT_EPOCHS} epoch {short_poke:.1%} and {short_reseed:.1%}{too_short}",
        evidence=tuple(evidence),
    )


def first_step(rows) -> list[dict]:
    """Return for each seed what differs after the first step; what goes into the step must not."""
    found = []
    for seed, of_seed in rows.sort_values("poke_ulps").groupby("seed"):
        plain, poked = (row for _, row in of_seed.iterrows())
        differ = [name for name in STEP_DIGESTS if plain[f"{name}_xxh3"][0] != poked[f"{name}_xxh3"][0]]
        completed = (of_seed["status"] == "completed").all()
        found.append(
            {
                "what": "the first step",
                "seed": int(seed),
                "step": 1,
                "differs": ", ".join(differ),
                "holds": bool(completed and "weights" in differ and not {"order", "images", "rng", "lr"} & set(differ)),
            }
        )
    return found


def churn(rows, num_epochs: int) -> list[dict]:
    """Return for each seed the share of test images that its poked twin, and the next seed, class otherwise."""
    import numpy as np

    by_ulps = {ulps: part.sort_values("seed")["predictions"].tolist() for ulps, part in rows.groupby("poke_ulps")}
    plain, poked = ([np.asarray(predictions) for predictions in by_ulps[ulps]] for ulps in (0, 1))
    return [
        {
            "what": "churn",
            "seed": seed,
            "num_epochs": num_epochs,
            "poke_churn": float(np.mean(plain[seed] != poked[seed])),
            "reseed_churn": float(np.mean(plain[seed] != plain[(seed + 1) % len(plain)])),
        }
        for seed in range(len(plain))
    ]
