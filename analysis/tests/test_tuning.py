"""Tuning: known best rates are found, edges are flagged, good regions and gains by hand, fresh seeds alone judge."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import tuning
from analysis.figures.tuning import sensitivity
from analysis.page.wording import points
from analysis.rows.gains import gains, orders, runs
from analysis.rows.rates import Curve, Point, choices, curves
from analysis.tests.simulate import Truth, simulate, simulate_stages, study_of
from analysis.tuning_words import names_of, rate_of
from lrbench.metrics import find_metric

RATES = [0.01, 0.1, 1.0]
CONSTANT, STEP, COSINE = (
    {"name": "ConstantLR", "factor": 1.0},
    {"name": "StepLR", "step_size": 2, "gamma": 0.1},
    {"name": "CosineAnnealingLR"},
)
TRUTH = Truth(
    seed_sd=0.003,
    tenfold_loss=0.04,
    best_lr={"ConstantLR": 0.01, "StepLR": 1.0, "CosineAnnealingLR": 0.1},
    effects={"StepLR": 0.02, "CosineAnnealingLR": 0.01},
    diverges_above={"ConstantLR": 0.5},
)


def tuned_study(schedulers=(CONSTANT, STEP, COSINE), seeds: str = "0-5", tune=None, **grid):
    tune = {"seeds": "1000-1003", "base_lr": RATES, **(tune or {})}
    grid = {"seed": seeds, "scheduler": list(schedulers), **grid}
    return study_of(replicates=1, fixed={"base_lr": 0.1}, grid=grid, tune=tune)


@pytest.fixture(scope="module")
def tuned() -> tuple[pd.DataFrame, dict]:
    """Three schedulers whose best rates are 0.01, 1 and 0.1, of 0.01, 0.1 and 1 tried; the default is 0.1."""
    return simulate_stages(tuned_study(), TRUTH)


def by_name(found) -> dict:
    return {item.arm.partition("(")[0]: item for item in found}


# ------------------------------------------------------------------------------------------------ what was chosen


def test_the_best_rates_of_a_simulated_world_are_found(tuned):
    """Each scheduler's known best rate is chosen; edges are flagged, also that below which nothing was tried."""
    found = by_name(curves(*tuned))
    assert {name: (curve.best.rate, curve.boundary) for name, curve in found.items()} == {
        "ConstantLR": (0.01, "lowest"),
        "StepLR": (1.0, "highest"),
        "CosineAnnealingLR": (0.1, ""),
    }
    assert [curve.default for curve in found.values()] == [0.1] * 3
    assert [(point.rate, point.num_failed, point.num_trials) for point in found["ConstantLR"].points] == [
        (0.01, 0, 4),
        (0.1, 0, 4),
        (1.0, 4, 4),
    ]
    assert math.isnan(found["ConstantLR"].points[2].mean)


def test_edges_are_told_with_what_to_do(tuned):
    """The highest and the lowest rate that won are named, each with the way to go on; what lies inside is not."""
    answer = tuning.answer(*tuned)
    assert "StepLR (the highest rate tried won: a larger one may be better)" in answer.sentences[0]
    assert "ConstantLR (the lowest rate tried won: a smaller one may be better)" in answer.sentences[0]
    assert answer.advice == (
        "Extend base_lr below 0.01 for ConstantLR (0.005, say).",
        "Extend base_lr beyond 1 for StepLR (2, say).",
    )
    assert list(answer.table["of_those_tried"]) == ["lowest tried", "inside", "highest tried"]


def test_a_rate_inside_needs_no_advice():
    """One scheduler with its best rate inside: it is said to be at its best, and nothing is advised."""
    answer = tuning.answer(*simulate_stages(tuned_study([COSINE]), TRUTH))
    assert answer.sentences[0].startswith("As far as was tried, the best rate of CosineAnnealingLR 0.1, chosen by")
    assert answer.advice == ()


def test_a_rate_beyond_that_the_budget_left_out_is_named():
    """Where the draw left a larger rate of the list untried, the budget is what to raise."""
    study = tuned_study([STEP], tune={"base_lr": [0.01, 0.02, 0.05, 0.2, 0.5, 1.0], "budget": 12})
    rows, record = simulate_stages(study, TRUTH)
    (curve,) = curves(rows, record)
    untried = {0.01, 0.02, 0.05, 0.2, 0.5, 1.0} - {point.rate for point in curve.points}
    assert len(curve.points) == 3
    assert curve.boundary == "highest"
    assert curve.best.rate < max(untried)
    (advice,) = tuning.answer(rows, record).advice
    assert advice.startswith("Raise tune.budget: StepLR was not tried at ")


def tie(rows: pd.DataFrame, name: str, rate: float, like: float, val_loss: float) -> pd.DataFrame:
    """Give the selection trials of a scheduler at one rate the accuracies of those at another, seed by seed."""
    mine = (rows["tuning"] == "selection") & (rows["scheduler_name"].astype(str) == name)
    scores = rows[mine & (rows["base_lr"] == like)].set_index("seed")["final_val_accuracy"]
    at = mine & (rows["base_lr"] == rate)
    rows = rows.copy()
    rows.loc[at, "final_val_accuracy"] = rows.loc[at, "seed"].map(scores)
    rows.loc[at, "final_val_loss"] = val_loss
    return rows


def test_a_tie_is_told_as_a_tie(tuned):
    """ConstantLR at 0.01 and 0.1, exactly as good: the answer, its table and the figure say so, and what decided."""
    rows = tie(tuned[0], "ConstantLR", rate=0.1, like=0.01, val_loss=9.0)
    answer = tuning.answer(rows, tuned[1])
    said = "won a tie with 0.1, by the lower validation loss: a smaller one may be better"
    assert f"ConstantLR (the lowest rate tried {said})" in answer.sentences[0]
    assert answer.sentences[0].count("tie") == 1
    assert list(answer.table["of_those_tried"]) == ["lowest tried, a tie with 0.1", "inside", "highest tried"]
    figure = sensitivity(curves(rows, tuned[1]))
    assert " ".join(figure.get_suptitle().split()).startswith(
        "Chosen rates differ by a factor of 100: ConstantLR 0.01 "
    )
    assert "ConstantLR 0.01 (a tie with 0.1)" in " ".join(figure.get_suptitle().split())
    assert "a tie" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_rate_that_all_share_by_a_tie_is_the_title():
    """One best at 0.01 and 0.1 alike, the other at 0.1: 0.1 suits both, and the rates are not said to differ."""
    rows, record = simulate_stages(tuned_study([CONSTANT, COSINE]), TRUTH)
    tied = curves(tie(rows, "ConstantLR", rate=0.1, like=0.01, val_loss=9.0), record)
    title = "All 2 schedulers do best at 0.1, where ties count"
    assert sensitivity(tied).get_suptitle() == title
    assert sensitivity(curves(rows, record)).get_suptitle().startswith("Best rates differ")


def test_a_tie_inside_the_rates_is_told(tuned):
    """CosineAnnealingLR at 0.1 and 1, exactly as good: a sentence of its own; without a tie there is none."""
    rows = tie(tuned[0], "CosineAnnealingLR", rate=1.0, like=0.1, val_loss=9.0)
    said = "A tie: CosineAnnealingLR did as well at 1 (the lower validation loss decided)."
    assert said in tuning.answer(rows, tuned[1]).sentences
    assert not any("tie" in text for text in tuning.answer(*tuned).sentences)


def test_a_tie_of_a_grid_is_told():
    """base_lr in the grid, two rates exactly as good: told, and the smaller one stands."""
    grid = {"seed": "0-4", "base_lr": [0.01, 0.1, 1.0], "scheduler": [CONSTANT]}
    rows = simulate(study_of(grid=grid), replace(TRUTH, diverges_above={}, best_lr={"ConstantLR": 0.1}))
    rows.loc[rows["base_lr"] == 1.0, "final_val_accuracy"] = rows.loc[
        rows["base_lr"] == 0.1, "final_val_accuracy"
    ].array
    said = "A tie: ConstantLR did as well at 1 (the smaller rate decided)."
    assert said not in tuning.answer(rows[rows["base_lr"] < 1]).sentences
    (curve,) = curves(rows, {})
    assert curve.best.rate == 0.1
    assert said in tuning.answer(rows).sentences


def test_the_answer_does_not_hang_on_the_order_of_the_rows(tuned):
    """The same rows in another order, with study.json or without it, say the same."""
    rows, record = tuned
    shuffled, sentences = rows.sample(frac=1, random_state=1), tuning.answer(*tuned).sentences
    assert tuning.answer(shuffled, record).sentences == tuning.answer(shuffled).sentences == sentences


def test_settings_of_the_other_factors_are_tuned_apart():
    """Two batch sizes: a choice, a sentence and an order for each, and no rate of one is in the other's curve."""
    rows, record = simulate_stages(tuned_study([CONSTANT, COSINE], batch_size=[64, 128]), TRUTH)
    found = curves(rows, record)
    assert [curve.label for curve in found] == ["batch_size=64"] * 2 + ["batch_size=128"] * 2
    assert all(point.num_trials == 4 for curve in found for point in curve.points)
    sentences = tuning.answer(rows, record).sentences
    assert sum(text.startswith("batch_size=64: not certain for ConstantLR") for text in sentences) == 1
    assert len(orders(gains(rows, choices(rows, record)))) == 2


# ------------------------------------------------------------------------------------------------- the good region


def point(rate: float, *values: float, failed: int = 0) -> Point:
    scores = pd.Series(values, index=range(len(values)), dtype=float)
    return Point(rate=rate, call="StepLR()", values=scores, num_trials=len(values) + failed, num_failed=failed)


def curve(*points: Point, best: int, metric: str = "final_val_accuracy") -> Curve:
    return Curve(
        arm="StepLR()",
        interval="epoch",
        factors={},
        metric=find_metric(metric),
        points=points,
        best=points[best],
        chosen=True,
        default=0.1,
        of="base_lr",
        num_trials=sum(p.num_trials for p in points),
        num_candidates=len(points),
    )


# three seeds each, 0.01 apart: a seed SD of 0.01, which is what may be lost
AT = {mean: (mean - 0.01, mean, mean + 0.01) for mean in (0.80, 0.89, 0.895, 0.90)}


def test_the_good_region_by_hand():
    """Means of 80, 89.5, 90, 89.5 and 80 %, the seed SD being 1 point: 0.1 to 0.4 is good, a factor of 4, closed."""
    means = {0.05: 0.8, 0.1: 0.895, 0.2: 0.9, 0.4: 0.895, 0.8: 0.8}
    found = curve(*(point(rate, *AT[mean]) for rate, mean in means.items()), best=2)
    assert found.margin == pytest.approx(0.01)
    assert [p.rate for p in found.good] == [0.1, 0.2, 0.4]
    assert found.width == pytest.approx(4.0)
    assert not found.is_open


def test_the_good_region_ends_at_the_first_rate_that_is_not():
    """A good rate beyond a bad one is no part of it; one that reaches the end of what was tried may be wider."""
    found = curve(point(0.1, *AT[0.895]), point(0.2, *AT[0.8]), point(0.4, *AT[0.895]), point(0.8, *AT[0.9]), best=3)
    assert [p.rate for p in found.good] == [0.4, 0.8]
    assert found.is_open


def test_a_rate_that_fails_more_often_is_not_good():
    """The same mean, and one trial of three failed: not good."""
    found = curve(point(0.1, *AT[0.9]), point(0.2, *AT[0.9][:2], failed=1), best=0)
    assert [p.rate for p in found.good] == [0.1]


def test_of_a_loss_less_is_better():
    """Losses of 0.90 and 0.895 beside 0.80: only the best is good, and the others are where it is the worst."""
    found = curve(point(0.1, *AT[0.9]), point(0.2, *AT[0.8]), point(0.4, *AT[0.895]), best=1, metric="final_val_loss")
    assert [p.rate for p in found.good] == [0.2]


def test_one_seed_gives_no_region():
    """A single seed has no spread to measure by: the width is not known, and the table has a dash."""
    study = tuned_study([COSINE], tune={"seeds": [1000]})
    rows, record = simulate_stages(study, TRUTH)
    (found,) = curves(rows, record)
    assert math.isnan(found.width)
    answer = tuning.answer(rows, record)
    assert answer.table["good_rates"].tolist() == ["–"]
    assert "Each rate was chosen on a single seed: another seed may choose another." in answer.caveats


# ----------------------------------------------------------------------------------------------- what tuning bought


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


# ----------------------------------------------------------------------------------------------------- arguments, arms


ARGUMENTS = {"arguments": {"StepLR": {"gamma": [0.1, 0.3]}}}
BETTER_GAMMA = {**TRUTH.effects, "StepLR(step_size=2, gamma=0.3)": 0.01}


def test_arguments_are_chosen_with_the_rate():
    """StepLR is better at another gamma: that is named beside its rate, and each rate stands with its best gamma."""
    rows, record = simulate_stages(tuned_study([CONSTANT, STEP], tune=ARGUMENTS), replace(TRUTH, effects=BETTER_GAMMA))
    found = by_name(curves(rows, record))["StepLR"]
    assert (rate_of(found), found.num_candidates, len(found.points)) == ("1 (gamma=0.3)", 6, 3)
    assert {point.call for point in found.points} == {"StepLR(step_size=2, gamma=0.3)"}
    caveats = tuning.answer(rows, record).caveats
    assert "Not as much was spent on each scheduler: 12 to 24 selection trials." in caveats
    assert "Only base_lr and gamma were tuned: all else stayed as the study has it." in caveats


@pytest.mark.parametrize("with_selection", [True, False], ids=["by the rows", "by study.json"])
def test_a_tuned_arm_keeps_its_name(with_selection):
    """Rows at the gamma that was chosen belong to the arm of the grid's gamma, with the trials that chose or not."""
    rows, record = simulate_stages(tuned_study([CONSTANT, STEP], tune=ARGUMENTS), replace(TRUTH, effects=BETTER_GAMMA))
    rows = rows if with_selection else rows[rows["tuning"] != "selection"]
    named = tuning.arms(rows, record)
    compared = rows["tuning"] != "selection"
    assert set(named[compared]) == {"ConstantLR(factor=1.0)", "StepLR(step_size=2, gamma=0.1)"}
    changed = rows["scheduler"].astype(str) == "StepLR(step_size=2, gamma=0.3)"
    assert (named[compared & changed] == "StepLR(step_size=2, gamma=0.1)").all()
    assert (compared & changed).sum() == 6


def test_two_arms_that_were_tuned_to_one_setting_each_have_its_trials():
    """StepLR at gamma 0.1 and at 0.3, both of them best at 0.3: the trials are those of both, and each has its gain."""
    other = {**STEP, "gamma": 0.3}
    rows, record = simulate_stages(tuned_study([STEP, other], tune=ARGUMENTS), replace(TRUTH, effects=BETTER_GAMMA))
    first, second = choices(rows, record)
    assert first.chosen_scheduler == second.chosen_scheduler == second.scheduler
    assert list(runs(rows, first)[1].index) == list(runs(rows, second)[1].index)
    assert len(gains(rows, [first, second])) == 2
    tuned_rows = rows["tuning"] == "tuned"
    assert set(tuning.arms(rows, record)[tuned_rows]) == {"StepLR(step_size=2, gamma=0.3)"}  # the arm of that call


# A best max_lr of 0.2; base_lr does nothing
CYCLE = {"name": "OneCycleLR", "max_lr": 0.05, "interval": "step"}
CYCLE_CALL = "OneCycleLR(max_lr={}, total_steps=100%, cycle_momentum=False)"


def test_a_scheduler_that_sets_its_own_rate_is_drawn_by_it():
    """OneCycleLR's curve is over max_lr; base_lr has no part in it, in the words neither."""
    tune = {"arguments": {"OneCycleLR": {"max_lr": [0.05, 0.2, 0.8]}}}
    truth = replace(TRUTH, effects={CYCLE_CALL.format(0.2): 0.03})
    rows, record = simulate_stages(tuned_study([CYCLE], tune=tune), truth)
    (found,) = curves(rows, record)
    assert (found.of, [point.rate for point in found.points]) == ("max_lr", [0.05, 0.2, 0.8])
    assert (found.best.rate, found.boundary, found.default) == (0.2, "", 0.05)
    assert rate_of(found) == "max_lr 0.2"


def test_a_scheduler_whose_rate_was_not_tuned_is_told():
    """OneCycleLR at several base_lr is one point: no edge is claimed, and what to tune is said."""
    rows, record = simulate_stages(tuned_study([CYCLE, COSINE]), TRUTH)
    found = by_name(curves(rows, record))["OneCycleLR"]
    assert (len(found.points), found.boundary) == (1, "")
    answer = tuning.answer(rows, record)
    assert "base_lr changes nothing for OneCycleLR: its rate was not tuned." in answer.caveats
    assert any("[tune.arguments.OneCycleLR]" in text for text in answer.advice)


def test_arms_that_are_stepped_otherwise_have_names_of_their_own():
    """One call stepped each epoch and each step: two curves, two names."""
    rows, record = simulate_stages(tuned_study([COSINE, {**COSINE, "interval": "step"}]), TRUTH)
    names = names_of(curves(rows, record))
    assert list(names.values()) == ["CosineAnnealingLR per epoch", "CosineAnnealingLR per step"]
    assert tuning.arms(rows, record).nunique() == 2


# --------------------------------------------------------------------------------------------------- without [tune]


def test_a_grid_of_rates_gives_the_curves_alone():
    """base_lr in the grid: the best rate of each and how wide it is good, no gain, and what to do about it."""
    grid = {"seed": "0-4", "base_lr": [0.025, 0.05, 0.1, 0.2, 0.4], "scheduler": [CONSTANT, COSINE]}
    truth = replace(TRUTH, seed_sd=0.002, best_lr={"ConstantLR": 0.05, "CosineAnnealingLR": 0.2})
    rows = simulate(study_of(grid=grid), truth)
    assert tuning.applies(rows)
    answer = tuning.answer(rows)
    assert answer.table["best_rate"].tolist() == ["0.05", "0.2"]
    assert answer.sentences[0].startswith("As far as was tried, these are the best rates of the 2 schedulers")
    assert "default_accuracy" not in answer.table
    assert any("Give each scheduler its own rate" in text for text in answer.advice)


def test_a_rate_that_suits_all_is_named():
    """Both best at 0.1: that is the rate to compare them at."""
    grid = {"seed": "0-4", "base_lr": [0.01, 0.1, 1.0], "scheduler": [CONSTANT, COSINE]}
    truth = replace(TRUTH, diverges_above={}, best_lr={"ConstantLR": 0.1, "CosineAnnealingLR": 0.1})
    assert tuning.answer(simulate(study_of(grid=grid), truth)).advice == (
        "Compare the schedulers at base_lr 0.1: good for all of them.",
    )


def test_one_rate_is_no_question():
    """A study at one rate has no curve: it does not apply, and the answer says what to add."""
    rows = simulate(study_of(grid={"seed": "0-1", "scheduler": [CONSTANT, COSINE]}))
    assert not tuning.applies(rows)
    assert not tuning.applies(rows[:0])
    assert "add [tune] to the study" in tuning.answer(rows).sentences[0]
    assert tuning.answer(rows).figure() is not None


def test_tuned_and_default_trials_are_no_curve(tuned):
    """Without the trials that chose, those of the comparison differ in base_lr and are no sensitivity study."""
    rows, record = tuned
    assert curves(rows[rows["tuning"] != "selection"], record) == []


# ----------------------------------------------------------------------------------------------- words and the figure


def test_no_sentence_holds_a_number_that_is_none(tuned):
    """Where trials failed, or one seed was run, nothing reads "nan" or "inf"."""
    for rows, record in (tuned, simulate_stages(tuned_study(seeds="0-0", tune={"seeds": [1000]}), TRUTH)):
        answer = tuning.answer(rows, record)
        words = " ".join([*answer.sentences, *answer.advice, *answer.caveats]).split()
        assert not {"nan", "inf", "-inf", "(nan"} & set(words)


def test_failed_trials_are_told(tuned):
    """Which scheduler failed, how often and at which rate."""
    assert "Trials that did not complete: ConstantLR 4 of 4 at 1." in tuning.answer(*tuned).sentences


def test_the_figure_shows_what_was_chosen_and_what_failed(tuned):
    """A panel for each scheduler on a logarithmic axis: a ring at the chosen rate, the study's own rate, a cross at the
    one that failed."""
    found = curves(*tuned)
    figure = sensitivity(found)
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == ["ConstantLR", "CosineAnnealingLR", "StepLR"]
    for axes, one in zip(panels, found, strict=True):
        assert axes.get_xscale() == "log"
        rings = [line.get_xdata()[0] for line in axes.lines if line.get_markersize() == 9 and line.get_marker() == "o"]
        crosses = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "x"]
        own = [
            line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
        ]
        assert rings == [one.best.rate]
        assert crosses == [point.rate for point in one.points if point.num_failed]
        assert 0.1 in own


def test_where_no_selection_trial_completed_no_rate_is_called_best():
    """Rates that all diverge: nothing can be said of the best one, and no advice to go further in any direction."""
    names = ("ConstantLR", "CosineAnnealingLR")
    rows, record = simulate_stages(tuned_study([CONSTANT, COSINE]), Truth(diverges_above=dict.fromkeys(names, 1e-9)))
    found = tuning.answer(rows, record)
    assert found.sentences[0].startswith("Nothing can be said of the best rate of")
    assert not any("was the best of those tried" in text for text in found.sentences)
    assert not any(text.startswith("Extend") for text in found.advice)
