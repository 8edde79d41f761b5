"""How much is luck: counts by hand on a handful of seeds, and the words that they become."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from analysis import seed_luck
from analysis.figures import seed_luck as seed_luck_figure
from analysis.tests.simulate import Truth, simulate, study_of

# B is better than A by 0.02 in the mean; on seed 2 it is worse
TABLE = pd.DataFrame({"A": [0.50, 0.52, 0.54], "B": [0.54, 0.56, 0.52]}, index=[0, 1, 2])


def test_single_runs_in_the_wrong_order_are_counted_over_all_pairs_of_seeds():
    """Of 9 pairs of seeds A is ahead in 1 and level in 2, so 2 in 9; on one seed of three the worse one is first."""
    (row,) = seed_luck.wrong_orders(TABLE).itertuples()
    assert (row.better, row.worse, row.difference_points) == ("B", "A", pytest.approx(0.02))
    # B - A over all pairs, in hundredths: 4 2 0 / 6 4 2 / 2 0 -2
    assert row.worse_first_share == pytest.approx((1 + 0.5 * 2) / 9)
    assert row.worse_first_same_seed_share == pytest.approx(1 / 3)


def test_schedulers_of_equal_means_have_no_order():
    """Equal means, up to the rounding of sums, are no pair that could be put in the wrong order."""
    assert seed_luck.wrong_orders(pd.DataFrame({"A": [0.1, 0.2, 0.3], "B": [0.3, 0.1, 0.2]})).empty


def test_every_choice_of_seeds_is_counted():
    """Two seeds of three: differences of the same seeds are 4, 1, 1 hundredths, never wrong; of other seeds 1 in 9."""
    one, two = seed_luck.by_num_seeds(TABLE, "B", "A").itertuples()
    assert (one.num_seeds, one.num_choices, one.worse_first_same_seed_share) == (1, 3, pytest.approx(1 / 3))
    assert one.worse_first_share == pytest.approx(2 / 9)
    # means of two: A 51 52 53, B 55 53 54: only 53 against 53 is level
    assert (two.num_choices, two.worse_first_same_seed_share) == (3, 0.0)
    assert two.worse_first_share == pytest.approx(0.5 / 9)


@pytest.mark.parametrize("num_seeds", [4, 5])
def test_a_scheduler_against_itself_is_every_cut_in_two(num_seeds):
    """All cuts of 4 seeds (an odd last one is left out), each with its mirror image: symmetric about zero."""
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(num_seeds, 2)))
    found = seed_luck.against_itself(table)
    by_hand = []
    for chosen in combinations(range(4), 2):
        rest = [seed for seed in range(4) if seed not in chosen]
        by_hand.append(table.loc[list(chosen)].mean().to_numpy() - table.loc[rest].mean().to_numpy())
    assert found == pytest.approx(np.array(by_hand).ravel())
    assert np.sort(found) == pytest.approx(np.sort(-found))


def test_without_spread_there_is_no_luck():
    """Schedulers whose seeds all agree show no difference against themselves, and no wrong order."""
    table = pd.DataFrame({"A": [0.5] * 4, "B": [0.6] * 4})
    assert not seed_luck.against_itself(table).any()
    (row,) = seed_luck.wrong_orders(table).itertuples()
    assert (row.worse_first_share, row.worse_first_same_seed_share) == (0.0, 0.0)


def test_the_best_seed_gains_what_it_is_above_the_mean():
    """A gains 2 hundredths by naming its best seed, B also: 0.54 less 0.52, and 0.56 less 0.54."""
    found = seed_luck.best_seed(TABLE)
    assert found["gained_by_choice_points"].tolist() == pytest.approx([0.02, 0.02])
    assert found["num_seeds"].tolist() == [3, 3]


def test_scores_are_the_mean_over_repeats_and_flags_of_seeds_that_all_have():
    """A seed that one scheduler lacks (a failed trial, both repeats) is left out; others are means of what was run."""
    grid = {"seed": "0-3", "scheduler": [{"name": "ConstantLR", "factor": 1.0}, {"name": "StepLR", "step_size": 2}]}
    rows = simulate(study_of(grid=grid), Truth(identical=False, run_sd=0.01))
    rows["status"] = rows["status"].astype(object)
    rows.loc[(rows["seed"] == 2) & (rows["scheduler_name"] == "StepLR"), "status"] = "diverged"
    table = seed_luck.scores(rows)
    assert list(table.index) == [0, 1, 3]
    assert list(table.columns) == ["ConstantLR", "StepLR"]
    part = rows[(rows["seed"] == 3) & (rows["scheduler_name"] == "StepLR")]["final_accuracy"]
    assert len(part) == 2
    assert table.loc[3, "StepLR"] == pytest.approx(part.mean())


def test_settings_that_train_differently_are_not_pooled():
    """Of two base rates one setting is taken: the table has each seed once, from one of them."""
    grid = {"seed": "0-3", "base_lr": [0.1, 0.2], "scheduler": [{"name": "ConstantLR", "factor": 1.0}]}
    rows = simulate(study_of(grid=grid))
    one = rows[rows["base_lr"] == rows["base_lr"].iloc[0]].groupby("seed")["final_accuracy"].mean()
    other = rows[rows["base_lr"] != rows["base_lr"].iloc[0]].groupby("seed")["final_accuracy"].mean()
    found = seed_luck.scores(rows)["ConstantLR"].tolist()
    assert found in (pytest.approx(one.tolist()), pytest.approx(other.tolist()))


def test_the_sentences_hold_the_counts():
    """The words say the shares and sizes of the tables; one seed, or one scheduler, has nothing to say."""
    one_run, against, best = seed_luck.sentences(TABLE)
    assert "in 22% of comparisons (1 pair of schedulers)" in one_run
    assert "for B and A, which are 2.00 points apart" in one_run
    assert against.startswith("A scheduler against itself, 1 seed against 1 other, shows")
    assert best == "Naming the best of 3 seeds adds 2.00 to 2.00 points to a scheduler that has not changed."
    for table in (TABLE[:1], TABLE[["A"]]):
        assert seed_luck.sentences(table) == ["With one seed or one scheduler nothing can be said about luck."]


def test_the_figures_say_what_they_show():
    """The titles count what luck would hide; the same table draws the same figure."""
    rng = np.random.default_rng(1)
    wide = pd.DataFrame({name: rng.normal(0.5, 0.01, 6) for name in ("ConstantLR", "StepLR", "ExponentialLR")})
    far = wide + np.array([0.0, 0.2, 0.4])
    assert "luck would hide no scheduler's distance from ExponentialLR" in (
        seed_luck_figure.real_and_luck(far).get_suptitle().replace("\n", " ")
    )
    near = seed_luck_figure.real_and_luck(wide).get_suptitle().replace("\n", " ")
    assert near.startswith("With 3 seeds each, luck would hide the distance of 2 of 2 schedulers from")
    assert "worse one comes first in 0% to 0%" in seed_luck_figure.fading(far).get_suptitle().replace("\n", " ")
