"""The front of accuracy against time: by hand, on planted rows, and where times are noise."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.page.wording import displayed
from analysis.statistics.fronts import front_shares, in_force, pareto, trades
from analysis.statistics.intervals import paired_p
from analysis.tests.simulate import Truth, simulate, study_of
from analysis.tradeoff import answer, applies

SCHEDULERS = ["ConstantLR(factor=1.0)", "StepLR(step_size=1, gamma=0.5)", "CosineAnnealingLR(T_max=4)"]


@pytest.mark.parametrize(
    ("times", "accuracies", "front"),
    [
        ([1, 2, 3], [0.8, 0.9, 0.85], [True, True, False]),
        ([1, 1], [0.8, 0.9], [False, True]),  # as fast and worse
        ([1, 2], [0.9, 0.9], [True, False]),  # as good and slower
        ([1, 1], [0.9, 0.9], [True, True]),  # equal points do not beat each other
        ([1], [0.5], [True]),
    ],
)
def test_the_front_by_hand(times, accuracies, front):
    """A point is beaten by one that is no worse in both and better in one."""
    assert pareto(times, accuracies).tolist() == front


def test_shares_of_the_front_by_hand():
    """Of two seeds the second arm is better on one and as much worse on the other, and always slower: it is on the
    front where the first seed is drawn twice, a quarter of all draws; the faster arm always is."""
    times = np.array([[1.0, 2.0], [1.0, 2.0]])
    accuracies = np.array([[0.5, 0.6], [0.6, 0.5]])
    found = front_shares(times, accuracies, num_resamples=20_000)
    assert found[0] == 1.0
    assert found[1] == pytest.approx(0.25, abs=0.01)


def test_shares_repeat_for_their_seed_alone():
    """The same seed gives the same shares, another one others."""
    rng = np.random.default_rng(0)
    times, accuracies = rng.uniform(1, 2, (8, 4)), rng.uniform(0.8, 0.9, (8, 4))
    first, again, other = (front_shares(times, accuracies, seed=seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


def traded(inert: bool = False, **truth):
    study = study_of(replicates=1, grid={"seed": "0-7", "scheduler": SCHEDULERS, "cudnn_benchmark": [False, True]})
    return simulate(study, Truth(inert=inert, benchmark_ratio=1.5, effects={"StepLR": 0.02}, **truth))


def test_a_planted_front_is_found():
    """Where one scheduler is faster and two points better, with the flag that saves a third of the time, that is the
    front, and it is sure."""
    rows = traded(speed_sd=0.01)
    rows["train_seconds"] *= np.where(rows["scheduler_name"] == "StepLR", 0.8, 1.0)
    assert applies(rows)
    (trade,) = trades(rows)
    assert len(trade.conditions) == 6
    assert [(c.arm.partition("(")[0], c.machine) for c in trade.front] == [("StepLR", "cudnn_benchmark=True")]
    assert trade.front[0].front_share > 0.99
    assert trade.times_told
    assert "shortest time and the highest accuracy of 6 conditions" in answer(rows).sentences[0]


def test_flags_that_are_inert_make_no_conditions():
    """On a CPU the cuDNN flags change nothing: the same study has three conditions."""
    rows = traded(inert=True)
    assert in_force(rows) == []
    assert len(trades(rows)[0].conditions) == 3


def test_times_that_are_noise_are_said_to_be():
    """Schedulers that cost the same have a front made by chance: the first sentence says so, in nine of ten studies."""
    rows = simulate(study_of(replicates=1, grid={"seed": "0-9", "scheduler": SCHEDULERS}), Truth(speed_sd=0.1))
    rng = np.random.default_rng(2)
    drawn = [rows.assign(train_seconds=rng.lognormal(0, 0.1, len(rows))) for _ in range(60)]
    assert sum(trades(each)[0].times_told for each in drawn) <= 7
    found = answer(rows)
    assert "No difference in training time can be told" in found.sentences[0]
    assert "does not show that they take the same time" in found.sentences[0]
    assert found.sentences[1].startswith("All 3 conditions have the same accuracy on every seed")
    assert not any("front" in text for text in found.sentences[1:])
    assert set(found.table["on_front"]) == {"not told"}
    assert found.table["front_share"].isna().all()


def test_accuracy_is_tested_before_it_is_weighed():
    """A slower scheduler that is ahead by chance alone has its gain with an interval, and is said not to be told apart;
    one that is two points ahead is not."""
    rows = simulate(study_of(replicates=1, grid={"seed": "0-9", "scheduler": SCHEDULERS[:2]}), Truth(seed_sd=0.01))
    slow = rows["scheduler_name"] == "StepLR"
    rows["train_seconds"] *= np.where(slow, 1.5, 1.0)
    noise = np.random.default_rng(0).normal(0, 0.01, len(rows))
    noise[slow] += 0.0005 + noise[~slow].mean() - noise[slow].mean()
    chance = answer(rows.assign(final_accuracy=0.9 + noise)).sentences[0]
    assert "+0.05 points (95% interval −" in chance
    assert chance.endswith("these two are not told apart in accuracy.")
    ahead = answer(rows.assign(final_accuracy=0.9 + noise + 0.02 * slow)).sentences[0]
    assert "+2.05 points (95% interval +" in ahead
    assert "not told apart" not in ahead


def test_p_values_of_pairs_are_for_all_pairs():
    """Of three conditions there are three pairs: the p of the paired t-test is tripled, at most 1."""
    (trade,) = trades(simulate(study_of(replicates=1, grid={"seed": "0-9", "scheduler": SCHEDULERS})))
    a, b, _ = trade.conditions
    plain = paired_p(a.accuracies + np.arange(10) - b.accuracies)
    moved = replace(a, accuracies=a.accuracies + np.arange(10))
    assert trade.accuracy_p(moved, b) == pytest.approx(min(1.0, 3 * plain))
    assert trade.accuracy_p(a, a) == 1.0


@pytest.mark.parametrize("slower", [1.0, 0.5])
def test_a_scheduler_that_diverges_is_named_wherever_it_leads(slower):
    """The most accurate scheduler diverged on 3 of 10 seeds: the sentence that names it says so, whether times are told
    or not, and so do the table, the figure, and the caveat that these means are of fewer seeds."""
    grid = {"seed": "0-9", "scheduler": SCHEDULERS}
    rows = simulate(study_of(replicates=1, grid=grid), Truth(effects={"CosineAnnealingLR": 0.03}, speed_sd=0.05))
    cosine = rows["scheduler_name"] == "CosineAnnealingLR"
    rows["train_seconds"] *= np.where(cosine, slower, 1.0)
    rows["status"] = rows["status"].astype(object).mask(cosine & (rows["seed"] < 3), "diverged")
    found = answer(rows)
    told = found.sentences[0 if slower < 1 else 1]
    assert "CosineAnnealingLR has" in told
    assert "it diverged on 3 of 10 seeds" in told
    assert any("of the 7 seeds that every condition completed" in text for text in found.sentences)
    assert "differ from those of other sections" in found.caveats[0]
    assert sorted(found.table["num_diverged_seeds"]) == [0, 0, 3]
    axes = found.figure().get_axes()[0]
    assert any("3 of 10 seeds diverged" in text.get_text() for text in axes.texts)


def test_packed_and_failed_trials_are_left_out():
    """Trials that shared their device have no time of their own; a seed on which a condition failed is told."""
    rows = traded()
    assert not applies(rows.assign(packed=True))
    rows["status"] = rows["status"].astype(object).mask((rows.index == 0), "diverged")
    (trade,) = trades(rows)
    assert (trade.num_seeds, len(trade.without)) == (7, 1)
    assert "1 seed on which some condition failed" in answer(rows).caveats[0]


@pytest.mark.parametrize("num_seeds", [1, 2, 8])
def test_every_size_can_be_read_and_drawn(num_seeds):
    """From one seed on no text holds nan, few seeds have no share of the front, and the figure is drawn."""
    rows = traded()
    rows = rows[rows["seed"] < num_seeds]
    found = answer(rows)
    texts = " ".join([*found.sentences, *displayed(found.table).astype(str).to_numpy().ravel()])
    assert "nan" not in texts.lower().split()
    assert found.table["front_share"].isna().all() == (num_seeds < 6)
    assert found.figure().get_axes()


def test_nothing_to_trade():
    """No completed trial, or no row at all, is said in words."""
    rows = traded()
    assert "nothing to trade" in answer(rows.assign(status="crashed")).sentences[0]
    assert not applies(rows[:0])


@pytest.mark.parametrize("lost", ["nothing", "one scheduler", "a seed of each", "the seeds of one or the other"])
def test_whether_it_applies_is_whether_conditions_are_found(lost):
    """It applies exactly where `trades` finds two conditions or more on a seed that all of them have."""
    rows = traded()
    cosine, even = rows["scheduler_name"] == "CosineAnnealingLR", rows["seed"] % 2 == 0
    masks = {
        "nothing": cosine & False,
        "one scheduler": cosine,
        "a seed of each": rows["seed"] == 0,
        "the seeds of one or the other": cosine == even,
    }
    rows["status"] = rows["status"].astype(object).mask(masks[lost], "crashed")
    assert applies(rows) == any(len(trade.conditions) > 1 for trade in trades(rows))
    assert applies(rows) == (lost != "the seeds of one or the other")


def test_a_seed_is_left_out_once_and_an_arm_without_trials_leaves_none_out():
    """Seed 0 fails in two workloads: 1 seed, not 2. A scheduler that completed nothing is not weighed and takes no seed
    away: all 8 are there, and there is no caveat."""
    grid = {"seed": "0-7", "scheduler": SCHEDULERS, "workload": ["digits-cnn", "mnist5k-cnn"]}
    rows = simulate(study_of(replicates=1, grid=grid), Truth(speed_sd=0.1))
    cosine = rows["scheduler_name"] == "CosineAnnealingLR"
    status = rows["status"].astype(object)
    one = answer(rows.assign(status=status.mask(cosine & (rows["seed"] == 0), "diverged")))
    assert one.caveats[0].startswith("1 seed on which some condition failed or is missing is left out of the trade-off")
    gone = rows.assign(status=status.mask(cosine, "diverged"))
    found = answer(gone)
    assert found.caveats == ()
    assert set(found.table["num_seeds"]) == {8}
    said = "CosineAnnealingLR diverged on 8 of 8 seeds and completed none of its trials: it is not weighed here."
    assert sum(text.endswith(said) for text in found.sentences) == 2
    assert not any("every condition completed" in text for text in found.sentences)


def test_that_all_pairs_share_the_level_is_said():
    """Of three conditions there are three pairs, so "not told apart" is stricter here; of two there is one pair."""
    rows = simulate(study_of(replicates=1, grid={"seed": "0-9", "scheduler": SCHEDULERS}))
    noise = np.random.default_rng(0).normal(0, 0.01, len(rows))
    rows = rows.assign(train_seconds=1.0 + abs(noise), final_accuracy=0.9 + noise)
    said = "(all 3 pairs share the 5% here: stricter than comparisons with a baseline)"
    assert said in " ".join(answer(rows).sentences)
    two = rows[rows["scheduler_name"] != "CosineAnnealingLR"]
    assert "share the 5%" not in " ".join(answer(two).sentences)


def test_equal_means_are_one_first_place():
    """Two of three conditions are equal on every seed and lead: both have the highest mean, and are not held against
    each other."""
    rows = simulate(study_of(replicates=1, grid={"seed": "0-9", "scheduler": SCHEDULERS}), Truth(speed_sd=0.1))
    noise = np.random.default_rng(1).normal(0, 0.01, 10)
    worse = np.where(rows["scheduler_name"] == "CosineAnnealingLR", 0.02, 0.0)
    found = answer(rows.assign(final_accuracy=0.9 + noise[rows["seed"].astype(int)] - worse * (1 + rows["seed"] / 50)))
    assert "have the highest mean accuracy" in found.sentences[1]
    assert found.sentences[1].endswith("the same on every seed; each is told apart from every other in accuracy.")
