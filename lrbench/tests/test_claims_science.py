"""L4 to L12: the judgements on simulated truth, where what was planted is known, and the claims in real processes."""

import math
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.dispersion import detectable_spread_ratio
from lrbench.claims import frame, noise_sources, recipes, spread, tables
from lrbench.claims.frame import catalogue
from lrbench.claims.room import StudyRoom

CLAIMS = {"L4", "L5", "L6", "L7", "L8", "L9", "L10", "L11", "L12"}
SCHEDULERS = ["ConstantLR()", "StepLR()", "CosineAnnealingLR()", "LinearDecayLR()"]


def labels() -> np.ndarray:
    from sklearn.datasets import load_digits

    return load_digits().target[-359:]


def runs(rng, chances, num_seeds: int) -> list[np.ndarray]:
    """Predictions of so many runs; chances (images,) is how likely each image is got right, or (runs, images)."""
    truth = labels()
    right = rng.random((num_seeds, len(truth))) < np.asarray(chances)
    return list(np.where(right, truth, (truth + 1) % 10))


def rows_of(arms: dict, num_seeds: int = 24, seed: int = 0) -> pd.DataFrame:
    """Rows of runs: {(scheduler, base_lr): (mean accuracy, SD that all images of a run share)}."""
    rng, truth, found = np.random.default_rng(seed), labels(), []
    for (scheduler, base_lr), (mean, sd) in arms.items():
        hardness = rng.beta(9 * mean, 9 * (1 - mean), len(truth)) if mean < 1 else np.ones(len(truth))
        chances = np.clip(hardness + rng.normal(0, sd, (num_seeds, 1)), 0, 1)
        for number, predictions in enumerate(runs(rng, chances, num_seeds)):
            found.append(
                {
                    "scheduler": scheduler,
                    "base_lr": base_lr,
                    "seed": number,
                    "status": "completed",
                    "final_accuracy": float((predictions == truth).mean()),
                    "predictions": predictions,
                }
            )
    return pd.DataFrame(found)


def both_rates(low: tuple, high: tuple, **others) -> pd.DataFrame:
    arms = {(s, spread.LOW_LR): others.get(s.partition("(")[0], low) for s in SCHEDULERS}
    return rows_of(arms | {(s, spread.HIGH_LR): high for s in SCHEDULERS})


def table(means, sd: float, num_seeds: int = 12, seed: int = 0, names=SCHEDULERS) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = np.asarray(means) + rng.normal(0, 1, (num_seeds, len(means))) * np.asarray(sd)
    return pd.DataFrame(values, columns=list(names)[: len(means)])


def test_each_claim_is_registered_with_its_place():
    """The science claims have ids, kinds and places as the catalogue says: those of the flags ask for CUDA."""
    found = {claim.id: claim for claim in catalogue() if claim.id in CLAIMS}
    assert set(found) == CLAIMS
    assert {id for id, claim in found.items() if claim.where == "G"} == {"L4", "L6"}
    assert {claim.kind for claim in found.values()} == {"S"}
    assert not any(claim.gate for claim in found.values())


def test_the_notes_rest_on_claims_that_there_are():
    """Each id that a sentence of the notes names is in the catalogue, and each column of evidence in the table."""
    file = Path(frame.__file__).with_name("notes.toml")
    said = [
        name.partition(" ")
        for note in tomllib.loads(file.read_text(encoding="utf-8"))["note"]
        for part in ("so_if", "not_so_if", "beside")
        for name in note.get(part, [])
    ]
    assert {id for id, *_ in said} <= {claim.id for claim in catalogue()}
    assert {column for *_, column in said if column} == {"holds", "skips_first"}
    assert all(tables.EVIDENCE[column][0] == "bool" for *_, column in said if column)


# ----------------------------------------------------------------------------------------------------------- L5, L8, L9


def test_l5_finds_a_scheduler_that_scatters_more_and_a_rate_that_does():
    """One scheduler with four times the spread, and a rate that shakes all of them: both parts are supported."""
    found = spread.judge_l5(both_rates((0.95, 0.0), (0.8, 0.12), ConstantLR=(0.9, 0.05)))
    assert found.word == "supported"
    told = {row["scheduler"] for row in found.evidence if row.get("holm_p", 1) < 0.05}
    assert told == {"ConstantLR()"}
    assert "larger in 4 of 4 schedulers" in found.seen


def test_l5_says_what_it_could_have_seen():
    """Schedulers of one spread are not called different; the ratio that would have shown, of 24 seeds, is named."""
    found = spread.judge_l5(both_rates((0.95, 0.0), (0.85, 0.06)))
    assert found.word == "inconclusive"
    num_pairs = sum(row["what"] == "SD of the one by SD of the other" for row in found.evidence)
    assert f"a ratio of {detectable_spread_ratio(24, 0.0, 0.05 / num_pairs):.1f} would have been seen" in found.seen


def test_l5_is_refuted_where_the_higher_rate_scatters_less():
    """The second part the wrong way round refutes the whole statement."""
    assert spread.judge_l5(both_rates((0.85, 0.06), (0.95, 0.0), ConstantLR=(0.85, 0.0))).word == "refuted"


def test_labels_that_do_not_fit_are_refused():
    """Where the accuracy of a row is not that of its predictions the test part is another one, and nothing is said."""
    rows = both_rates((0.95, 0.0), (0.85, 0.06))
    rows.loc[3, "final_accuracy"] += 0.01
    with pytest.raises(ValueError, match="not those of the last images"):
        spread.right_of(rows[(rows["scheduler"] == SCHEDULERS[0]) & (rows["base_lr"] == spread.LOW_LR)])


def with_accuracies(gaps: dict, sd: float, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "scheduler": s,
            "base_lr": rate,
            "seed": n,
            "status": "completed",
            "final_accuracy": 0.9 + gap + rng.normal(0, sd),
        }
        for rate in (spread.LOW_LR, spread.HIGH_LR)
        for s, gap in gaps.items()
        for n in range(24)
    )


@pytest.mark.parametrize(
    ("gap", "sd", "word"),
    [(0.02, 0.02, "supported"), (0.05, 0.01, "refuted"), (0.0, 0.02, "inconclusive")],
)
def test_l8_counts_the_pairs_that_are_told_apart(gap, sd, word):
    """Two arms one SD apart are misranked by one run in about 24 %, five SDs apart hardly ever; where none is told
    apart there is no order to miss."""
    found = spread.judge_l8(with_accuracies({"A()": gap, "B()": 0.0}, sd))
    assert found.word == word
    if word == "supported":
        assert found.evidence[0]["value"] == pytest.approx(0.24, abs=0.1)
        assert (found.evidence[0]["scheduler"], found.evidence[0]["other"]) == ("A()", "B()")
    if word == "inconclusive":
        assert "points would have been told" in found.seen


def test_l8_leaves_out_what_did_not_complete_and_says_so():
    """A diverged run is in no comparison, and is counted in the sentence."""
    rows = with_accuracies({"A()": 0.02, "B()": 0.0}, 0.02)
    rows.loc[0, ["status", "final_accuracy"]] = ["diverged", math.nan]
    found = spread.judge_l8(rows)
    assert "1 of 96 runs did not complete" in found.seen
    assert {row["num_runs"] for row in found.evidence} == {23, 24}


def test_l9_holds_where_errors_are_independent():
    """Images of different hardness, got wrong independently: below the binomial formula, and as predicted."""
    rng = np.random.default_rng(0)
    hardness = rng.choice([0.02, 0.98, 1.0], p=[0.1, 0.1, 0.8], size=359)
    right = rng.random((150, 359)) < hardness
    found = spread.judge_l9({"A()": right})
    assert found.word == "supported"
    assert [row["value"] for row in found.evidence] == [pytest.approx(0.3, abs=0.1), pytest.approx(1.0, abs=0.15)]


def test_l9_is_refuted_where_a_run_is_bad_as_a_whole():
    """A spread that all images of a run share is more than independent errors predict."""
    rng = np.random.default_rng(0)
    right = rng.random((60, 359)) < 0.9 + rng.choice([-0.1, 0.05], size=(60, 1))
    found = spread.judge_l9({"A()": right})
    assert found.word == "refuted"
    assert found.evidence[1]["low"] > 1


# -------------------------------------------------------------------------------------------------------------- L7, L10


def layout(rows: float, rest: float, shape=(12, 3), seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.normal(0, rows, (shape[0], 1)) + rng.normal(0, rest, shape))


def test_l7_names_the_source_that_gives_less():
    """Of three sources one gives a hundredth of the variance: it alone is named."""
    layouts = {"init": layout(0, 1, seed=1), "order": layout(0, 1, seed=2), "dropout": layout(1, 0.1, seed=3)}
    found = noise_sources.judge_l7(layouts, "; repeats are equal")
    assert found.word == "refuted"
    assert found.seen.endswith("repeats are equal; less than all: dropout")


def test_l7_is_equivalent_where_each_is_as_good_as_all_and_many_runs_say_so():
    """With 100 rows the shares of sources that replace everything all lie above a half."""
    layouts = {name: layout(0, 1, (100, 3), seed) for seed, name in enumerate(("init", "order"))}
    assert noise_sources.judge_l7(layouts, "").word == "equivalent within margin"


def test_l7_says_which_share_it_could_have_seen():
    """With six rows nothing is told from all; the share that would have been is named."""
    found = noise_sources.judge_l7({"init": layout(0, 1, (6, 3), 5)}, "")
    assert found.word == "inconclusive"
    assert f"below {found.evidence[0]['detectable']:.2f} would have been" in found.seen


def test_l7_has_no_share_where_nothing_differs():
    """A layout of equal accuracies has no share, which is said in words."""
    found = noise_sources.judge_l7({"init": layout(0, 0)}, "")
    assert found.word == "inconclusive"
    assert "init unknown (no run differs)" in found.seen


def test_repeats_with_other_weights_are_counted():
    """One of four repeats has other weights, and no bound after none is given."""
    rows = pd.DataFrame(
        {"seed": [0, 0, 0, 1, 1, 1], "replicate": [0, 1, 2] * 2, "weights_sha256": list("aabccc")},
    )
    assert noise_sources._repeated(rows) == "1 of 4 repeats in a new process gave other weights"
    assert "at most 53%, 95 %" in noise_sources._repeated(rows.assign(weights_sha256="a"))


def poked(shares: dict, num_seeds: int = 12) -> pd.DataFrame:
    """Runs whose poked twin differs in so large a share of what a reseeded one differs in, at each length."""
    rng, found = np.random.default_rng(0), []
    for epochs, share in shares.items():
        for seed in range(num_seeds):
            weights, predictions = rng.normal(size=500), rng.integers(0, 10, 1_000)
            for ulps in (0, 1, 2):
                fresh = rng.random(1_000) < (share if ulps else 0)
                found.append(
                    {
                        "epochs": epochs,
                        "seed": seed,
                        "poke_ulps": ulps,
                        "status": "completed",
                        "final_accuracy": 0.9 + rng.normal(0, 0.01),
                        "predictions": np.where(fresh, rng.integers(0, 10, 1_000), predictions),
                        "weights_sample": weights + (share * rng.normal(size=500) if ulps else 0),
                    }
                )
    return pd.DataFrame(found)


@pytest.mark.parametrize(
    ("shares", "word"),
    [
        ({1: 0.01, 5: 0.2, 20: 0.8}, "supported"),
        ({1: 0.8, 5: 0.2, 20: 0.01}, "refuted"),
        ({1: 0.3, 20: 0.3}, "inconclusive"),
    ],
)
def test_l10_follows_what_was_planted(shares, word):
    """A poke whose trace grows with training is found, one whose trace fades refutes, and one that stays says what
    rise would have been seen."""
    found = noise_sources.judge_l10(poked(shares))
    assert found.word == word
    churn = [row["value"] for row in found.evidence if row["what"].startswith("churn")]
    assert churn == [pytest.approx(share, abs=0.05) for share in dict(sorted(shares.items())).values()]
    assert ("would have been seen" in found.seen) == (word == "inconclusive")


def test_a_poke_that_does_nothing_has_ratio_none():
    """Where poked runs are the same to the bit the churn is 0 of that between seeds, without an error."""
    found = noise_sources.judge_l10(poked({1: 0.0, 5: 0.0}))
    assert found.word == "inconclusive"
    assert {row["value"] for row in found.evidence if row["what"].startswith("churn")} == {0.0}


# --------------------------------------------------------------------------------------------------------------- L4, L6

ARMS = [f"benchmark={b}, deterministic={d}" for b in (False, True) for d in (False, True)]
MEANS = [0.90, 0.92, 0.95, 0.97]


def arms(*, shift=(0, 0, 0, 0), sd: float = 0.005, num_seeds: int = 12, means=MEANS) -> dict:
    """Accuracies in the four arms of the flags; `shift` is added to each scheduler's in the last arm."""
    tables_ = {arm: table(means, sd, num_seeds, seed) for seed, arm in enumerate(ARMS)}
    tables_[ARMS[-1]] = tables_[ARMS[-1]] + np.asarray(shift)
    return tables_


def test_l4_finds_a_flag_that_moves_one_scheduler():
    """Five SDs on one scheduler in one arm alone: refuted, and it is the one that is named."""
    found = recipes.judge_l4(arms(shift=(0, 0, 0.025, 0)))
    assert found.word == "refuted"
    assert f"(CosineAnnealingLR(), lead in accuracy, {ARMS[-1]} less {ARMS[0]})" in found.seen


def test_l4_lets_a_flag_help_all_alike():
    """A flag that moves every scheduler alike moves no lead: with 150 seeds equivalent, with 6 it cannot be said."""
    assert recipes.judge_l4(arms(shift=(0.05,) * 4, num_seeds=150)).word == "equivalent within margin"
    few = recipes.judge_l4(arms(shift=(0.05,) * 4, num_seeds=6))
    assert few.word == "inconclusive"
    assert "points would have been seen" in few.seen


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (arms(), "supported"),
        (arms(shift=(0.08, 0, 0, -0.08)), "refuted"),
        (arms(means=[0.9] * 4, sd=0.02), "inconclusive"),
    ],
    ids=["one order", "ends swapped in one arm", "no order at all"],
)
def test_l6_tells_an_order_that_changes_from_one_that_is_noise(given, word):
    """The same order everywhere is supported, ends that swap in one arm refute, and equal schedulers decide nothing."""
    found = recipes.judge_l6(given)
    assert found.word == word
    assert len(found.evidence) == 6


def test_schedulers_that_all_tie_have_no_order():
    """Equal accuracies everywhere rank nobody: inconclusive, in words."""
    found = recipes.judge_l6({arm: table([0.9] * 4, 0.0) for arm in ARMS})
    assert found.word == "inconclusive"
    assert found.seen == "all schedulers tie in every arm, so there is no order to compare"


def test_arms_keep_the_seeds_that_all_have():
    """A run that is missing in one arm takes its seed out of all of them: the arms stay comparable."""
    rows = pd.DataFrame(
        {
            "cudnn_benchmark": b,
            "cudnn_deterministic": d,
            "scheduler": s,
            "seed": n,
            "status": "completed" if (b, d, s, n) != (True, True, "A()", 1) else "crashed",
            "final_accuracy": 0.5,
        }
        for b in (False, True)
        for d in (False, True)
        for s in ("A()", "B()")
        for n in range(3)
    )
    found = recipes.in_arms(rows)
    assert list(found) == ARMS
    assert all(list(part.index) == [0, 2] for part in found.values())


# ------------------------------------------------------------------------------------------------------------- L11, L12


@pytest.mark.parametrize(
    ("means", "sds", "word"),
    [
        ([0.80, 0.92], [0.10, 0.02], "supported"),
        ([0.92, 0.80], [0.10, 0.02], "refuted"),
        ([0.80, 0.92], [0.02, 0.10], "refuted"),
        ([0.90, 0.90], [0.02, 0.02], "inconclusive"),
    ],
    ids=["better and narrower", "worse", "wider", "the same"],
)
def test_l11_wants_both_parts(means, sds, word):
    """Lower error and narrower spread together support it; either the other way round refutes it."""
    values = table(means, sds, 30)
    found = recipes.judge_l11(values.iloc[:, 0], values.iloc[:, 1])
    assert found.word == word
    assert ("would have been seen" in found.seen) == (word == "inconclusive")


def test_the_best_rate_is_that_of_the_highest_mean():
    """0.2 has the higher mean of two seeds, a crash counts as 0, and of equal rates the smaller is taken."""
    rows = pd.DataFrame(
        [
            ("A", 0.1, "completed", 0.8),
            ("A", 0.1, "completed", 0.9),
            ("A", 0.2, "completed", 0.9),
            ("A", 0.2, "completed", 0.9),
            ("A", 0.4, "completed", 0.99),
            ("A", 0.4, "diverged", math.nan),
            ("B", 0.1, "completed", 0.7),
            ("B", 0.2, "completed", 0.7),
        ],
        columns=["scheduler_name", "base_lr", "status", "final_accuracy"],
    )
    assert recipes.best_rates(rows) == {"A": 0.2, "B": 0.1}


NAMES = [shape["name"] for shape in recipes.SHAPES]
RATES = dict.fromkeys(NAMES, 0.1) | {"StepLR": 0.2}


@pytest.mark.parametrize(
    ("means", "sd", "num_seeds", "word"),
    [
        ([0.96, 0.94, 0.94, 0.94, 0.94], 0.01, 20, "supported"),
        ([0.96, 0.94, 0.94, 0.94, 0.98], 0.01, 20, "refuted"),
        ([0.96, 0.96, 0.96, 0.96, 0.96], 0.01, 80, "equivalent within margin"),
        ([0.96, 0.96, 0.96, 0.96, 0.96], 0.01, 5, "inconclusive"),
    ],
)
def test_l12_follows_what_was_planted(means, sd, num_seeds, word):
    """Better than all is supported, one that is better refutes, equal ones are equivalent where enough seeds say so."""
    found = recipes.judge_l12(table(means, sd, num_seeds, names=NAMES), RATES)
    assert found.word == word
    assert ("better: CosineAnnealingLR" in found.seen) == (word == "refuted")
    assert {row["other"]: row["note"] for row in found.evidence}[
        "StepLR"
    ] == "its best rate is at the end of those tried"


# ---------------------------------------------------------------------------------------------------- real processes


class SmallRoom(StudyRoom):
    """A room whose studies are cut down: three seeds, an epoch or five. The claims see real rows, if few."""

    def study(self, name, *, fixed, grid, replicates=1, **run):
        grid = {**grid, "seed": [0, 1, 2]}
        grid |= {"epochs": [1, 5]} if "epochs" in grid else {}
        grid |= {"base_lr": grid["base_lr"][:2]} if "base_lr" in grid else {}
        fixed = fixed if "epochs" in grid else {**fixed, "epochs": 1}
        return super().study(name, fixed=fixed, grid=grid, replicates=replicates, **run)


@pytest.fixture(scope="module")
def small_room(tmp_path_factory) -> SmallRoom:
    return SmallRoom(tmp_path_factory.mktemp("rooms"), "cpu")


@pytest.mark.slow
@pytest.mark.parametrize(
    "judge",
    [spread.l5, spread.l8, spread.l9, noise_sources.l10, noise_sources.l7, recipes.l11, recipes.l12],
    ids=lambda judge: judge.__name__,
)
def test_a_claim_judges_real_rows(judge, small_room):
    """From the study to the evidence: real trials, a verdict that says what was seen, rows that the table takes."""
    check(judge(small_room))


@pytest.mark.slow
def test_the_claims_of_the_flags_judge_real_rows(small_room, monkeypatch):
    """L4 and L6 ask for CUDA; on a CPU, where the flags do nothing, all arms are alike to the bit and both say so."""
    monkeypatch.setattr(recipes, "SCHEDULERS", spread.SCHEDULERS[:2])
    fourth, sixth = recipes.l4(small_room), recipes.l6(small_room)
    check(sixth)
    assert fourth.word == "equivalent within margin"
    assert fourth.seen.startswith("each of 6 runs has the same accuracy in all 4 arms")
    assert all(row["holds"] for row in sixth.evidence)


def check(verdict) -> None:
    assert verdict.evidence
    for row in verdict.evidence:
        tables.checked({"id": "L0", "row": 0, **row}, tables.EVIDENCE)
    assert "nan" not in verdict.seen
