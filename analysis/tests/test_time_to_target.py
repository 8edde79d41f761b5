"""How long to a target: rows with planted times, failures and old columns."""

import numpy as np
import pandas as pd
import pytest

from analysis.page.wording import displayed
from analysis.rows.reaching import first_reach, races
from analysis.statistics.survival import kaplan_meier
from analysis.tests.simulate import Truth, simulate, study_of
from analysis.time_to_target import answer, applies

SCHEDULERS = ["ConstantLR(factor=1.0)", "StepLR(step_size=1, gamma=0.5)"]
CONSTANT, STEP = SCHEDULERS


def raced(epochs_to_target: dict, num_seeds: int = 8, **grid) -> pd.DataFrame:
    """Return rows whose schedulers reach 0.9 after so many epochs, one number or one for each seed; 9: not in 4."""
    study = study_of(replicates=1, grid={"seed": f"0-{num_seeds - 1}", "scheduler": SCHEDULERS, **grid})
    rows = simulate(study, Truth(speed_sd=0.0))
    curves = []
    for row in rows.to_dict("records"):
        when = epochs_to_target[row["scheduler_name"]]
        when = when if isinstance(when, int) else when[row["seed"]]
        curves.append(np.array([0.9 if epoch >= when else 0.5 for epoch in range(1, 5)]))
    return rows.assign(val_accuracy_curve=curves, final_val_accuracy=[curve[-1] for curve in curves])


def test_the_first_reach_counts():
    """A curve that falls below the target again has reached it; one that never does is censored at its end."""
    assert first_reach([0.5, 0.9, 0.1], [1.0, 2.5, 4.0], 0.9, "s") == (2.5, True)
    assert first_reach([0.5, 0.8, 0.1], [1.0, 2.5, 4.0], 0.9, "epochs") == (3.0, False)


def test_the_curve_ends_at_the_share_that_got_there():
    """A trial that ends without the target is not lost from sight, however soon its seconds are over: the curve of an
    arm that got there in 5 of 8 seeds ends at 5/8."""
    rows = raced({"ConstantLR": 4, "StepLR": [9, 9, 9, 1, 2, 3, 4, 4]})
    missed = (rows["scheduler_name"] == "StepLR") & (rows["seed"] < 3)
    rows["train_seconds_curve"] = [
        np.asarray(curve) * (0.1 if hit else 1.0)
        for curve, hit in zip(rows["train_seconds_curve"], missed, strict=True)
    ]
    for race in races(rows, target=0.9):
        arm = next(arm for arm in race.arms if arm.name == STEP)
        assert 1 - kaplan_meier(arm.times, arm.reached).waiting[-1] == pytest.approx(5 / 8) == arm.share.value


def test_planted_times_are_told_in_seconds():
    """A scheduler that is there two epochs sooner on every seed is said to be: 2 epochs of 20 steps of 3.2 ms."""
    rows = raced({"ConstantLR": 4, "StepLR": 2})
    assert applies(rows)
    in_epochs, in_seconds = races(rows)
    assert (in_epochs.unit, in_seconds.unit, in_epochs.target) == ("epochs", "s", 0.9)
    assert in_epochs.gaps[STEP].tolist() == [-2.0] * 8
    step_seconds = float(rows["step_seconds_median"].iloc[0])
    assert in_seconds.gaps[STEP] == pytest.approx(np.full(8, -40 * step_seconds))
    found = answer(rows)
    assert found.sentences[0].startswith("StepLR trains 0.128 s less than ConstantLR until 90.00% validation accuracy")
    assert found.sentences[1].startswith("StepLR reached 90.00% validation accuracy")
    assert "in 8 of 8 seeds" in found.sentences[1]
    assert found.verdict == "better"


def three_way(epochs_to_target: dict, num_seeds: int = 8) -> pd.DataFrame:
    """Return rows of ConstantLR, StepLR and ExponentialLR."""
    grid = {"scheduler": [*SCHEDULERS, "ExponentialLR(gamma=0.9)"]}
    return raced(epochs_to_target, num_seeds, **grid)


def test_an_arm_that_misses_more_seeds_is_not_better():
    """A trial that never gets there counts as long as its training, which is too short: StepLR spends less in the mean
    and misses a seed that ConstantLR does not, so it is not called better; where ConstantLR misses one too, it is."""
    when = {"ConstantLR": 4, "StepLR": [9, 1, 1, 1, 1, 1, 1, 1]}
    found = answer(raced(when), target=0.9)
    assert max(race.corrected_p[STEP] for race in races(raced(when), target=0.9)) < 0.05
    assert found.verdict == "inconclusive"
    assert "It got there on 7 of these seeds and ConstantLR on 8: not called better." in found.sentences[0]
    assert not [note for note in found.notes if "too small if anything" in note]
    assert answer(raced(when | {"ConstantLR": [9, 4, 4, 4, 4, 4, 4, 4]}), target=0.9).verdict == "better"
    turned = answer(raced({"ConstantLR": when["StepLR"], "StepLR": 4}), target=0.9)
    assert turned.verdict == "inconclusive"
    assert "It got there on 8 of these seeds and ConstantLR on 7: not called worse." in turned.sentences[0]


def test_a_seed_lost_by_a_crash_is_not_a_miss():
    """Seeds are counted where both arms are known: a crash of StepLR takes its seed from ConstantLR's count too."""
    rows = raced({"ConstantLR": 4, "StepLR": [1, 1, 2, 1, 1, 1, 1, 1]})
    gone = (rows["scheduler_name"] == "StepLR") & (rows["seed"] == 0)
    rows["status"] = rows["status"].astype(object).mask(gone, "crashed")
    rows["val_accuracy_curve"] = rows["val_accuracy_curve"].astype(object).mask(gone, None)
    assert {race.num_reached[STEP] for race in races(rows)} == {(7, 7)}
    assert answer(rows).verdict == "better"


def test_seconds_and_epochs_are_corrected_together():
    """Both units ask one question twice: six equal gaps have p = 2 / 2^6 in each, and 4 / 2^6 after Holm."""
    rows = raced({"ConstantLR": 4, "StepLR": 2}, num_seeds=6)
    assert [race.corrected_p[STEP] for race in races(rows)] == pytest.approx([0.0625] * 2)
    assert answer(rows).verdict == "inconclusive"
    (alone,) = races(rows.assign(train_seconds_curve=None))
    assert alone.corrected_p[STEP] == pytest.approx(0.03125)


def test_the_badge_is_of_all_settings():
    """Sooner at one base_lr and at the same time at the other: both are counted, and both lead."""
    rows = raced({"ConstantLR": 4, "StepLR": 2}, base_lr=[0.1, 0.01])
    same = (rows["base_lr"] == 0.01).to_numpy()
    rows["val_accuracy_curve"] = [
        np.array([0.5, 0.5, 0.5, 0.9]) if level else curve
        for level, curve in zip(same, rows["val_accuracy_curve"], strict=True)
    ]
    found = answer(rows, target=0.9)
    assert found.verdict == "of 2 settings: 1 better, 1 inconclusive"
    assert sorted(text.partition(":")[0] for text in found.leading) == ["base_lr=0.01", "base_lr=0.1"]


@pytest.mark.parametrize(("when", "verdict"), [([2, 2, 2, 2, 2, 2, 3, 3], "better"), ([4] * 8, "worse")])
def test_the_badge_belongs_to_the_first_sentence(when, verdict):
    """ExponentialLR has the shortest median and is not told from ConstantLR; StepLR is, and leads with its badge."""
    constant = [3, 3, 3, 3, 3, 3, 4, 4]
    found = answer(
        three_way({"ConstantLR": constant, "StepLR": when, "ExponentialLR": [1, 1, 1, 1, 1, 9, 9, 9]}), target=0.9
    )
    assert found.verdict == verdict
    assert found.leading[0].startswith("StepLR trains")
    assert f"{'less' if verdict == 'better' else 'more'} than ConstantLR" in found.leading[0]
    assert found.sentences[1].startswith("ExponentialLR reached 90.00%")
    assert "not told apart" in found.sentences[1]


def test_one_seed_is_no_test():
    """With one seed each there is nothing to test, and the badge says so."""
    assert answer(raced({"ConstantLR": 4, "StepLR": 2}, num_seeds=1)).verdict == "not testable here"


def test_equal_medians_are_not_called_the_same_time():
    """Arms of one median have intervals of their own: the sentence spans them all, and the title speaks of medians."""
    when = {"ConstantLR": 3, "StepLR": [2, 2, 3, 3, 3, 3, 4, 4], "ExponentialLR": [2, 3, 3, 3, 3, 3, 3, 3]}
    rows = three_way(when).assign(train_seconds_curve=None)
    found = answer(rows, target=0.9)
    (race,) = races(rows, target=0.9)
    spans = {arm.name.partition("(")[0]: (arm.median.low, arm.median.high) for arm in race.arms}
    assert len(set(spans.values())) > 1
    low, high = min(low for low, _ in spans.values()), max(high for _, high in spans.values())
    assert (
        f"all 3 schedulers take a median of 3 epochs (95% intervals within {low:g} to {high:g})" in found.sentences[0]
    )
    figure = found.figure()
    assert "All schedulers have the same median time" in _texts(figure)
    assert "drawn a little beside each other" in _texts(figure)


def _texts(figure) -> str:
    from matplotlib.text import Text

    return " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text))


def test_nobody_comes_furthest_in_no_seed():
    """Where no seed got there nobody did most often; where a few did, all who tie for the most are named."""
    none = answer(raced({"ConstantLR": 9, "StepLR": 9}), target=0.9).sentences[0]
    assert none == "No scheduler reached 90.00% validation accuracy (as stated) on any seed."
    few = [9, 9, 9, 9, 9, 9, 1, 2]
    tied = answer(raced({"ConstantLR": few, "StepLR": few}), target=0.9).sentences[0]
    assert tied.endswith("in half of its seeds; ConstantLR and StepLR did most often, in 2 of 8 seeds.")


def test_an_interval_without_upper_end_is_said_to_have_none():
    """With five of eight seeds there half may never be: the sentence says so, and a note why the table does not."""
    found = answer(raced({"ConstantLR": 4, "StepLR": [9, 9, 9, 1, 2, 2, 3, 3]}), target=0.9)
    text = " ".join(found.sentences)
    assert ", no upper end)" in text
    assert "no end seen" not in text
    assert any("has no upper end" in note for note in found.notes)


def test_the_target_is_the_baselines_median():
    """Of finals 0.5 (five seeds) and 0.9 (three) the baseline's median is 0.5, which all meet at once."""
    rows = raced({"ConstantLR": [9, 9, 9, 9, 9, 4, 4, 4], "StepLR": 4})
    assert races(rows)[0].target == 0.5
    assert races(rows, target=0.9)[0].target == 0.9


def test_identical_times_are_said_first_and_get_no_p():
    """Schedulers that take equally long on every seed are told to, and their table has no p-value."""
    found = answer(raced({"ConstantLR": 2, "StepLR": 2}))
    text = " ".join(found.sentences)
    assert "both schedulers take" in text
    assert "StepLR took exactly as long as ConstantLR on every seed" in text
    assert found.table["to_baseline_time_p"].isna().all()
    assert found.verdict == "inconclusive"


def test_a_diverged_trial_never_gets_there():
    """A scheduler that diverges on three of ten seeds has reached it in seven at most, and is told so."""
    rows = raced({"ConstantLR": 3, "StepLR": 3}, num_seeds=10)
    lost = (rows["scheduler_name"] == "StepLR") & (rows["seed"] < 3)
    rows["status"] = rows["status"].astype(object).mask(lost, "diverged")
    race = races(rows)[0]
    arm = next(arm for arm in race.arms if arm.name == STEP)
    assert (arm.share.value, arm.num_diverged) == (0.7, 3)
    assert np.isinf(arm.times).sum() == 3
    assert sorted(race.gaps[STEP].tolist()) == [0.0] * 7 + [1.0] * 3  # a whole training, 4 epochs, less 3
    assert "Diverged, and so never there: StepLR in 3 of 10." in answer(rows).sentences


def test_a_crash_is_lost_from_sight_and_in_no_difference():
    """A trial that crashed before it had a curve is censored at its start: no difference counts it."""
    rows = raced({"ConstantLR": 3, "StepLR": 2}, num_seeds=6)
    gone = (rows["scheduler_name"] == "StepLR") & (rows["seed"] == 0)
    rows["status"] = rows["status"].astype(object).mask(gone, "crashed")
    rows["val_accuracy_curve"] = rows["val_accuracy_curve"].astype(object).mask(gone, None)
    race = races(rows)[0]
    assert len(race.gaps[STEP]) == 5
    assert "1 trial ended early by a crash, and counts as not there yet where it stopped." in answer(rows).sentences


def test_a_crash_after_the_target_is_no_loss():
    """Of three trials that crashed, the one that had met the target counts as there; two are lost from sight."""
    rows = raced({"ConstantLR": 3, "StepLR": [9, 9, 2, 2, 2, 2]}, num_seeds=6)
    gone = (rows["scheduler_name"] == "StepLR") & (rows["seed"] < 3)
    rows["status"] = rows["status"].astype(object).mask(gone, "crashed")
    assert "2 trials ended early by a crash, and count as not there yet where they stopped." in answer(rows).sentences


def test_a_mean_of_time_spent_is_the_area_under_the_curve():
    """In epochs, where all trainings are equally long, it is the restricted mean of Kaplan and Meier's curve."""
    when = [1, 2, 2, 3, 4, 9, 9, 1]
    (race, _) = races(raced({"ConstantLR": 4, "StepLR": when}), target=0.9)
    arm = next(arm for arm in race.arms if arm.name == STEP)
    curve = kaplan_meier(arm.times, arm.reached)
    edges = [0.0, *curve.times, 4.0]
    area = sum(w * (b - a) for w, a, b in zip([1.0, *curve.waiting], edges[:-1], edges[1:], strict=True))
    assert arm.spent.mean() == pytest.approx(area)


def test_one_fast_trial_hides_no_difference():
    """A trial that ran ten times as fast, and missed the target, cuts no other trial short; it counts with the longer
    training of its pair, ConstantLR's own, which was just there at the end: a gap of 0, not of nine tenths less."""
    rows = raced({"ConstantLR": 4, "StepLR": [9, 2, 2, 2, 2, 2, 2, 2]})
    fast = (rows["scheduler_name"] == "StepLR") & (rows["seed"] == 0)
    rows["train_seconds_curve"] = [
        np.asarray(curve) * (0.1 if hit else 1.0) for curve, hit in zip(rows["train_seconds_curve"], fast, strict=True)
    ]
    _, race = races(rows, target=0.9)
    second = float(rows["train_seconds_curve"].iloc[int(np.flatnonzero(~fast)[0])][-1]) / 2
    assert race.gaps[STEP] == pytest.approx(np.array([0.0, *[-second] * 7]))


def test_old_rows_have_epochs_only_and_say_so():
    """Rows of before there were seconds to each epoch's end are raced in epochs, with a note."""
    rows = raced({"ConstantLR": 4, "StepLR": 2}).assign(train_seconds_curve=None)
    assert {race.unit for race in races(rows)} == {"epochs"}
    assert any(note.startswith("Epochs only") for note in answer(rows).notes)


def test_trials_that_shared_their_device_have_no_times():
    """Packed trials are raced in epochs: their seconds are of two trainings."""
    rows = raced({"ConstantLR": 4, "StepLR": 2}).assign(packed=True)
    assert {race.unit for race in races(rows)} == {"epochs"}
    assert any("shared their device" in note for note in answer(rows).notes)


def test_one_trial_a_seed_is_taken():
    """Replicates and flags add no seeds: the first replicate at the reference level is the one that counts."""
    rows = raced({"ConstantLR": 4, "StepLR": 2}, num_seeds=6, cudnn_benchmark=[True, False])
    race = races(rows)[0]
    assert [len(arm.times) for arm in race.arms] == [6, 6]
    assert "cudnn_benchmark=False" in " ".join(answer(rows).notes)


def test_selection_trials_are_in_no_race():
    """Trials that chose a rate are left out: their seeds were looked at to choose."""
    rows = raced({"ConstantLR": 4, "StepLR": 2}, num_seeds=6)
    rows["tuning"] = np.where(rows["seed"] < 2, "selection", "default and tuned")
    assert {len(arm.times) for race in races(rows) for arm in race.arms} == {4}
    assert {race.part.stage for race in races(rows)} == {"tuned", "at default"}


def test_nothing_to_race():
    """One scheduler, or no curve at all, is said to be no race; rows that are none do not fail."""
    rows = raced({"ConstantLR": 4, "StepLR": 2})
    one = rows[rows["scheduler_name"] == "StepLR"]
    assert not applies(one)
    assert "nothing to compare" in answer(one).sentences[0]
    assert not applies(rows[:0])
    for none in (rows.assign(val_accuracy_curve=None), rows.drop(columns="val_accuracy_curve"), rows[:0]):
        assert "No trial has a validation accuracy" in answer(none).sentences[0]


@pytest.mark.parametrize("times", [(4, 2), (2, 2), (9, 9), ([9, 9, 9, 9, 4, 4, 4, 4], [1, 2, 3, 4, 1, 2, 3, 4])])
def test_every_outcome_can_be_read_and_drawn(times):
    """No sentence and no cell holds nan or inf, and the figure is drawn."""
    rows = raced(dict(zip(("ConstantLR", "StepLR"), times, strict=True)))
    found = answer(rows, target=0.9)
    texts = [*found.sentences, *displayed(found.table).astype(str).to_numpy().ravel()]
    assert not [text for text in texts if "nan" in text.lower().split() or "inf" in text.lower().split()]
    assert found.figure().get_axes()
