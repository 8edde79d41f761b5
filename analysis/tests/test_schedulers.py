"""Whether schedulers differ: known effects are found, chance is not, and what cannot be told is said."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from analysis import schedulers
from analysis.comparisons import settings
from analysis.figures import learning_curves, palette, style
from analysis.schedulers import answer
from analysis.statistics.intervals import paired_p
from analysis.tests.simulate import Truth, simulate, study_of

CONSTANT = {"name": "ConstantLR", "factor": 1.0}
THREE = [CONSTANT, {"name": "StepLR", "step_size": "30%"}, {"name": "CosineAnnealingLR"}]

UNEQUAL = Truth(identical=False, run_sd=0.01)


def rows_of(truth: Truth, **document) -> pd.DataFrame:
    return simulate(study_of(**{"grid": {"seed": "0-9", "scheduler": THREE}, **document}), truth)


def with_accuracy(rows: pd.DataFrame, by_seed: dict[str, list[float]]) -> pd.DataFrame:
    """Give each scheduler's trials the accuracies listed, one for each seed."""
    pairs = zip(rows["scheduler_name"], rows["seed"], strict=True)
    return rows.assign(final_accuracy=[by_seed[name][seed] for name, seed in pairs])


def best_verdict(found) -> str:
    return found.table.iloc[0]["verdict"]


def test_a_known_effect_is_found():
    """A scheduler that is 1.2 points better is first, told from the baseline, with the truth inside its interval."""
    found = answer(rows_of(Truth(effects={"CosineAnnealingLR": 0.012}, seed_sd=0.008, accuracy=0.9)))
    assert re.fullmatch(
        r"CosineAnnealingLR is better than ConstantLR: \+1\.\d\d points \(95% interval \+[01]\.\d\d to \+1\.\d\d; "
        r"10 seeds, better on 10 of 10; Holm-corrected p < 0\.001\)\.",
        found.sentences[0],
    )
    assert found.verdict == best_verdict(found) == "better"
    assert found.advice[0].startswith("Use CosineAnnealingLR: +1.")
    best = found.table.iloc[0]
    assert best["scheduler"] == "CosineAnnealingLR(T_max=100%)"
    assert best["to_baseline_points_low"] <= 0.012 <= best["to_baseline_points_high"]
    assert best["to_baseline_p"] < 0.001


def test_pairing_by_seed_sees_what_the_spread_over_seeds_hides():
    """Half a point on every seed is told although seeds scatter by two points, four times as much."""
    by_seed = {"ConstantLR": list(np.linspace(0.90, 0.96, 10))}
    by_seed["StepLR"] = [v + 0.005 + 0.001 * (-1) ** i for i, v in enumerate(by_seed["ConstantLR"])]
    by_seed["CosineAnnealingLR"] = [v - 0.001 * (-1) ** i for i, v in enumerate(by_seed["ConstantLR"])]
    found = answer(with_accuracy(rows_of(Truth()), by_seed))
    assert found.table.iloc[0]["scheduler"].startswith("StepLR")
    assert found.table.iloc[0]["accuracy_sd"] > 0.019
    assert found.table.iloc[0]["to_baseline_p"] < 0.001
    assert found.sentences[0].startswith("StepLR is better than ConstantLR: +0.50 points (")


def test_a_difference_by_hand():
    """Differences of 1, 2 and 3 points are 2 points, 95 % interval -0.48 to 4.48, p = 0.0742."""
    by_seed = {"ConstantLR": [0.90, 0.91, 0.92], "StepLR": [0.91, 0.93, 0.95]}
    study = {"grid": {"seed": "0-2", "scheduler": THREE[:2]}}
    record = answer(with_accuracy(rows_of(Truth(), **study), by_seed)).table.iloc[0]
    assert record["to_baseline_points"] == pytest.approx(0.02)
    assert record["to_baseline_points_high"] == pytest.approx(0.02 + 0.024841377)
    assert record["to_baseline_p"] == pytest.approx(0.0741799, abs=1e-6)
    assert record["better_share"] == 1.0


def test_where_nothing_differs_schedulers_are_told_apart_at_the_stated_rate():
    """Over 120 studies of three equal schedulers any is told from the baseline in about 5 %, and never in over 15."""
    rows, rng = rows_of(Truth(), grid={"seed": "0-5", "scheduler": THREE}, replicates=1), np.random.default_rng(1)
    told = 0
    for _ in range(120):
        drawn = rows.assign(final_accuracy=rng.normal(0.9, 0.01, len(rows)))
        (setting,) = settings(drawn)
        told += any(c.told_apart for c in setting.against.values())
    assert 1 <= told <= 15


def test_not_told_apart_is_not_called_equal():
    """Without an effect the answer gives the largest difference, what could have been seen, and never says "equal"."""
    text = " ".join(answer(rows_of(UNEQUAL)).sentences)
    assert "No scheduler can be told from ConstantLR with 10 seeds" in text
    assert "finds a true difference of" in text
    assert "no effect" not in text
    assert "equal" not in text


def test_the_shared_base_lr_is_said():
    """A reader learns that no schedule was tuned to a rate of its own."""
    assert any(s.startswith("All schedules share base_lr 0.1") for s in answer(rows_of(Truth())).caveats)


def test_settings_that_train_differently_are_not_pooled():
    """Two base_lr make two rankings, each with its own sentences and rows; the caveat changes with them."""
    found = answer(rows_of(Truth(), grid={"seed": "0-3", "base_lr": [0.1, 0.01], "scheduler": THREE}))
    assert found.sentences[0].startswith("base_lr=0.01: ")
    assert found.table["base_lr"].tolist() == ["0.01"] * 3 + ["0.1"] * 3
    assert not any("All schedules share" in s for s in found.caveats)
    assert any("chosen and judged on the same seeds" in s for s in found.caveats)


def test_flags_are_averaged_inside_a_seed():
    """Four flag combinations do not make four times the seeds: n stays 4."""
    flags = {"cudnn_benchmark": [False, True], "cudnn_deterministic": [False, True]}
    found = answer(rows_of(Truth(), grid={"seed": "0-3", **flags, "scheduler": THREE}))
    assert found.table["num_seeds"].tolist() == [4, 4, 4]


def test_a_pair_lost_on_one_seed_is_compared_on_the_others():
    """A scheduler without any result on seed 0 is compared with the baseline on the nine other seeds."""
    rows = rows_of(Truth())
    lost = (rows["scheduler_name"] == "StepLR") & (rows["seed"] == 0)
    (setting,) = settings(rows[~lost])
    assert len(setting.against["StepLR(step_size=30%)"].differences) == 9
    assert len(setting.against["CosineAnnealingLR(T_max=100%)"].differences) == 10


@pytest.mark.parametrize(("seeds", "said"), [("0-4", "cannot go below p = 0.0625"), ("0-1", "cannot go below p = 0.5")])
def test_few_seeds_are_said_to_be_few(seeds, said):
    """Below six seeds the answer says that p-values lean on an assumption."""
    found = answer(rows_of(UNEQUAL, grid={"seed": seeds, "scheduler": THREE}))
    assert any(said in s for s in found.caveats)


def test_six_seeds_are_enough_for_a_sign_flip_test():
    """From six seeds on the caveat is gone."""
    found = answer(rows_of(UNEQUAL, grid={"seed": "0-5", "scheduler": THREE}))
    assert not any("sign-flip" in s for s in found.caveats)


def test_one_seed_says_what_to_add():
    """With one seed there is an order but no spread; the line to add is given."""
    found = answer(rows_of(Truth(), grid={"seed": [0], "scheduler": THREE}))
    assert found.sentences[0].startswith("With one seed no scheduler can be told from another")
    assert 'Add seed = "0-9"' in found.sentences[0]


def test_one_scheduler_says_what_to_add():
    """With one scheduler there is nothing to compare; the baseline is named as text to copy."""
    found = answer(rows_of(Truth(), grid={"seed": "0-2"}))
    assert found.sentences[0].startswith("Only ConstantLR was run")
    assert '{ name = "ConstantLR", factor = 1.0 }' in found.sentences[0]


def test_equal_everywhere_is_said_to_be_equal_there():
    """Accuracies that are exactly equal on every seed are reported as that, without any test."""
    by_seed = {name: [0.95] * 10 for name in ("ConstantLR", "StepLR", "CosineAnnealingLR")}
    found = answer(with_accuracy(rows_of(Truth()), by_seed))
    assert found.sentences[0].startswith(
        "On every seed all schedulers ended at exactly the same final accuracy, 95.00%"
    )
    assert found.verdict == "equivalent within margin"


def test_without_the_baseline_the_best_is_compared_with_the_others():
    """A study without ConstantLR has no column of differences to it; the best is held against the rest."""
    found = answer(rows_of(Truth(effects={"StepLR": -0.02}), grid={"seed": "0-5", "scheduler": THREE[1:]}))
    assert "to_baseline_points" not in found.table
    assert "CosineAnnealingLR is better than StepLR: +" in found.sentences[0]
    assert found.table["to_best_p"].iloc[1] < 0.05


def test_two_steps_of_one_class_keep_their_arguments():
    """Two StepLRs are told apart by their arguments, in sentences too."""
    grid = {"seed": "0-5", "scheduler": [CONSTANT, "StepLR(step_size=1)", "StepLR(step_size=2)"]}
    text = " ".join(answer(rows_of(UNEQUAL, grid=grid)).sentences)
    assert "StepLR(step_size=1)" in text
    assert "StepLR(step_size=2)" in text


def test_power_agrees_with_the_intervals_beside_it():
    """What a comparison, one of two that share the 5 %, could have seen follows from the SD of its own interval."""
    noisy = {"ConstantLR": [0.90] * 8}
    noisy["StepLR"] = [0.90 + 0.002 * (-1) ** i for i in range(8)]
    noisy["CosineAnnealingLR"] = [0.90 + 0.02 * (-1) ** i for i in range(8)]
    rows = with_accuracy(rows_of(Truth(), grid={"seed": "0-7", "scheduler": THREE}), noisy)
    (setting,) = settings(rows)
    seen = {}
    for arm, c in setting.against.items():
        half = (c.estimate.high - c.estimate.low) / 2
        sd = half * np.sqrt(8) / stats.t.ppf(0.975, 7)
        seen[arm] = sd * TTestPower().solve_power(nobs=8, alpha=0.05 / 2, power=0.8)
        assert c.detectable == pytest.approx(seen[arm], rel=1e-4)
    low, high = (f"{100 * size:.2f}" for size in sorted(seen.values()))
    (said,) = [s for s in answer(rows).sentences if "four times in five" in s]
    assert f"true difference of {low} (StepLR) to {high} points (CosineAnnealingLR)" in said


def test_there_is_no_bootstrap_of_ranks():
    """Ranks from a bootstrap over seeds hold the true one too rarely (80 % of 95 % with 6 seeds): none is given."""
    found = answer(rows_of(UNEQUAL))
    assert not {"rank", "first_share"} & set(found.table)
    assert "bootstrap" not in " ".join(found.notes)


def test_two_families_are_not_called_one():
    """A first place told from all others rests on two corrections at 5% each, and so do the p of a tuned study."""
    found = answer(rows_of(Truth(effects={"CosineAnnealingLR": 0.03}, seed_sd=0.001, accuracy=0.9)))
    (said,) = [s for s in found.sentences if "told from every other" in s]
    assert "those among the rest are corrected apart, at 5% each" in said
    assert "tuned and default rates are corrected apart" in found.notes[0]


def test_the_figure_has_a_row_of_panels_for_each_setting():
    """Two rates are two rows of panels with their names; of five the first four are drawn, and the title says so."""
    two = answer(rows_of(UNEQUAL, grid={"seed": "0-3", "base_lr": [0.1, 0.01], "scheduler": THREE})).figure()
    assert [axes.get_title(loc="left") for axes in two.axes[::2]] == ["base_lr=0.01", "base_lr=0.1"]
    five = answer(rows_of(UNEQUAL, grid={"seed": "0-1", "epochs": [1, 2, 3, 4, 5], "scheduler": THREE})).figure()
    assert len(five.axes) == 8
    assert "(the first 4 of 5 drawn)" in " ".join(five.get_suptitle().split())


def test_seeds_with_equal_accuracy_all_show():
    """Eight seeds of which four are equal are eight dots at eight places."""
    by_seed = {name: [0.9, 0.9, 0.9, 0.9, 0.91, 0.92, 0.93, 0.94] for name in ("ConstantLR", "StepLR")}
    rows = with_accuracy(rows_of(Truth(), grid={"seed": "0-7", "scheduler": THREE[:2]}), by_seed)
    left, _ = answer(rows).figure().axes
    dots = [line for line in left.lines if len(line.get_xdata()) == 8]
    assert [len(set(zip(line.get_xdata(), line.get_ydata(), strict=True))) for line in dots] == [8, 8]


@pytest.mark.parametrize("long", [CONSTANT["name"], "StepLR(step_size=1, gamma=0.123456789)"])
def test_no_label_leaves_the_figure_or_meets_another(long):
    """Axis labels stay inside the figure and apart from each other, however long the reference's name is."""
    calls = (
        [CONSTANT, "StepLR(step_size=2)"] if long == "ConstantLR" else [long, "StepLR(step_size=2, gamma=0.987654321)"]
    )
    figure = answer(rows_of(UNEQUAL, grid={"seed": "0-5", "scheduler": calls})).figure()
    with style():
        figure.draw_without_rendering()
    left, right = (axes.xaxis.label.get_window_extent() for axes in figure.axes)
    assert left.x1 < right.x0
    assert right.x1 <= figure.bbox.x1


def test_learning_curves_of_two_rates_are_two_lines():
    """Trials at two rates are never averaged into one curve: each panel has a line for each rate, and a legend."""
    rows = rows_of(Truth(), grid={"seed": "0-1", "base_lr": [0.1, 0.01], "scheduler": THREE})
    figure = learning_curves.draw(rows)
    blue_and_orange = {tuple(colour) for colour in palette(2)}
    for axes in figure.axes:
        assert {tuple(line.get_color()) for line in axes.lines if line.get_linewidth() > 1} == blue_and_orange
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["base_lr=0.01", "base_lr=0.1"]


def test_a_scheduler_stepped_in_two_ways_is_two_arms():
    """The same call per epoch and per step trains differently and is not averaged."""
    per_step = {"name": "StepLR", "step_size": "30%", "interval": "step"}
    found = answer(rows_of(Truth(), grid={"seed": "0-5", "scheduler": [*THREE[:2], per_step]}))
    assert sorted(found.table["scheduler"]) == [
        "ConstantLR(factor=1.0) per epoch",
        "StepLR(step_size=30%) per epoch",
        "StepLR(step_size=30%) per step",
    ]


def test_the_figures_title_is_the_finding():
    """The figure says who is first and whether that is certain."""
    sure = answer(rows_of(Truth(effects={"CosineAnnealingLR": 0.02}, seed_sd=0.001, accuracy=0.9)))
    assert sure.figure().get_suptitle().startswith("CosineAnnealingLR is highest")
    none = schedulers.answer(rows_of(UNEQUAL))
    assert none.figure().get_suptitle() == "No scheduler can be told from ConstantLR with 10 seeds"


def test_a_comparison_has_one_p_wherever_it_stands():
    """The best against the baseline is told or not told in the first sentence, the second and both columns alike."""
    rows = rows_of(Truth(effects={"CosineAnnealingLR": 0.01, "StepLR": 0.009}, identical=False, run_sd=0.006))
    (setting,) = settings(rows)
    best, baseline = setting.arms[0], setting.baseline
    assert best != baseline
    assert setting.pairs[best, baseline].corrected_p == setting.against[best].corrected_p
    table = answer(rows).table.set_index("scheduler")
    assert table.loc[best, "to_baseline_p"] == table.loc[baseline, "to_best_p"]
    assert table.loc[best, "to_baseline_points"] == pytest.approx(-table.loc[baseline, "to_best_points"])


def test_holm_has_two_families():
    """With the baseline and two others: two planned comparisons share one family, the third stands alone."""
    rows = rows_of(UNEQUAL)
    (setting,) = settings(rows)
    planned = sorted(paired_p(c.differences) for c in setting.against.values())
    assert sorted(c.corrected_p for c in setting.against.values()) == pytest.approx(
        [min(1, 2 * planned[0]), min(1, max(2 * planned[0], planned[1]))]
    )
    (alone,) = [c for pair, c in setting.pairs.items() if setting.baseline not in pair]
    assert alone.corrected_p == paired_p(alone.differences)
