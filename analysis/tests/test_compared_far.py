"""Seeds far outside of the others: named with their size in the comparison's caveats, with what that means, or not."""

import numpy as np
import pandas as pd
import pytest

from analysis.answers import answer as answered
from analysis.calibration import committed
from analysis.calibration_cells import COVERAGE, ONE, PAIRED
from analysis.compared import answer
from analysis.compared_far import covered_where_one_arm_fails
from analysis.comparisons import compare
from analysis.tests.simulate import Truth, simulate, study_of
from lrbench.questions import Compare

TWO = [{"name": "ConstantLR", "factor": 1.0}, {"name": "CosineAnnealingLR"}]
SCHEDULER = Compare(factor="scheduler", metric="final_accuracy")
TAME = [0.003, -0.001, 0.002, 0.004, 0.000, 0.0025, 0.0015, 0.001]


def rows_of(gains: list[float], seeds: str = "", schedulers=TWO) -> pd.DataFrame:
    """Trials, in mixed order, whose second scheduler (and any after it) is better than the first by these gains."""
    study = study_of(grid={"seed": seeds or f"0-{len(gains) - 1}", "scheduler": schedulers}, replicates=1)
    rows = simulate(study, Truth())
    by_seed = dict(zip(sorted(rows["seed"].unique()), gains, strict=True))
    gain = rows["seed"].map(by_seed).where(rows["scheduler_name"] != "ConstantLR", 0.0)
    return rows.assign(final_accuracy=0.8 + gain).sample(frac=1, random_state=3).reset_index(drop=True)


def caveat(rows: pd.DataFrame) -> str:
    found = [text for text in answer(rows, SCHEDULER).caveats if "sign flips decide" in text]
    assert len(found) < 2
    return "".join(found)


def test_a_seed_far_outside_is_named_with_its_size():
    """Seed 3 lost 20 points of nine: it is named, with the median's gain, and that sign flips decide; p is theirs."""
    gains = [*TAME[:3], -0.2, *TAME[3:]]
    text = caveat(rows_of(gains))
    assert text.startswith(
        "On seed 3 CosineAnnealingLR less ConstantLR is \N{MINUS SIGN}20.00 points, far from the +0.15 points of the "
        "median seed. Student's t takes seeds to scatter normally, and such a seed does not, so sign flips decide here"
        ": their p may be the smaller or the larger. Look at what happened on that seed."
    )
    (setting,) = compare(rows_of(gains), SCHEDULER)
    (c,) = setting.planned
    assert c.judgement.p == c.judgement.sign_flip_p
    assert c.seeds.tolist() == [int(seed) for seed in pd.unique(rows_of(gains)["seed"])]
    assert dict(zip(c.seeds, c.differences.round(4), strict=True)) == dict(enumerate(gains))


def test_seeds_have_their_own_names():
    """Seeds that do not count from 0 are named as they are, and two are two."""
    text = caveat(rows_of([*TAME[:3], -0.2, *TAME[3:], -0.3], seeds="11-20"))
    assert "On seeds " in text
    assert "14" in text.split(" Cosine")[0]
    assert "20" in text.split(" Cosine")[0]
    assert "what happened on those seeds" in text


def test_nothing_is_said_where_none_is():
    """Seeds like each other, or fewer than six of them, leave t to decide and are given no such caveat."""
    assert caveat(rows_of(TAME)) == ""
    assert caveat(rows_of([*TAME[:4], -0.2])) == ""


def test_one_side_says_what_an_interval_is_worth():
    """Far seeds on one side are as one bad arm makes them: the calibrated share is said; on both sides it is not."""
    one = caveat(rows_of([*TAME, -0.2]))
    num_seeds, share = covered_where_one_arm_fails(9)
    assert "It lies on one side, as it would if one arm alone had bad seeds" in one
    assert f"held the truth in {100 * share:.1f}% of simulated studies of {num_seeds} seeds" in one
    assert "They lie on one side" in caveat(rows_of([*TAME, -0.2, -0.3]))
    assert "one side" not in caveat(rows_of([*TAME, -0.2, 0.3]))


def test_other_comparisons_are_counted():
    """Two schedulers that share the baseline's bad seed: the first is told, the other counted."""
    third = [*TWO, {"name": "StepLR", "step_size": "30%"}]
    assert "so sign flips decide here, and in 1 other comparison: " in caveat(rows_of([*TAME, 0.2], schedulers=third))


def test_a_seed_among_equal_ones_is_not_called_one_of_a_bad_arm():
    """Eight pairs equal to the bit and one not: t has nothing to go by, and nothing is said of an arm."""
    text = caveat(rows_of([0.0] * 8 + [0.05]))
    assert "Most seeds being equal" in text
    assert "one side" not in text


@pytest.mark.parametrize(("n", "nearest"), [(6, 6), (7, 6), (8, 10), (9, 10), (12, 10), (28, 30), (200, 30)])
def test_the_share_is_the_committed_one(n, nearest):
    """Of the simulated numbers of seeds the nearest counts, of two as near the less flattering; its share is the
    table's own."""
    table = committed()
    row = table[(table["method"] == PAIRED) & (table["arms"] == ONE) & (table["what"] == COVERAGE)]
    row = row[(row["noise"] == "rare bad seeds") & (row["num_seeds"] == nearest)]
    assert covered_where_one_arm_fails(n) == (nearest, row["rate"].item())
    assert row["rate"].item() < 0.93


def test_the_standing_answer_says_it_too():
    """The schedulers' answer, asked by its name, has the caveat."""
    rows = rows_of([*TAME, -0.2])
    assert any("sign flips decide" in text for text in answered("schedulers", rows).caveats)
    assert np.isfinite(rows["final_accuracy"]).all()
