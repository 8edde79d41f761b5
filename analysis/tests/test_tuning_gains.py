"""What tuning bought, by hand, on fresh seeds alone; and whether it turned the order of the schedulers."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import schedulers, tuning
from analysis.page.wording import displayed, points
from analysis.rows.gains import gains, orders
from analysis.rows.rates import choices, curves
from analysis.tests.simulate import Truth, simulate_stages
from analysis.tests.tuned import CONSTANT, COSINE, CYCLE, CYCLE_CALL, STEP, TRUTH, by_name, tuned_study
from analysis.tuning_gains_words import about_gains, about_order
from analysis.tuning_words import names_of


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


def test_what_would_have_been_found_is_at_the_level_that_decides():
    """Two schedulers share the 5%: what 6 seeds would have found is at 5% / 2, larger than at 5%. By hand, of SD s and
    6 pairs: the noncentral t of 5 degrees exceeds its critical value with a chance of 0.8."""
    truth = replace(TRUTH, identical=False, run_sd=0.03, best_lr={"ConstantLR": 0.01, "StepLR": 1.0})
    rows, record = simulate_stages(tuned_study([CONSTANT, STEP]), truth)
    found = [gain for gain in gains(rows, choices(rows, record)) if not gain.unchanged]
    assert [gain.family for gain in found] == [2, 2]
    for gain in found:
        delta = gain.judgement.detectable / (gain.differences.std(ddof=1) / math.sqrt(6))
        critical = stats.t.ppf(1 - 0.05 / 2 / 2, 5)
        assert stats.nct.sf(critical, 5, delta) == pytest.approx(0.8, abs=0.002)


def test_what_tuning_lost_is_not_to_be_kept():
    """What was chosen on 4 selection seeds is worse on fresh ones: stay with the default, or choose on more."""
    rows, record = simulate_stages(tuned_study([STEP]), TRUTH)
    tuned, default = rows["tuning"] == "tuned", rows["tuning"] == "default"
    swapped = rows["final_accuracy"].copy()
    swapped[tuned], swapped[default] = (
        rows.loc[default, "final_accuracy"].array,
        rows.loc[tuned, "final_accuracy"].array,
    )
    answer = tuning.answer(rows.assign(final_accuracy=swapped), record)
    said = "Stay with the default for StepLR, or choose again on more than 4 selection seeds: what was chosen is worse."
    assert said in answer.advice
    assert said not in tuning.answer(rows, record).advice


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


def test_a_p_is_not_printed_as_the_level_that_it_lies_below(tuned):
    """0.0496 is below 5% and "0.050" would not be: in the sentence and in the table it has a digit more."""
    rows, record = tuned
    found = [replace(gain, corrected_p=0.0496) for gain in gains(rows, choices(rows, record)) if not gain.unchanged]
    names = names_of(curves(rows, record))
    assert all("Holm-corrected p = 0.0496)" in text for text in about_gains(found, names))
    shown = displayed(tuning.table(curves(rows, record), found))["gained p"].tolist()
    assert shown == ["0.0496", "–", "0.0496"]


def test_places_that_may_be_the_same_are_not_said_to_be_the_same(tuned):
    """Where no arm's intervals of places part, what is said is that no change is certain, not that nothing moved."""
    (order,) = orders(gains(tuned[0], choices(*tuned)))
    names = {arm: name for (arm, _), name in names_of(curves(*tuned)).items()}
    (none,), (some,) = (about_order(replace(order, moved=m), names) for m in ((), (order.order(order.tuned)[0],)))
    assert none.endswith("; that any changed its place is not certain.")
    assert some.endswith("; StepLR changed place by more than noise.")


def test_what_schedulers_stand_at_is_not_more_than_was_chosen():
    """Of ConstantLR nothing could be chosen, and OneCycleLR was tried at a rate more: the comparison does not claim a
    best one for each, nor as many trials."""
    truth = replace(TRUTH, diverges_above={"ConstantLR": 1e-9})
    rows, record = simulate_stages(tuned_study([CONSTANT, STEP, CYCLE]), truth)
    (said,) = [text for text in schedulers.answer(rows, record).caveats if "[tune]" in text]
    assert "the study's own where it found none" in said
    assert "equal number" not in said


def test_base_lr_is_not_advised_where_it_does_nothing():
    """OneCycleLR tuned to max_lr 1 is to be used as that call; StepLR with its base_lr."""
    best = replace(TRUTH, effects={CYCLE_CALL.format(1.0): 0.2})
    for arms, truth, said in (
        ([CONSTANT, CYCLE], best, f"Use OneCycleLR as {CYCLE_CALL.format(1.0)}: "),
        ([CONSTANT, STEP], TRUTH, "Use StepLR with base_lr 1: "),
    ):
        rows, record = simulate_stages(tuned_study(arms), truth)
        (line,) = [text for text in schedulers.answer(rows, record).advice if text.startswith("Use ")]
        assert line.startswith(said)
