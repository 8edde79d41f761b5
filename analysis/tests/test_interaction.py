"""Interactions of two factors: contrasts by hand, permutation p by hand, calibrated, and on planted rows."""

import numpy as np
import pytest

from analysis.interaction import answer, applies
from analysis.page.wording import displayed
from analysis.statistics import contrasts
from analysis.statistics.contrasts import crossings, interaction_p, interactions
from analysis.tests.simulate import Truth, simulate, study_of

SCHEDULERS = ["ConstantLR(factor=1.0)", "StepLR(step_size=1, gamma=0.5)", "CosineAnnealingLR(T_max=4)"]
NOISY = Truth(seed_sd=0.01, identical=False, identical_if_deterministic=False, run_sd=0.003, inert=False, accuracy=0.9)


def test_interactions_by_hand():
    """Only what the flag does to one scheduler and not to the first is left; a flag that helps all alike leaves 0."""
    plain = np.array([[[0.90, 0.92], [0.80, 0.82]]])  # one seed, two schedulers, two arms: +0.02 for both
    assert interactions(plain) == pytest.approx(np.zeros((1, 1, 1)))
    crossed = np.array([[[0.90, 0.92], [0.80, 0.87]]])
    assert interactions(crossed) == pytest.approx(np.array([[[0.05]]]))


def test_the_permutation_p_by_hand():
    """Of 2 × 2 tables it is the sign-flip test of the contrasts: 1, 2 and 3 are met by one turn of four, p = 0.25."""
    tables = [[[0.0, 0.0], [0.0, contrast]] for contrast in (1.0, 2.0, 3.0)]
    assert interaction_p(tables) == 0.25
    assert interaction_p([[[1.0, 2.0], [3.0, 4.0]]] * 5) == 1.0  # the factors add up on every seed


@pytest.mark.parametrize("num_seeds", [6, 20])
@pytest.mark.parametrize("shape", ["normal", "heavy", "uneven"])
def test_factors_that_add_up_are_rarely_said_not_to(num_seeds, shape):
    """Of 300 studies in which a flag and a seed add to every scheduler alike at most 8 % have p up to 5 %, be the noise
    normal, heavy-tailed, or larger in one arm."""
    rng, rejected = np.random.default_rng(1), 0
    for _ in range(300):
        noise = rng.standard_t(3, (num_seeds, 3, 2)) if shape == "heavy" else rng.normal(size=(num_seeds, 3, 2))
        noise[:, 2, 1] *= 4.0 if shape == "uneven" else 1.0
        tables = noise + rng.normal(size=(num_seeds, 1, 1)) + np.arange(3)[:, None] + np.array([0.0, 2.0])
        rejected += interaction_p(tables, num_permutations=300) <= 0.05
    assert rejected / 300 <= 0.08


def test_the_permutation_repeats_for_its_seed_alone():
    """The same seed gives the same p, another one another: above 12 seeds turns are random."""
    tables = np.random.default_rng(2).normal(size=(15, 3, 2))
    first, again, other = (interaction_p(tables, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def crossed(num_seeds: int = 10, shift: float = 0.0, truth: Truth = NOISY):
    """Return rows in which cudnn_benchmark takes `shift` from StepLR alone."""
    grid = {"seed": f"0-{num_seeds - 1}", "scheduler": SCHEDULERS, "cudnn_benchmark": [False, True]}
    rows = simulate(study_of(replicates=1, grid=grid), truth)
    hit = (rows["scheduler_name"] == "StepLR") & rows["cudnn_benchmark"]
    return rows.assign(final_accuracy=rows["final_accuracy"] - shift * hit)


def test_a_planted_interaction_is_found_and_named():
    """A flag that takes three points from one scheduler moves that lead, and no other."""
    rows = crossed(shift=0.03)
    assert applies(rows)
    (crossing,) = crossings(rows)
    told = {c.arm.partition("(")[0] for c in crossing.contrasts if c.judgement.told_apart}
    assert told == {"StepLR"}
    assert crossing.overall_p["cudnn_benchmark"] < 0.01
    first = answer(rows).sentences[0]
    assert first.startswith("cudnn_benchmark=True moves the lead of StepLR over ConstantLR by −")


def test_intervals_of_a_contrast_hold_the_truth():
    """In 60 studies with a shift of one point the interval holds it in at least 54."""
    held, rows = 0, crossed(num_seeds=8)
    rng = np.random.default_rng(3)
    for _ in range(60):
        noise = rng.normal(0.9, 0.005, len(rows))
        hit = (rows["scheduler_name"] == "StepLR") & rows["cudnn_benchmark"]
        (crossing,) = crossings(rows.assign(final_accuracy=noise - 0.01 * hit))
        estimate = next(c for c in crossing.contrasts if c.arm.startswith("StepLR")).judgement.estimate
        held += estimate.low <= -0.01 <= estimate.high
    assert held >= 54


def test_identical_contrasts_are_counted_and_not_tested():
    """Where a flag changes no bit every contrast is exactly 0: a count with its bound, and no p in the table."""
    rows = crossed(truth=Truth(seed_sd=0.01, inert=False))
    found = answer(rows)
    assert "all 2 contrasts with ConstantLR are exactly 0 on each of 10 seeds" in found.sentences[0]
    assert "at most 25.9%" in found.sentences[0]  # 1 - 0.05 ** (1 / 10)
    assert found.table["holm_p"].isna().all()


def test_flags_on_a_cpu_are_no_question():
    """A CPU has no cuDNN: the study gets no such answer, and asked nevertheless it says as it must be."""
    rows = crossed(truth=Truth(inert=True))
    assert not applies(rows)
    assert "as it must be on a CPU" in answer(rows).sentences[0]


@pytest.mark.parametrize("num_seeds", [1, 2, 10])
def test_every_size_can_be_read_and_drawn(num_seeds):
    """No text holds nan, and the figure is drawn; rows without a flag are said to have no such question."""
    found = answer(crossed(num_seeds))
    texts = " ".join([*found.sentences, *displayed(found.table).astype(str).to_numpy().ravel()])
    assert "nan" not in texts.lower().split()
    assert found.figure().get_axes()
    none = answer(crossed(num_seeds).query("cudnn_benchmark == False"))
    assert none.verdict == "not testable here"


@pytest.mark.parametrize("missing", ["nothing", "a level on every seed", "all but one seed"])
def test_whether_it_applies_is_whether_contrasts_are_found(missing):
    """It applies exactly where `crossings` finds contrasts: not where no seed has both levels of both schedulers."""
    rows = crossed(num_seeds=4)
    flagged = rows["cudnn_benchmark"] & rows["scheduler_name"].isin(["StepLR", "CosineAnnealingLR"])
    lost = {
        "nothing": flagged & False,
        "a level on every seed": flagged,
        "all but one seed": flagged & (rows["seed"] > 0),
    }
    rows["status"] = rows["status"].astype(object).mask(lost[missing], "crashed")
    assert applies(rows) == bool(crossings(rows)) == (missing != "a level on every seed")


def test_turns_drawn_at_once_are_those_drawn_one_by_one(monkeypatch):
    """The p of 15 seeds does not depend on how many turns are held in memory."""
    tables = np.random.default_rng(2).normal(size=(15, 3, 2))
    at_once = interaction_p(tables)
    monkeypatch.setattr(contrasts, "_MOST_SIGNS", 15 * 7)
    assert interaction_p(tables) == at_once
