"""Components of variance and the luck of test images: by hand, unbiased, covered, published, and on planted rows."""

import math

import numpy as np
import pytest

from analysis.components import answer, applies, sources
from analysis.page.wording import displayed
from analysis.statistics.dispersion import detectable_spread_ratio
from analysis.statistics.intervals import sd_interval
from analysis.statistics.luck import disagreement_sd, distribution_sd_of, labels_of, luck, share_of
from analysis.statistics.nested import bootstrap_seed_sd, seeds_and_runs
from analysis.statistics.variance import distribution_sd, independent_error_sd
from analysis.tests.simulate import Truth, simulate, study_of

SCHEDULERS = ["ConstantLR(factor=1.0)", "StepLR(step_size=1, gamma=0.5)"]


def of_table(table):
    table = np.asarray(table, dtype=float)
    seeds = np.repeat(np.arange(len(table)), table.shape[1])
    return seeds_and_runs(table.ravel(), seeds, np.zeros(table.size))


def test_components_by_hand():
    """Seed means 2, 4 and 9 have variance 13; repeats 1 apart have variance 1/2, of which a half stays in a mean of
    two: seeds 13 - 0.25, repeats 0.5."""
    found = of_table([[1.5, 2.5], [3.5, 4.5], [8.5, 9.5]])
    assert found.seed_variance == pytest.approx(12.75)
    assert found.seed.value == pytest.approx(math.sqrt(12.75))
    assert found.run.value == pytest.approx(math.sqrt(0.5))
    assert (found.num_seeds, found.num_repeats, found.negative) == (3, 3, False)


def test_unequal_repeats_by_hand():
    """Seed means 1, 3 and 8 of 1, 2 and 3 repeats: variance 13 less 1 times the mean of 1, 1/2 and 1/3."""
    values, seeds = [1.0, 2.5, 3.5, 7.0, 8.0, 9.0], [0, 1, 1, 2, 2, 2]
    found = seeds_and_runs(values, seeds, np.zeros(6))
    within = (0.5 + 2.0) / 3
    assert found.run.value == pytest.approx(math.sqrt(within))
    assert found.seed_variance == pytest.approx(13.0 - within * (1 + 1 / 2 + 1 / 3) / 3)
    assert found.seed.value == pytest.approx(math.sqrt(found.seed_variance))


def test_a_negative_estimate_is_zero_and_said():
    """Repeats that scatter more than seed means explain: the SD is 0, the variance stays as it came, and is flagged."""
    found = of_table([[0.0, 4.0], [1.0, 3.0], [4.0, 0.0]])
    assert found.seed_variance == pytest.approx(-(8 + 2 + 8) / 3 / 2)
    assert (found.seed.value, found.seed.low, found.negative) == (0.0, 0.0, True)


def test_identical_repeats_are_exactly_zero():
    """Repeats that are equal to the bit have a run-to-run SD of 0, from 0 to 0; the seeds' interval is chi-square's."""
    from scipy import stats

    means = np.array([0.91, 0.92, 0.95, 0.90, 0.93, 0.94])
    found = of_table(np.repeat(means[:, None], 2, axis=1))
    assert (found.run.value, found.run.low, found.run.high, found.identical) == (0.0, 0.0, 0.0, True)
    assert found.seed.value == pytest.approx(means.std(ddof=1))
    low = math.sqrt(5 * means.var(ddof=1) / stats.chi2.ppf(0.975, 5))
    assert found.seed.low == pytest.approx(low, rel=1e-5)


def test_what_was_not_repeated_is_not_parted():
    """One repeat each: the run-to-run SD is unknown, and the seeds' holds both; one seed tells nothing of seeds."""
    found = of_table([[1.0], [2.0], [4.0]])
    assert math.isnan(found.run.value)
    assert found.seed.value == pytest.approx(np.std([1, 2, 4], ddof=1))
    assert math.isnan(of_table([[1.0, 2.0]]).seed.value)


@pytest.mark.parametrize("run_sd", [0.3, 1.0, 3.0])
def test_components_are_unbiased(run_sd):
    """Over 1,500 unbalanced studies of 8 seeds the mean of each variance is the one that was put in."""
    rng = np.random.default_rng(1)
    seeds = np.repeat(np.arange(8), [1, 2, 2, 3, 1, 2, 4, 2])
    found = []
    for _ in range(1_500):
        values = rng.normal(size=8)[seeds] + run_sd * rng.normal(size=len(seeds))
        each = seeds_and_runs(values, seeds, np.zeros(len(seeds)))
        found.append((each.seed_variance, each.run.value**2))
    for column, truth in zip(np.array(found).T, (1.0, run_sd**2), strict=True):
        assert column.mean() == pytest.approx(truth, abs=4 * column.std() / math.sqrt(1_500))


@pytest.mark.parametrize("num_seeds", [6, 12, 30])
@pytest.mark.parametrize("run_sd", [0.3, 1.0, 3.0])
def test_intervals_of_components_hold_the_truth(num_seeds, run_sd):
    """In 92.5 to 98.5 % of 800 studies (95 %, and Monte-Carlo error) each interval holds the true SD."""
    rng, held = np.random.default_rng(num_seeds), np.zeros(2)
    for _ in range(800):
        found = of_table(rng.normal(size=(num_seeds, 1)) + run_sd * rng.normal(size=(num_seeds, 2)))
        held += [found.seed.low <= 1 <= found.seed.high, found.run.low <= run_sd <= found.run.high]
    assert ((held / 800 >= 0.925) & (held / 800 <= 0.985)).all()


def test_the_bootstrap_is_as_good_as_it_says():
    """Of normal values with equal seed and run SD it holds the truth in 88 to 98 % of 150 studies of 20 seeds."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(150):
        found = bootstrap_seed_sd(rng.normal(size=(20, 1)) + rng.normal(size=(20, 2)), num_resamples=400)
        held += found.low <= 1 <= found.high
    assert 0.88 <= held / 150 <= 0.98


def test_the_bootstrap_repeats_for_its_seed_alone():
    """The same seed gives the same interval, another one another; equal values have SD 0, and two seeds no interval."""
    table = np.random.default_rng(4).normal(size=(8, 2))
    first, again, other = (bootstrap_seed_sd(table, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    same = bootstrap_seed_sd(np.ones((6, 2)))
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    assert bootstrap_seed_sd([[1.0, 1.0], [3.0, 3.0]]).high == math.inf


# ---------------------------------------------------------------------------------------------------- the test images


def test_the_published_figures_fit_the_theorem():
    """ResNet-9 on CIFAR-10, 64 epochs: SDs of 0.149 % on the test set and 0.033 % on its distribution (2304.01910) go
    with a luck of the 10,000 images of 0.1453 %, two runs differing in being right on 4.2 % of them."""
    by_images = math.sqrt(0.00149**2 - 0.00033**2 * 9_999 / 10_000)
    assert by_images == pytest.approx(0.001453, abs=1e-6)
    assert distribution_sd_of(0.00149, by_images, 10_000) == pytest.approx(0.00033)
    assert 2 * by_images**2 * 10_000 == pytest.approx(0.0422, abs=1e-4)


def test_summary_and_predictions_agree():
    """The formula for summary figures gives what the one for single predictions does."""
    rng = np.random.default_rng(5)
    right = rng.random((30, 500)) < rng.beta(8, 1, 500) + rng.normal(0, 0.03, (30, 1))
    spread = float(right.mean(axis=1).std(ddof=1))
    expected = distribution_sd(right)
    assert distribution_sd_of(spread, independent_error_sd(right), 500) == pytest.approx(expected)


def test_disagreement_by_hand():
    """Two runs that differ on 2 of 4 images: D = 1/2, so √(1/2 / 8) = 1/4."""
    assert disagreement_sd([[0, 1, 2, 3], [0, 1, 3, 2]]) == pytest.approx(0.25)
    assert disagreement_sd([[0, 1], [0, 1]]) == 0.0


@pytest.mark.parametrize("num_classes", [2, 10])
def test_the_bound_without_labels_is_a_bound(num_classes):
    """Disagreement never makes less luck than the labels do, and of two classes exactly as much."""
    rng = np.random.default_rng(6)
    labels = rng.integers(0, num_classes, 200)
    wrong = rng.random((12, 200)) < 0.2
    predictions = (labels + wrong * rng.integers(1, num_classes, (12, 200))) % num_classes
    exact, bound = independent_error_sd(predictions == labels), disagreement_sd(predictions)
    assert bound == pytest.approx(exact) if num_classes == 2 else bound > exact


def test_all_luck_and_no_luck():
    """Independent errors are nearly all luck; runs that are better or worse on every image together are hardly any
    (under 10 % of the variance), and their distribution-wise interval holds the true 5 points."""
    rng = np.random.default_rng(7)
    labels = np.zeros(2_000, dtype=int)
    chance = (rng.random((60, 2_000)) < 0.1).astype(int)
    assert luck(chance, (chance == 0).mean(axis=1), labels).share.value > 0.7
    quality = rng.choice([0.1, 0.2], size=(60, 1))
    shared = (rng.random((60, 2_000)) < quality).astype(int)
    found = luck(shared, (shared == 0).mean(axis=1), labels)
    assert found.share.value < 0.1
    assert found.distribution.low < 0.05 < found.distribution.high


def test_the_interval_of_the_distribution_sd_holds_the_truth():
    """In at least 92 % of 300 studies of 10 runs it holds the SD of the runs' true accuracies."""
    rng, held, chances = np.random.default_rng(8), 0, np.random.default_rng(9).uniform(0.75, 0.9, 400)
    labels = np.zeros(400, dtype=int)
    for _ in range(300):
        wrong = (rng.random((10, 400)) > chances + rng.normal(0, 0.03, (10, 1))).astype(int)
        found = luck(wrong, (wrong == 0).mean(axis=1), labels).distribution
        held += found.low <= 0.03 <= found.high
    assert held / 300 >= 0.92


def test_labels_that_do_not_fit_are_not_used():
    """Simulated rows of the digits are not of the digits' labels: accuracies disagree, and the bound is used."""
    rows = simulate(study_of(replicates=1, grid={"seed": "0-3"}), Truth())
    assert len(labels_of(rows)) == 0
    from sklearn.datasets import load_digits

    target = load_digits().target[-359:]
    right = [target.copy() for _ in range(len(rows))]
    right[0][:9] += 1
    fitting = rows.assign(predictions=right, final_accuracy=[1 - 9 / 359, 1.0, 1.0, 1.0])
    assert labels_of(fitting).tolist() == target.tolist()


# ----------------------------------------------------------------------------------------------------------- the answer


def spread(num_seeds: int = 8, replicates: int = 2, **truth):
    study = study_of(replicates=replicates, grid={"seed": f"0-{num_seeds - 1}", "scheduler": SCHEDULERS})
    return simulate(study, Truth(**{"seed_sd": 0.02, "accuracy": 0.8, **truth}))


def test_repeats_that_are_identical_are_exactly_nothing():
    """Identical repeats are said to spread accuracy by exactly nothing; the bound on luck is called one."""
    rows = spread(seed_sd=0.05)
    assert applies(rows)
    found = answer(rows)
    text = " ".join(found.sentences)
    assert "repeats by exactly nothing" in text
    assert "at most" in found.sentences[0]
    assert "the bound's own 95% interval" in found.sentences[0]
    assert (found.table["run_to_run_sd"] == 0).all()
    assert any("bounded from above" in note for note in found.notes)


def test_planted_components_are_found():
    """With 60 seeds the SDs are near the planted 2 points of seeds and 1 of repeats."""
    rows = spread(60, identical=False, identical_if_deterministic=False, run_sd=0.01)
    for source in sources(rows):
        assert source.components.seed.value == pytest.approx(0.02, rel=0.25)
        assert source.components.run.value == pytest.approx(0.01, rel=0.2)


def test_a_noisy_scheduler_is_told():
    """A scheduler that scatters five times as far as the baseline is told so with 15 seeds; alike ones are not."""
    rows = spread(15)
    rng = np.random.default_rng(10)
    far = np.where(rows["scheduler_name"] == "StepLR", 0.05, 0.01)
    noisy = answer(rows.assign(final_accuracy=0.8 + far * rng.normal(size=len(rows))))
    assert any(text.startswith("StepLR scatters more than ConstantLR") for text in noisy.sentences)
    assert any("can be told to be noisier or calmer" in text for text in answer(rows).sentences)


@pytest.mark.parametrize("det_first", [False, True])
def test_repeats_are_of_one_level_of_the_flags(det_first):
    """Repeats that scatter by 1 point without a flag and by nothing with it scatter by 1 point, in whatever order the
    blocks ran; the level is said."""
    grid = {"seed": "0-19", "scheduler": SCHEDULERS, "cudnn_deterministic": [False, True]}
    truth = Truth(seed_sd=0.02, accuracy=0.8, identical=False, run_sd=0.01, inert=False)
    rows = simulate(study_of(replicates=2, grid=grid), truth)
    flags = rows["cudnn_deterministic"].astype(bool)
    turned = (flags != det_first) == (rows["seed"] < 17)  # most seeds begin with one level, the others with the other
    found = sources(rows.assign(turned=turned).sort_values("turned", kind="stable"))
    assert len(found) == 2
    for source in found:
        assert source.components.run.value == pytest.approx(0.01, rel=0.4)
        assert source.components.run.low <= 0.01 <= source.components.run.high
        assert source.components.num_repeats == 20
    assert any("cudnn_deterministic=False" in note for note in answer(rows).notes)


def test_an_empty_bound_on_luck_is_left_out():
    """A bound on the luck of the images above the spread itself is in no sentence, no cell and no title."""
    rows = spread(seed_sd=0.005)
    assert all(source.luck.is_empty for source in sources(rows))
    found = answer(rows)
    assert "luck" not in " ".join(found.sentences)
    assert found.table[["test_images_sd", "distribution_sd", "luck_share"]].isna().all().all()
    assert "Luck" not in title_of(found)


def title_of(found) -> str:
    figure = found.figure()
    return " ".join([figure.get_suptitle(), *(axes.get_title(loc="left") for axes in figure.get_axes())])


def test_the_share_of_luck_has_the_interval_of_the_spread():
    """Luck of 1 point in an SD of 2 from 9 degrees of freedom: a quarter, from 0.25 · 2.700/9 to 0.25 · 19.02/9."""
    found = share_of(0.01, sd_interval(0.02, 9))
    assert found.value == pytest.approx(0.25)
    assert (found.low, found.high) == (
        pytest.approx(0.25 * 2.7004 / 9, rel=1e-4),
        pytest.approx(0.25 * 19.0228 / 9, rel=1e-4),
    )
    assert share_of(0.03, sd_interval(0.02, 9)).value == 1.0


def test_diverged_seeds_are_counted_and_named():
    """Of 10 seeds one scheduler diverges on 3: 7 to 10 seeds are said, the loss is named, and 10 seeds are promised
    of no comparison of 7."""
    rows = spread(10, seed_sd=0.05)
    lost = (rows["scheduler_name"] == "StepLR") & (rows["seed"] < 3)
    rows["status"] = rows["status"].astype(object).mask(lost, "diverged")
    rows["final_accuracy"] = rows["final_accuracy"].mask(lost)
    found = answer(rows)
    text = " ".join(found.sentences)
    assert "7 to 10 seeds each" in text
    assert "StepLR on 3 of 10 seeds diverged" in text
    assert "with 7 seeds a ratio" in text
    assert set(found.table["num_diverged_seeds"]) == {0, 3}


def test_a_ratio_of_spreads_is_called_what_it_is():
    """The heading of the ratio of spreads names distances from the median: SDs have another ratio."""
    (heading,) = [name for name in displayed(answer(spread()).table) if "baseline's" in name]
    assert "median" in heading


@pytest.mark.parametrize(("num_seeds", "replicates"), [(1, 2), (2, 1), (8, 2)])
def test_every_size_can_be_read_and_drawn(num_seeds, replicates):
    """No text holds nan; one seed has no spread to part, and says so; the figure is drawn."""
    rows = spread(num_seeds, replicates)
    found = answer(rows)
    texts = " ".join([*found.sentences, *displayed(found.table).astype(str).to_numpy().ravel()])
    assert not {"nan", "inf"} & set(texts.lower().split())
    assert found.figure().get_axes()
    assert applies(rows) == (num_seeds > 1)
    assert not applies(rows[:0])


def test_the_ratio_that_could_be_seen_is_of_other_schedules_and_shares_the_level():
    """StepLR is ConstantLR and so correlated fully: it is no comparison. Of two others each has 2.5 %, of one 5 %."""
    grid = {"seed": "0-14", "scheduler": [*SCHEDULERS, "CosineAnnealingLR", "ExponentialLR(gamma=0.5)"]}
    rows = simulate(study_of(replicates=1, grid=grid), Truth(seed_sd=0.02, run_sd=0.01, identical=False, accuracy=0.8))
    base = rows[rows["scheduler_name"] == "ConstantLR"].set_index("seed")
    late = rows["scheduler_name"] == "StepLR"
    for name in ("applied_lr_sha256", "final_accuracy"):
        rows.loc[late, name] = rows.loc[late, "seed"].map(base[name])
    for kept, family in ((rows, 2), (rows[rows["scheduler_name"] != "ExponentialLR"], 1)):
        found = {source.arm.partition("(")[0]: source for source in sources(kept)}
        assert found["StepLR"].against is None
        scores = kept.pivot_table(index="seed", columns="scheduler_name", values="final_accuracy", observed=True)
        tied = round(float(np.corrcoef(scores["CosineAnnealingLR"], scores["ConstantLR"])[0, 1]), 1)
        seen = found["CosineAnnealingLR"].against.detectable
        assert seen == detectable_spread_ratio(15, tied, 0.05 / family)
    text = next(text for text in answer(rows).sentences if "noisier or calmer" in text)
    assert "with 15 seeds, and 2 comparisons that share the 5%, a ratio of " in text
