"""A scheduler over its rates: the good region by hand, arguments that were tuned too, and whose trials are whose."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from analysis import tuning
from analysis.figures.tuning import sensitivity
from analysis.rows.gains import gains, runs
from analysis.rows.rates import Curve, Point, choices, curves
from analysis.tests.simulate import simulate_stages
from analysis.tests.tuned import CONSTANT, COSINE, CYCLE, CYCLE_CALL, STEP, TRUTH, by_name, tuned_study
from analysis.tuning_words import names_of, rate_of
from lrbench.metrics import find_metric


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


def test_a_scheduler_that_sets_its_own_rate_is_drawn_by_it():
    """OneCycleLR's curve is over max_lr; base_lr has no part in it, in the words neither."""
    tune = {"arguments": {"OneCycleLR": {"max_lr": [0.05, 0.2, 0.8]}}}
    truth = replace(TRUTH, effects={CYCLE_CALL.format(0.2): 0.03})
    rows, record = simulate_stages(tuned_study([CYCLE], tune=tune), truth)
    (found,) = curves(rows, record)
    assert (found.of, [point.rate for point in found.points]) == ("max_lr", [0.05, 0.2, 0.8])
    assert (found.best.rate, found.boundary, found.default) == (0.2, "", 0.05)
    assert rate_of(found) == "max_lr 0.2"


def test_a_figure_names_what_each_panel_is_over():
    """OneCycleLR beside CosineAnnealingLR: one panel is over max_lr and says so, the other over base_lr."""
    found = curves(*simulate_stages(tuned_study([COSINE, CYCLE]), TRUTH))
    figure = sensitivity(found)
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == ["CosineAnnealingLR", "OneCycleLR, max_lr"]
    assert {axes.get_xlabel() for axes in panels} == {"base_lr, or what the title names"}


def test_rates_that_are_listed_for_all_are_its_peaks():
    """Without rates of its own OneCycleLR is tried with those of the others as max_lr: an edge is told as max_lr's."""
    truth = replace(TRUTH, effects={CYCLE_CALL.format(1.0): 0.03})
    rows, record = simulate_stages(tuned_study([CYCLE]), truth)
    (found,) = curves(rows, record)
    assert [point.rate for point in found.points] == [0.01, 0.05, 0.1, 1.0]
    assert (rate_of(found), found.boundary) == ("max_lr 1", "highest")
    (advised,) = tuning.answer(rows, record).advice
    assert advised.startswith("Extend max_lr beyond 1 for OneCycleLR (2, say), before you choose a scheduler")


def test_a_scheduler_whose_rate_was_not_tuned_is_told():
    """OneCycleLR where only StepLR's argument is tuned is one point: no edge is claimed, and what to tune is said."""
    tune = {"base_lr": [], "arguments": {"StepLR": {"gamma": [0.3]}}}
    rows, record = simulate_stages(tuned_study([CYCLE, STEP], tune=tune), TRUTH)
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
