"""Trials that failed: a scheduler that diverges does not win by it, what is missing is counted, bounds are exact."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis.comparisons import settings
from analysis.rows.outcomes import guessing, outcomes
from analysis.schedulers import answer
from analysis.tests.simulate import Truth, simulate, study_of
from lrbench.metrics import METRICS

CONSTANT, STEP, COSINE = "ConstantLR(factor=1.0)", "StepLR(step_size=30%)", "CosineAnnealingLR(T_max=100%)"
THREE = [{"name": "ConstantLR", "factor": 1.0}, {"name": "StepLR", "step_size": "30%"}, {"name": "CosineAnnealingLR"}]
BETTER = Truth(effects={"StepLR": 0.02, "CosineAnnealingLR": 0.01}, identical=False, run_sd=0.002, accuracy=0.9)


def rows_of(truth: Truth = BETTER, **document) -> pd.DataFrame:
    return simulate(study_of(**{"grid": {"seed": "0-9", "scheduler": THREE}, "replicates": 1, **document}), truth)


def failed(rows: pd.DataFrame, scheduler: str, seeds, status: str = "diverged") -> pd.DataFrame:
    """Turn a scheduler's trials on these seeds into failures, as rows of failures are: without values."""
    rows = rows.copy()
    lost = (rows["scheduler"] == scheduler) & rows["seed"].isin(seeds)
    rows["status"] = rows["status"].astype(str).where(~lost, status)
    rows.loc[lost, ["final_accuracy", "final_loss", "samples_per_second"]] = np.nan
    return rows


def test_a_scheduler_that_diverges_does_not_win_by_the_seeds_that_are_left():
    """Two points better on 7 seeds and diverged on 3: not called better, not first, not advised, and all of it said."""
    assert answer(rows_of()).advice[0].startswith("Use StepLR")  # without the failures it is
    found = answer(failed(rows_of(), STEP, [1, 4, 7]))
    table = found.table.set_index("scheduler")
    assert table.loc[STEP, "verdict"] == "inconclusive"
    assert found.table["scheduler"].iloc[0] == COSINE
    assert found.advice[0].startswith("Use CosineAnnealingLR")
    assert "Do not rely on StepLR before its base_lr is lower: it diverged on 3 of 10 seeds." in found.advice
    (said,) = [s for s in found.sentences if s.startswith("StepLR diverged")]
    assert said.startswith("StepLR diverged on 3 of 10 seeds (95% bounds of the share 7% to 65%, exact)")
    assert "counted at chance level (10%, 10 classes)" in said
    assert said.endswith("what the completed trials alone would say (better) is withdrawn.")
    assert any("for StepLR diverged on 3 of 10 seeds: of the completed trials +" in s for s in found.sentences)


def ahead_where_it_completed() -> pd.DataFrame:
    """Cosine a point ahead on the seven seeds that it completed, Step where the baseline is."""
    rows = rows_of()
    gain = {CONSTANT: 0.0, STEP: 0.0, COSINE: 0.01}
    calls, seeds = rows["scheduler"].astype(str), rows["seed"]
    wobble = 0.001 * np.sin(7.0 * seeds) * (calls != CONSTANT) * np.where(calls == STEP, 3.0, 1.0)
    rows["final_accuracy"] = 0.9 + 0.002 * np.cos(seeds) + calls.map(gain).astype(float) + wobble
    return failed(rows, COSINE, [1, 4, 7])


def test_a_verdict_that_is_taken_back_is_said_first_and_without_a_p():
    """p < 0.001 on seven seeds and no verdict: the reason leads, both sizes follow, no p stands beside them."""
    found = answer(ahead_where_it_completed())
    assert found.verdict == "inconclusive"
    first, second = found.sentences[:2]
    assert first.startswith(
        "CosineAnnealingLR diverged on 3 of 10 seeds, so nothing is concluded about CosineAnnealingLR against "
        "ConstantLR; on the 7 seeds that both completed it was +"
    )
    assert "with diverged trials counted at chance level (10%, 10 classes)." in first
    assert "p " not in first
    assert second.startswith(
        "No other scheduler can be told from ConstantLR with 10 seeds; the largest difference is St"
    )
    assert "what would matter is 1 seed SD (" in second
    title = " ".join(found.figure().get_suptitle().split())
    assert title.startswith(
        "Nothing is concluded about CosineAnnealingLR, for seeds diverged; no other scheduler can be"
    )


def test_the_table_counts_a_diverged_seed_as_lost():
    """Ahead on 7 seeds and diverged on 3 is P(better) 7 of 10 and not meaningful; a p that was taken back is absent."""
    table = answer(ahead_where_it_completed()).table.set_index("scheduler")
    record = table.loc[COSINE]
    assert (record["better_share"], record["meaningful"], record["num_seeds"]) == (0.7, "no", 7)
    assert math.isnan(record["to_baseline_p"])
    assert not math.isnan(table.loc[STEP, "to_baseline_p"])


def test_what_could_be_seen_is_said_of_the_seeds_that_were_there():
    """An arm that diverged is left out of what so many seeds could see; one that crashed has the seeds it has."""
    (said,) = [s for s in answer(ahead_where_it_completed()).sentences if s.startswith("With ")]
    assert "CosineAnnealingLR" not in said
    (said,) = [s for s in answer(failed(rows_of(), STEP, [2, 3], "crashed")).sentences if s.startswith("With ")]
    assert said.startswith("With 8 to 10 seeds a comparison")


def test_the_mean_of_completed_trials_says_so():
    """Without a baseline the best arm's mean opens the answer: where it lost seeds, the mean is of the others."""
    grid = {"grid": {"seed": "0-9", "scheduler": THREE[1:]}}
    rows = rows_of(**grid)
    assert "completed trials only" not in answer(rows).sentences[0]
    lost = failed(failed(rows, STEP, [1]), COSINE, [1])
    assert "(9 seeds, completed trials only, SD" in answer(lost).sentences[0]


def test_failures_of_one_arm_alone_are_warned_of():
    """Three crashes of one arm are to be looked into before it is used; the same in two arms are no such sign."""
    rows = failed(rows_of(), STEP, [1, 2, 3], "crashed")
    warning = "3 trials of StepLR are missing (3 crashed), and no other arm lost any"
    assert f"Look into the failures before you choose: {warning}." in answer(rows).advice
    both = failed(rows, COSINE, [1, 2, 3], "crashed")
    assert not any(line.startswith("Look into") for line in answer(both).advice)


def test_the_counted_difference_by_hand():
    """Differences of 2 points on 8 seeds and of 10 % - 90 % on 2: their mean is -14.4 points."""
    rows = rows_of()
    accuracy = {CONSTANT: 0.90, STEP: 0.92, COSINE: 0.90}
    rows["final_accuracy"] = [accuracy[str(call)] for call in rows["scheduler"]]
    (setting,) = settings(failed(rows, STEP, [0, 1]))
    c = setting.against[STEP]
    assert len(c.differences) == 8
    assert c.counted_judgement.estimate.value == pytest.approx((8 * 0.02 - 2 * 0.8) / 10)
    table = answer(failed(rows, STEP, [0, 1])).table.set_index("scheduler")
    assert table.loc[STEP, "with_diverged_points"] == pytest.approx(-0.144)
    assert table.loc[STEP, "num_diverged_seeds"] == 2
    assert (table.loc[STEP, "diverged_share_low"], table.loc[STEP, "diverged_share_high"]) == pytest.approx(
        (0.0252107, 0.5560955), abs=1e-6
    )


def test_a_baseline_that_diverges_lends_no_victory_that_is_not_there():
    """Equal where both completed; with its diverged seeds counted the baseline is far worse: no verdict but a plea."""
    rows = failed(rows_of(Truth(identical=False, run_sd=0.002, accuracy=0.9)), CONSTANT, range(6))
    (setting,) = settings(rows)
    assert {c.verdict for c in setting.against.values()} <= {"inconclusive"}
    assert any(s.startswith("ConstantLR diverged on 6 of 10 seeds") for s in answer(rows).sentences)


def test_a_baseline_that_completes_nothing_leaves_the_question_open():
    """Every seed of the baseline diverges: that leads, and no victory over another arm stands as the verdict."""
    rows = failed(rows_of(), CONSTANT, range(10))
    found = answer(rows)
    assert found.verdict == "not testable here"
    assert found.leading[0].startswith("The question cannot be answered: ConstantLR, which the others")
    assert settings(rows)[0].lost_baseline == CONSTANT
    assert settings(rows_of())[0].lost_baseline == ""


def test_divergence_is_counted_by_seed():
    """Two repeats that diverge on one seed are one seed of ten, not two of twenty: repeats of a seed go together."""
    rows = failed(rows_of(replicates=2), STEP, [3]).assign(arm=lambda r: r["scheduler"].astype(str))
    found = outcomes(rows)[STEP]
    assert found.statuses == {"completed": 18, "diverged": 2}
    assert (found.num_diverged_seeds, found.diverged_seeds.n) == (1, 10)
    assert outcomes(rows)[COSINE].diverged_seeds.n == 10


@pytest.mark.parametrize("status", ["timed_out", "crashed", "out_of_memory"])
def test_what_is_missing_is_counted_and_nothing_more(status):
    """A trial that crashed says nothing of the training: it is in no comparison, changes no verdict, and is named."""
    rows = failed(rows_of(), STEP, [2, 3], status)
    found, table = answer(rows), answer(rows).table.set_index("scheduler")
    assert table.loc[STEP, "verdict"] == "better"
    assert table.loc[STEP, "num_missing_trials"] == 2
    assert "num_diverged_seeds" not in table
    words = status.replace("_", " ")
    assert any("Missing from every comparison" in s and f"2 trials of StepLR (2 {words})" in s for s in found.sentences)


def test_a_scheduler_that_never_completes_has_its_row():
    """All ten seeds diverged: no comparison, but a row, a sentence with its bounds, and no place in the order."""
    found = answer(failed(rows_of(), STEP, range(10)))
    last = found.table.iloc[-1]
    assert (last["scheduler"], last["num_seeds"], last["verdict"]) == (STEP, 0, "not testable here")
    assert any(
        "10 of 10 seeds (95% bounds of the share 69% to 100%, exact) and completed none" in s for s in found.sentences
    )
    assert found.sentences[0].startswith("CosineAnnealingLR is better than ConstantLR")


def test_guessing_is_what_is_known_of_the_classes():
    """Of 10 classes an accuracy of 10 % and a loss of ln 10; where no row tells the classes, 0 % and no loss at all."""
    rows = rows_of()
    accuracy, loss, speed = (METRICS[name] for name in ("final_accuracy", "final_loss", "samples_per_second"))
    assert guessing(rows, accuracy).value == 0.1
    assert guessing(rows, loss).value == pytest.approx(math.log(10))
    five = rows.assign(class_accuracy=[[0.5] * 5] * len(rows))
    assert guessing(five, accuracy).value == 0.2
    flat = rows.drop(columns=["class_accuracy", "predictions"])
    assert (guessing(flat, accuracy).value, guessing(flat, accuracy).said[:19]) == (0.0, "at an accuracy of 0")
    assert math.isnan(guessing(flat, loss).value)
    assert math.isnan(guessing(rows, speed).value)


def test_the_figure_says_who_diverged():
    """The title and the row name the divergence, for the dots are of the seeds that are left."""
    figure = answer(failed(rows_of(), STEP, [1, 4, 7])).figure()
    assert figure.get_suptitle().replace("\n", " ") == "CosineAnnealingLR comes first; StepLR diverged on 3 of 10 seeds"
    labels = [" ".join(text.get_text().split()) for text in figure.axes[0].get_yticklabels()]
    assert labels == ["CosineAnnealingLR", "ConstantLR", "StepLR (3 of 10 seeds diverged)"]
