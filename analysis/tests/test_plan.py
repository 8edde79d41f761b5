"""What a study will be able to see: the predicted power is reached, families are counted as they will be compared."""

import math

import numpy as np
import pytest
from scipy import special, stats
from statsmodels.stats.power import TTestPower

from analysis.plan import Scatter, blind_spots, scatter_in, sight, sights
from analysis.statistics.intervals import holm
from analysis.statistics.spending import t_levels
from analysis.tests.looking import over_looks
from analysis.tests.simulate import Truth, simulate, study_of
from lrbench.questions import Compare

CONSTANT = {"name": "ConstantLR", "factor": 1.0}
STEP, COSINE = {"name": "StepLR", "step_size": 2}, {"name": "CosineAnnealingLR"}
THREE = [CONSTANT, STEP, COSINE]
SCHEDULERS = Compare(factor="scheduler")


def known(sd: float, margin: float = math.nan) -> Scatter:
    """A scatter as stored rows would give it."""
    return Scatter(sd=sd, num_comparisons=1, num_units=10, degrees=9, margin=margin, paired=True, folder="results/x")


# --------------------------------------------------------------------------------------------------------------- power


@pytest.mark.parametrize("num_units", [3, 8, 20])
@pytest.mark.parametrize("family_size", [1, 6])
def test_what_is_seen_agrees_with_statsmodels(num_units, family_size):
    """The smallest difference that a paired t-test finds four times in five, in SDs: another program's number."""
    found = sight(SCHEDULERS, known(0.02), num_units=num_units, family_size=family_size)
    for level, detectable in ((0.05, found.detectable), (0.05 / family_size, found.detectable_in_family)):
        power = TTestPower().power(detectable / 0.02, num_units, level)
        assert power == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize("num_units", [8, 20])
def test_predicted_power_is_reached_in_simulated_studies(num_units):
    """Gate: the effect that a plan says is found in 80 % of studies of six comparisons, is, within 5 points."""
    planned = sight(SCHEDULERS, known(1.0), num_units=num_units, family_size=6)
    rng = np.random.default_rng(1)
    differences = rng.normal(size=(4_000, 6, num_units))
    differences[:, 0] += planned.detectable_in_family
    p = stats.ttest_1samp(differences, 0.0, axis=-1).pvalue
    corrected = np.array([holm(family)[0] for family in p])
    assert np.mean(corrected < 0.05) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("family_size", [1, 6])
def test_predicted_power_is_reached_by_studies_that_look(spending, family_size):
    """Gate: planned at the last look's level, and reached over all looks within 5 points: earlier ones add little."""
    looks = (5, 10, 20)
    both = [t_levels(looks, spending, level) for level in (0.05, 0.05 / family_size)]
    planned = sight(
        SCHEDULERS, known(1.0), num_units=20, family_size=family_size, levels=tuple(levels[-1] for levels in both)
    )
    found = over_looks("normal", looks, both[1], num_studies=10_000, effect=planned.detectable_in_family)
    assert found.differs == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("shape", ["normal", "heavy", "lumpy"])
def test_predicted_power_is_reached_from_an_estimated_scatter(shape):
    """Gate: with the SD of ten stored seeds in place of the true one, power is still near 80 % over many plans."""
    rng = np.random.default_rng(2)

    def draw(size):
        if shape == "heavy":
            return rng.standard_t(5, size=size)
        if shape == "lumpy":
            return (rng.binomial(360, 0.95, size=size) - rng.binomial(360, 0.95, size=size)) / 360
        return rng.normal(size=size)

    found = []
    for _ in range(300):
        stored = draw((6, 10))
        sd = math.sqrt(np.mean(stored.var(axis=1, ddof=1)))
        effect = sight(SCHEDULERS, known(sd), num_units=10).detectable
        samples = draw((100, 10)) + effect
        t = samples.mean(axis=1) / (samples.std(axis=1, ddof=1) / math.sqrt(10))
        found.append(np.mean(np.abs(t) > -special.stdtrit(9, 0.025)))
    assert np.mean(found) == pytest.approx(0.8, abs=0.05)


def test_equivalence_is_shown_as_often_as_predicted():
    """Gate: two arms that do not differ pass both one-sided tests as often as the plan says, within 5 points."""
    planned = sight(SCHEDULERS, known(1.0, margin=0.8), num_units=12)
    rng = np.random.default_rng(3)
    d = rng.normal(size=(20_000, 12))
    half = -special.stdtrit(11, 0.05) * d.std(axis=1, ddof=1) / math.sqrt(12)
    assert np.mean(np.abs(d.mean(axis=1)) + half < 0.8) == pytest.approx(planned.equivalence, abs=0.05)
    again = sight(SCHEDULERS, known(1.0, margin=0.8), num_units=planned.units_to_equal)
    fewer = sight(SCHEDULERS, known(1.0, margin=0.8), num_units=planned.units_to_equal - 1)
    assert fewer.equivalence < 0.8 <= again.equivalence


def test_units_to_find_the_margin_do_find_it():
    """With so many seeds the margin itself is detectable in the family; with one fewer it is not."""
    planned = sight(SCHEDULERS, known(1.0, margin=0.5), num_units=5, family_size=6)
    enough, fewer = (
        sight(SCHEDULERS, known(1.0), num_units=planned.units_to_find - less, family_size=6) for less in (0, 1)
    )
    assert enough.detectable_in_family <= 0.5 < fewer.detectable_in_family


def test_what_is_not_known_is_not_made_up():
    """Without stored rows there is no size; with one seed nothing is found; identical arms are seen at once."""
    unknown = sight(SCHEDULERS, Scatter(**{**vars(known(1.0)), "sd": math.nan}), num_units=10)
    assert not unknown.known
    assert math.isnan(unknown.detectable)
    assert sight(SCHEDULERS, known(1.0), num_units=1).detectable == math.inf
    assert sight(SCHEDULERS, known(0.0, margin=0.01), num_units=8).detectable == 0


# ------------------------------------------------------------------------------------------------------------ families


@pytest.mark.parametrize(
    ("document", "sizes"),
    [
        ({"grid": {"seed": "0-4", "scheduler": THREE}}, [2]),
        ({"grid": {"seed": "0-4", "scheduler": [STEP, COSINE, {"name": "ExponentialLR", "gamma": 0.9}]}}, [3]),
        ({"grid": {"seed": "0-4", "scheduler": THREE, "base_lr": [0.1, 0.2]}}, [4]),
        ({"grid": {"seed": "0-4", "scheduler": THREE, "cudnn_benchmark": [False, True]}}, [2]),
        (
            {
                "grid": {"seed": "0-4", "scheduler": THREE, "cudnn_benchmark": [False, True]},
                "compare": [{"factor": "scheduler"}, {"factor": "cudnn_benchmark", "metric": "train_seconds"}],
            },
            [3, 3],
        ),
        (
            {
                "grid": {"seed": "0-4", "scheduler": THREE},
                "compare": [{"factor": "scheduler"}, {"factor": "scheduler", "metric": "final_loss", "family": "b"}],
            },
            [2, 2],
        ),
    ],
    ids=["baseline", "all pairs", "two settings", "flags averaged", "two questions", "two families"],
)
def test_families_are_as_large_as_they_will_be(document, sizes):
    """Counted by hand: Holm's family holds every comparison of every question and setting that shares its name."""
    assert [s.family_size for s in sights(study_of(**document), device="cuda")] == sizes


def test_ratio_metrics_count_blocks():
    """Five seeds × two replicates are ten random blocks for a speed, and five seeds for an accuracy."""
    metrics = ("final_accuracy", "samples_per_second")
    questions = [{"factor": "scheduler", "metric": metric} for metric in metrics]
    study = study_of(grid={"seed": "0-4", "scheduler": THREE}, compare=questions)
    assert [s.num_units for s in sights(study)] == [5, 10]


def test_a_study_with_looks_is_planned_at_its_last():
    """The level of the last look, for one comparison and for one of its family of two; below 5 % and 2.5 %."""
    study = study_of(grid={"seed": "0-19", "scheduler": THREE}, until={"looks": [5, 10, 20], "spending": "pocock"})
    (found,) = sights(study)
    assert found.level == pytest.approx(t_levels((5, 10, 20), "pocock")[-1])
    assert found.level_in_family == pytest.approx(t_levels((5, 10, 20), "pocock", 0.025)[-1])
    assert found.level_in_family < 0.025


# ------------------------------------------------------------------------------------------------------------- scatter


def test_scatter_of_stored_rows_is_the_true_one():
    """Arms with independent noise of 1 point differ by √2 points, whatever the seeds share."""
    study = study_of(grid={"seed": "0-59", "scheduler": THREE}, replicates=1)
    truth = Truth(seed_sd=0.01, run_sd=0.01, identical=False, identical_if_deterministic=False, accuracy=0.8)
    found = scatter_in(simulate(study, truth), SCHEDULERS, "results/x")
    assert found.sd == pytest.approx(math.sqrt(2) * 0.01, rel=0.12)
    assert (found.num_comparisons, found.num_units, found.degrees, found.paired) == (2, 60, 118, True)
    assert found.margin == pytest.approx(math.sqrt(2) * 0.01, rel=0.2)  # seeds and runs together


def test_a_single_arm_is_taken_as_independent():
    """Where no pair is there, the SD over seeds times √2."""
    study = study_of(grid={"seed": "0-39"}, fixed={"scheduler": CONSTANT}, replicates=1)
    rows = simulate(study, Truth(seed_sd=0.01, accuracy=0.8))
    found = scatter_in(rows, SCHEDULERS, "results/x")
    assert found.sd == pytest.approx(math.sqrt(2) * rows["final_accuracy"].std())
    assert not found.paired


def test_enough_pairs_come_before_few_and_pairs_before_none():
    """Of three folders the one with many pairs is used, though it is the last."""
    truth = Truth(run_sd=0.01, identical=False, identical_if_deterministic=False, accuracy=0.8)
    folders = [
        ("single", simulate(study_of(grid={"seed": "0-39"}, fixed={"scheduler": CONSTANT}), truth)),
        ("few", simulate(study_of(grid={"seed": "0-1", "scheduler": [CONSTANT, STEP]}), truth)),
        ("many", simulate(study_of(grid={"seed": "0-9", "scheduler": THREE}), truth)),
    ]
    study = study_of(grid={"seed": "0-4", "scheduler": THREE})
    assert sights(study, folders)[0].scatter.folder == "many"
    assert sights(study, folders[:2])[0].scatter.folder == "few"
    assert sights(study, folders[:1])[0].scatter.folder == "single"
    assert not sights(study, [])[0].known


def test_arms_that_are_all_alike_tell_nothing():
    """A folder in which no arm differs is passed over; where there is no other the scatter is not known, not 0."""
    noisy = Truth(run_sd=0.01, identical=False, identical_if_deterministic=False, accuracy=0.8)
    few = study_of(grid={"seed": "0-2", "scheduler": [CONSTANT, STEP]})
    rows = simulate(study_of(grid={"seed": "0-9", "scheduler": THREE}), noisy)
    folders = [("alike", rows.assign(final_accuracy=0.8)), ("few", simulate(few, noisy))]
    assert sights(few, folders)[0].scatter.folder == "few"
    (alone,) = sights(few, folders[:1])
    assert not alone.known
    assert math.isnan(alone.detectable)
    assert alone.scatter.folder == "alike"


def test_near_trainings_come_before_more_seeds():
    """Three seeds of the study's own epochs tell more than ten of other ones."""
    noisy = Truth(run_sd=0.01, identical=False, identical_if_deterministic=False, accuracy=0.8)
    near = study_of(grid={"seed": "0-2", "scheduler": [CONSTANT, STEP]})
    far = study_of(grid={"seed": "0-9", "scheduler": THREE})
    folders = [("near", simulate(near, noisy)), ("far", simulate(far, noisy))]
    assert sights(near, folders)[0].scatter.folder == "far"
    assert sights(near, folders, distances={"near": 0, "far": 1})[0].scatter.folder == "near"


def test_the_studys_own_trainings_come_before_pairs_of_others():
    """Single arms on 40 seeds of its own epochs are used, though pairs of other epochs are there."""
    noisy = Truth(run_sd=0.01, identical=False, identical_if_deterministic=False, accuracy=0.8)
    study = study_of(grid={"seed": "0-4", "scheduler": [CONSTANT, STEP]})
    own = simulate(study_of(grid={"seed": "0-39"}, fixed={"scheduler": CONSTANT}), noisy)
    folders = [("own", own), ("other", simulate(study, noisy))]
    assert sights(study, folders, distances={"own": 0, "other": 1})[0].scatter.folder == "own"
    assert sights(study, folders)[0].scatter.folder == "other"
    assert sights(study, [("own", own[:2]), folders[1]], distances={"own": 0, "other": 1})[0].scatter.folder == "other"


def test_schedules_of_the_same_rates_are_one():
    """With one epoch StepLR(2) and the constant rate are one schedule: one comparison is left of three, and it is said.

    With nothing else to compare none is left, and no difference is promised.
    """
    gentle = {"name": "LinearLR", "start_factor": 0.5}
    grid = {"seed": "0-6", "scheduler": [CONSTANT, STEP, gentle]}
    study = study_of(fixed={"epochs": 1}, grid=grid)
    found = sights(study)
    assert found[0].num_comparisons == 1
    assert blind_spots(study, found, inert=True)[0] == (
        "ConstantLR(factor=1.0) and StepLR(step_size=2) have the same rates at every step: they are one schedule here, "
        "and no seed tells them apart."
    )
    assert sights(study_of(fixed={"epochs": 9}, grid=grid))[0].num_comparisons == 2
    two = study_of(fixed={"epochs": 1}, grid={"seed": "0-6", "scheduler": [CONSTANT, STEP]})
    assert sights(two)[0].num_comparisons == 0


# --------------------------------------------------------------------------------------------------------- blind spots


@pytest.mark.parametrize(
    ("grid", "replicates", "inert", "said"),
    [
        ({"seed": [0], "scheduler": THREE}, 2, True, ["With one seed"]),
        ({"seed": "0-4", "scheduler": THREE}, 2, True, ["5 seeds cannot reach p < 0.05", "2 / 2^5 = 0.0625"]),
        ({"seed": "0-5", "scheduler": THREE}, 2, True, ["2 comparisons in the family 6 seeds", "0.0625. 7 seeds can"]),
        ({"seed": "0-6", "scheduler": THREE}, 2, True, ["three seeds of four", "with 29 seeds", "not with 7"]),
        ({"seed": "0-28", "scheduler": THREE}, 2, True, []),
        ({"seed": "0-6", "scheduler": THREE}, 1, True, ["replicates = 1: run-to-run", "no A/A pair"]),
        ({"seed": "0-6", "cudnn_benchmark": [False, True]}, 1, True, ["replicates = 1: run-to-run", "inert"]),
        ({"seed": "0-6", "cudnn_benchmark": [False, True]}, 1, False, ["replicates = 1: run-to-run", "no A/A pair"]),
        ({"seed": "0-6", "cudnn_deterministic": [False, True]}, 2, False, []),
    ],
)
def test_blind_spots_are_told_where_they_are(grid, replicates, inert, said):
    """Each sentence for the study that it is true of, and silence for the others."""
    fixed = {} if "scheduler" in grid else {"scheduler": CONSTANT}
    questions = [] if "scheduler" in grid else [{"factor": "cudnn_benchmark", "metric": "train_seconds"}]
    if "cudnn_deterministic" in grid:
        questions[0]["factor"] = "cudnn_deterministic"
    study = study_of(grid=grid, fixed=fixed, replicates=replicates, compare=questions)
    text = " | ".join(blind_spots(study, sights(study, device="cuda"), inert))
    for part in said:
        assert part in text
    assert bool(text) == bool(said)
