"""What tuning bought, by hand, on fresh seeds alone; and whether it turned the order of the schedulers."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import tuning
from analysis.page.wording import points
from analysis.rows.gains import gains, orders
from analysis.rows.rates import choices, curves
from analysis.tests.simulate import Truth, simulate_stages
from analysis.tests.tuned import CONSTANT, COSINE, STEP, TRUTH, by_name, tuned_study


@pytest.fixture(scope="module")
def tuned() -> tuple[pd.DataFrame, dict]:
    """Three schedulers whose best rates are 0.01, 1 and 0.1, of 0.01, 0.1 and 1 tried; the default is 0.1."""
    return simulate_stages(tuned_study(), TRUTH)


def test_what_tuning_bought_by_hand(tuned):
    """A rate ten times off costs 4 points in this world: so much is bought, by the seeds of the comparison alone."""
    found = by_name(gains(tuned[0], choices(*tuned)))
    # 4 points less what accuracies in 360ths round away
    assert found["ConstantLR"].judgement.estimate.value == pytest.approx(0.04, abs=1 / 360)
    assert found["StepLR"].judgement.estimate.value == pytest.approx(0.04, abs=1 / 360)
    assert found["CosineAnnealingLR"].unchanged
    assert [len(gain.default) for gain in found.values()] == [6, 6, 6]
    table = tuning.answer(*tuned).table
    assert table["verdict"].tolist() == ["better", "same as default", "better"]
    assert table["gained_points"].iloc[1] == 0.0


def test_trials_that_chose_are_in_no_gain(tuned):
    """Whatever the selection trials scored on test images, what was bought and every order stay as they are."""
    rows, record = tuned
    selection = rows["tuning"] == "selection"
    assert selection.any()
    other = rows.assign(final_accuracy=rows["final_accuracy"].where(~selection, 0.123))
    before, after = (gains(frame, choices(frame, record)) for frame in (rows, other))
    assert [gain.differences.tolist() for gain in before] == [gain.differences.tolist() for gain in after]


def test_the_p_values_are_corrected_for_the_number_of_schedulers():
    """Two schedulers with the same differences: each corrected p is twice that of its own."""
    truth = replace(TRUTH, identical=False, run_sd=0.004, best_lr={"ConstantLR": 0.01, "StepLR": 1.0})
    rows, record = simulate_stages(tuned_study([CONSTANT, STEP]), truth)
    found = gains(rows, choices(rows, record))
    smallest = min(found, key=lambda gain: gain.judgement.p)
    assert smallest.corrected_p == pytest.approx(2 * smallest.judgement.p)


def test_equivalence_stands_with_its_margin_and_its_own_interval():
    """The margin is one seed SD of the default, and the interval of the two tests is the 90% one: both are printed,
    and the interval lies inside the margin exactly where the verdict says equivalent."""
    truth = Truth(identical=False, run_sd=0.004, seed_sd=0.02, best_lr={"CosineAnnealingLR": 0.12})
    seen = set()
    for seed, num_seeds in ((0, 3), (1, 3), (0, 12), (1, 12)):
        study = tuned_study([COSINE], seeds=f"0-{num_seeds - 1}", tune={"base_lr": [0.12]})
        rows, record = simulate_stages(study, truth, seed)
        (gain,) = gains(rows, choices(rows, record))
        if gain.unchanged or gain.judgement.told_apart:
            continue
        low, high = stats.ttest_1samp(gain.differences, 0).confidence_interval(0.9)
        assert (gain.interval_90.low, gain.interval_90.high) == pytest.approx((low, high))
        margin = gain.default.std(ddof=1)
        text = next(text for text in tuning.answer(rows, record).sentences if "margin" in text or "told from" in text)
        equivalent = bool(-margin < low and high < margin)
        seen.add(equivalent)
        assert text.startswith("Tuned and default are equivalent within the margin, one seed SD") is equivalent
        assert (f"90% interval {points(low)} to {points(high)}; margin {100 * margin:.2f} points" in text) is equivalent
        assert ("95% interval" in text) is not equivalent
    assert True in seen


def test_the_order_that_tuning_turned_is_told(tuned):
    """At 0.1 cosine leads by 1 + 4 - 2 points over StepLR; tuned StepLR leads by 1: of three pairs one is turned."""
    (found,) = orders(gains(tuned[0], choices(*tuned)))
    names = [[arm.partition("(")[0] for arm in found.order(table)] for table in (found.default, found.tuned)]
    assert names[0][0] == "CosineAnnealingLR"
    assert names[1] == ["StepLR", "CosineAnnealingLR", "ConstantLR"]
    assert not found.same
    text = next(text for text in tuning.answer(*tuned).sentences if "order" in text)
    assert "at the default CosineAnnealingLR leads, tuned StepLR does" in text


def test_of_few_seeds_no_order_is_said_to_be_sure():
    """Five seeds: the order that turned is told, its interval is not, and nothing is beyond the noise."""
    answer = tuning.answer(*simulate_stages(tuned_study(seeds="0-4"), TRUTH))
    text = next(text for text in answer.sentences if "order" in text)
    assert "Kendall's tau 0.33; 5 seeds are too few for an interval" in text
    assert "noise" not in text


def test_an_order_that_stays_is_told():
    """Where every default is the best, tuning changes nothing, and both are said."""
    truth = replace(TRUTH, best_lr=dict.fromkeys(TRUTH.best_lr, 0.1))
    answer = tuning.answer(*simulate_stages(tuned_study(), truth))
    assert any(text.startswith("Tuning left the order of the schedulers as it was") for text in answer.sentences)
    assert "the study's own setting was the best of those tried" in " ".join(answer.sentences)


@pytest.mark.slow
def test_nothing_is_bought_where_the_rate_does_not_matter():
    """In 20 worlds without any best rate, the score that was chosen by is too high, and on fresh seeds nothing is
    bought: the mean gain is within 3 standard errors of none."""
    truth = Truth(identical=False, run_sd=0.01, seed_sd=0.0, accuracy=0.9)
    study = tuned_study([COSINE], tune={"base_lr": [0.01, 0.02, 0.05, 0.2, 0.5]})
    bought, chosen = [], []
    for seed in range(20):
        rows, record = simulate_stages(study, truth, seed)
        chosen.append(curves(rows, record)[0].best.mean - 0.9)
        found = gains(rows, choices(rows, record))
        bought += [gain.differences.mean() for gain in found if not gain.unchanged]
    standard_error = np.std(bought, ddof=1) / math.sqrt(len(bought))
    assert abs(np.mean(bought)) < 3 * standard_error
    assert np.mean(chosen) > 0.003  # the best of six means, each of an SD of 0.5 points, lies above the truth
