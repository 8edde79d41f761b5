"""The answer on tuning: known best rates are found, edges and ties are told, in words and in the figure."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from analysis import tuning
from analysis.figures.tuning import sensitivity
from analysis.rows.gains import gains, orders
from analysis.rows.rates import choices, curves
from analysis.tests.simulate import Truth, simulate, simulate_stages, study_of
from analysis.tests.tuned import CONSTANT, COSINE, CYCLE, STEP, TRUTH, by_name, tie, tuned_study


@pytest.fixture(scope="module")
def tuned() -> tuple[pd.DataFrame, dict]:
    """Three schedulers whose best rates are 0.01, 1 and 0.1, of 0.01, 0.1 and 1 tried; the default is 0.1."""
    return simulate_stages(tuned_study(), TRUTH)


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
        "Extend base_lr below 0.01 for ConstantLR (0.005, say), before you choose a scheduler or run more seeds.",
        "Extend base_lr beyond 1 for StepLR (2, say), before you choose a scheduler or run more seeds.",
    )
    assert list(answer.table["of_those_tried"]) == ["lowest tried", "inside", "highest tried"]


def test_a_rate_inside_needs_no_advice():
    """One scheduler with its best rate inside: it is said to be at its best, and nothing is advised."""
    answer = tuning.answer(*simulate_stages(tuned_study([COSINE]), TRUTH))
    assert answer.sentences[0].startswith("The best rate of CosineAnnealingLR 0.1, inside those tried: chosen by")
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
    assert "ConstantLR 0.01 (the lowest tried, a tie with 0.1)" in " ".join(figure.get_suptitle().split())
    assert "a tie" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_rate_that_all_share_by_a_tie_is_the_title():
    """One best at 0.01 and 0.1 alike, the other at 0.1: 0.1 suits both, and the rates are not said to differ."""
    rows, record = simulate_stages(tuned_study([CONSTANT, COSINE]), TRUTH)
    tied = curves(tie(rows, "ConstantLR", rate=0.1, like=0.01, val_loss=9.0), record)
    title = "All 2 schedulers do best at 0.1, where ties count"
    assert sensitivity(tied).get_suptitle() == title
    assert sensitivity(curves(rows, record)).get_suptitle().startswith("Chosen rates differ")


def test_a_tie_inside_the_rates_is_told(tuned):
    """CosineAnnealingLR at 0.1 and 0.2 of four, exactly as good: a sentence of its own; without a tie there is none."""
    rows, record = simulate_stages(tuned_study([COSINE], tune={"base_lr": [0.01, 0.1, 0.2, 1.0]}), TRUTH)
    tied = tie(rows, "CosineAnnealingLR", rate=0.2, like=0.1, val_loss=9.0)
    said = "A tie: CosineAnnealingLR did as well at 0.2 (the lower validation loss decided)."
    assert said in tuning.answer(tied, record).sentences
    assert not any("tie" in text for text in tuning.answer(rows, record).sentences)


def test_a_tie_with_an_edge_is_not_called_inside(tuned):
    """CosineAnnealingLR at 0.1 and 1, the highest, exactly as good: only the loss decided, and the first sentence does
    not say that none is at an edge; nor where 0.01, the lowest, did as well too."""
    rows, record = simulate_stages(tuned_study([COSINE]), TRUTH)
    one = tie(rows, "CosineAnnealingLR", rate=1.0, like=0.1, val_loss=9.0)
    two = tie(one, "CosineAnnealingLR", rate=0.01, like=0.1, val_loss=9.0)
    for frame, at in ((one, "1, the highest tried"), (two, "0.01 and 1, the lowest and the highest tried among them")):
        first = tuning.answer(frame, record).headline[0]
        said = f"it did as well at {at}: the lower validation loss decided"
        assert first.startswith(f"Not certain for CosineAnnealingLR ({said}). Best chosen by ")
    assert "inside those tried" in tuning.answer(rows, record).headline[0]


def test_a_tie_of_a_grid_is_told():
    """base_lr in the grid, two rates exactly as good: told, and the smaller one stands."""
    grid = {"seed": "0-4", "base_lr": [0.01, 0.1, 1.0], "scheduler": [CONSTANT]}
    rows = simulate(study_of(grid=grid), replace(TRUTH, diverges_above={}, best_lr={"ConstantLR": 0.1}))
    rows.loc[rows["base_lr"] == 1.0, "final_val_accuracy"] = rows.loc[
        rows["base_lr"] == 0.1, "final_val_accuracy"
    ].array
    said = "ConstantLR (it did as well at 1, the highest tried: the smaller rate decided)"
    assert said not in tuning.answer(rows[rows["base_lr"] < 1]).sentences[0]
    (curve,) = curves(rows, {})
    assert curve.best.rate == 0.1
    assert said in tuning.answer(rows).sentences[0]


def test_the_answer_does_not_hang_on_the_order_of_the_rows(tuned):
    """The same rows in another order, with study.json or without it, say the same."""
    rows, record = tuned
    shuffled, sentences = rows.sample(frac=1, random_state=1), tuning.answer(*tuned).sentences
    assert tuning.answer(shuffled, record).sentences == tuning.answer(shuffled).sentences == sentences


def test_a_title_says_which_rates_are_good_for_all():
    """Chosen are 0.01, the lowest, and 0.1; where that loses nothing beyond one seed SD the title says what is good for
    all, and where it does it does not."""
    rows, record = simulate_stages(tuned_study([CONSTANT, COSINE]), TRUTH)
    title = " ".join(sensitivity(curves(rows, record)).get_suptitle().split())
    said = "Chosen rates differ by a factor of 10: ConstantLR 0.01 (the lowest tried), CosineAnnealingLR 0.1"
    assert title == said
    flat = simulate_stages(tuned_study([CONSTANT, COSINE]), replace(TRUTH, seed_sd=0.05))
    title = " ".join(sensitivity(curves(*flat)).get_suptitle().split())
    assert title == f"{said}; at 0.01 to 0.1 each is within one seed SD of its best"


def test_a_title_compares_no_base_lr_with_a_max_lr():
    """ConstantLR and StepLR are best at 0.01 and 1, OneCycleLR at its max_lr 0.05: the title is on base_lr alone; with
    ConstantLR as the only one that has it, on that one."""
    pair = [(CONSTANT, STEP, CYCLE), (CONSTANT, CYCLE)]
    titles = [sensitivity(curves(*simulate_stages(tuned_study(arms), TRUTH))).get_suptitle() for arms in pair]
    assert titles[0].startswith("Chosen values of base_lr differ by a factor of 100: ConstantLR 0.01")
    assert titles[1].startswith("ConstantLR does best at 0.01 (the lowest tried)")


def test_nothing_is_chosen_of_what_never_completed():
    """ConstantLR fails at every rate: the table has no rate of it and no gain, what is advised speaks of no best rate,
    its trials are counted once, the headline goes on to what was chosen for the other, and the title leaves it out."""
    truth = replace(TRUTH, diverges_above={"ConstantLR": 1e-9})
    rows, record = simulate_stages(tuned_study([CONSTANT, STEP]), truth)
    answer = tuning.answer(rows, record)
    shown = answer.table.set_index("scheduler").loc["ConstantLR"]
    assert shown[["chosen_rate", "of_those_tried", "good_rates", "verdict"]].tolist() == [
        "–",
        "none completed",
        "–",
        "nothing was chosen",
    ]
    assert math.isnan(shown["gained_points"])
    assert "Try lower rates for ConstantLR: all 12 of its trials failed, and nothing was chosen." in answer.advice
    assert not any("best one" in text for text in answer.advice)
    assert "Of ConstantLR's trials 6 failed at the study's own setting." in answer.sentences
    assert answer.headline[0].startswith("Nothing can be said of the best rate of ConstantLR")
    assert answer.headline[1].startswith("Not certain for StepLR (the highest rate tried won")
    assert sensitivity(curves(rows, record)).get_suptitle().startswith("StepLR does best at 1 (the highest tried)")


def test_rates_are_counted_for_those_that_saw_them(tuned):
    """StepLR is tried at 3 rates up to 1, OneCycleLR at max_lr 0.05 too: the 4 are said of OneCycleLR alone."""
    rows, record = simulate_stages(tuned_study([STEP, CYCLE]), TRUTH)
    first = tuning.answer(rows, record).sentences[0]
    assert "among 4 rates from 0.01 to 1 for OneCycleLR, 3 rates from 0.01 to 1 for StepLR" in first
    assert "among 3 rates from 0.01 to 1 on 4 selection seeds" in tuning.answer(*tuned).sentences[0]


def test_settings_of_the_other_factors_are_tuned_apart():
    """Two batch sizes: a choice, a sentence and an order for each, and no rate of one is in the other's curve."""
    rows, record = simulate_stages(tuned_study([CONSTANT, COSINE], batch_size=[64, 128]), TRUTH)
    found = curves(rows, record)
    assert [curve.label for curve in found] == ["batch_size=64"] * 2 + ["batch_size=128"] * 2
    assert all(point.num_trials == 4 for curve in found for point in curve.points)
    sentences = tuning.answer(rows, record).sentences
    assert sum(text.startswith("batch_size=64: not certain for ConstantLR") for text in sentences) == 1
    assert len(orders(gains(rows, choices(rows, record)))) == 2


# --------------------------------------------------------------------------------------------------- without [tune]


def test_a_grid_of_rates_gives_the_curves_alone():
    """base_lr in the grid: the best rate of each and how wide it is good, no gain, and what to do about it."""
    grid = {"seed": "0-4", "base_lr": [0.025, 0.05, 0.1, 0.2, 0.4], "scheduler": [CONSTANT, COSINE]}
    truth = replace(TRUTH, seed_sd=0.002, best_lr={"ConstantLR": 0.05, "CosineAnnealingLR": 0.2})
    rows = simulate(study_of(grid=grid), truth)
    assert tuning.applies(rows)
    answer = tuning.answer(rows)
    assert answer.table["best_rate"].tolist() == ["0.05", "0.2"]
    assert answer.sentences[0].startswith("Best rate of each scheduler, none at an edge of those tried: ")
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
