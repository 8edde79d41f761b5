"""Two schedulers that applied the same rates are one schedule: found by the rates recorded, and said with the cause."""

import pandas as pd
import pytest

from analysis import advice, compared, schedulers
from analysis.applied_lr import answer as applied
from analysis.comparisons import STANDING, compare
from analysis.looks import decide
from analysis.page import summary
from analysis.rows.alike import applied_alike
from analysis.rows.reaching import races
from analysis.statistics.intervals import paired_p
from analysis.tests.simulate import Truth, simulate, study_of

CONSTANT = {"name": "ConstantLR", "factor": 1.0}
LATE = {"name": "StepLR", "step_size": 30, "gamma": 0.1}
COSINE = {"name": "CosineAnnealingLR"}
ONE = "One schedule under several names (ConstantLR and StepLR)"


def rows_of(*schedulers: dict, truth: Truth = Truth()) -> pd.DataFrame:
    """Rows of which those of StepLR, whose step never comes, have the rates and the scores of ConstantLR's."""
    rows = simulate(study_of(replicates=1, grid={"seed": "0-5", "scheduler": list(schedulers)}), truth)
    late = rows["scheduler_name"] == "StepLR"
    constant = rows[rows["scheduler_name"] == "ConstantLR"].set_index("seed")
    for name in ("applied_lr", "applied_lr_sha256", "final_accuracy"):
        rows.loc[late, name] = rows.loc[late, "seed"].map(constant[name])
    return rows


def test_schedulers_with_the_same_rates_are_found():
    """Of three two are alike; another rate on one seed, or none recorded, and they are not."""
    rows = rows_of(CONSTANT, LATE, COSINE)
    rows = rows.assign(arm=rows["scheduler_name"].astype(str))
    assert applied_alike(rows) == (("ConstantLR", "StepLR"),)
    one = (rows["arm"] == "StepLR") & (rows["seed"] == 3)
    for other in ("f" * 64, None):
        assert applied_alike(rows.assign(applied_lr_sha256=rows["applied_lr_sha256"].mask(one, other))) == ()
    assert applied_alike(rows[:0]) == ()


def test_where_all_are_one_schedule_the_cause_is_said():
    """Exactly equal everywhere: it is the rates that are the same, not the workload that tells nothing apart."""
    answer = schedulers.answer(rows_of(CONSTANT, LATE))
    assert "they applied the same learning rates at every step, and so are one schedule here" in answer.sentences[0]
    assert "does not tell them apart" not in " ".join(answer.sentences)
    assert any(text.startswith(ONE) for text in answer.caveats)


def test_where_rates_differ_and_scores_do_not_it_is_the_workload():
    """Equal scores at other rates: the workload does not tell them apart, and no caveat speaks of one schedule."""
    rows = rows_of(CONSTANT, COSINE).assign(final_accuracy=0.5)
    answer = schedulers.answer(rows)
    assert answer.sentences[0].endswith("this workload does not tell them apart.")
    assert not any("One schedule" in text for text in answer.caveats)


def test_two_of_three_are_told_beside_the_verdicts():
    """The two that are one schedule are named, and no more seeds are advised to tell them apart."""
    rows = rows_of(
        CONSTANT, LATE, COSINE, truth=Truth(effects={"CosineAnnealingLR": 0.001}, run_sd=0.01, identical=False)
    )
    found = compare(rows, STANDING)
    answer = compared.as_answer(rows, found, STANDING, "?")
    assert "exactly the same" not in answer.sentences[0]
    said = "ConstantLR and StepLR are one schedule here: they applied the same learning rates at every step."
    assert said in answer.sentences
    assert any(text.startswith(ONE) for text in answer.caveats)
    assert not any("StepLR from ConstantLR" in text or "StepLR and ConstantLR" in text for text in answer.advice)
    (setting,) = found
    interest = advice._of_most_interest(setting)
    assert interest is None or {interest.a, interest.b} != {*setting.alike[0]}


def test_the_answer_on_rates_names_them_too():
    """What was applied: the two took one course."""
    assert (
        "ConstantLR and StepLR applied the same rates at every step: one schedule."
        in applied(rows_of(CONSTANT, LATE, COSINE)).sentences
    )


@pytest.mark.parametrize("factor", ["epochs", "cudnn_benchmark"])
def test_levels_of_another_factor_are_no_schedules(factor):
    """A flag leaves the rates as they are, which is no finding: only schedulers are asked."""
    levels = [2, 3] if factor == "epochs" else [False, True]
    rows = simulate(study_of(replicates=1, grid={"seed": "0-3", factor: levels}))
    question = STANDING.model_copy(update={"factor": factor})
    assert all(setting.alike == () for setting in compare(rows, question))


def test_one_schedule_under_two_names_is_no_comparison():
    """StepLR is ConstantLR: it is not testable, takes no part of the 5 %, so that cosine's p is its own, and is to be
    dropped; not even noise between the two tells them apart."""
    rows = rows_of(
        CONSTANT, LATE, COSINE, truth=Truth(effects={"CosineAnnealingLR": 0.01}, run_sd=0.01, identical=False)
    )
    late = rows["scheduler_name"] == "StepLR"
    for apart in (0.0, 0.05):
        found = rows.assign(final_accuracy=rows["final_accuracy"] + apart * late)
        (setting,) = compare(found, STANDING)
        cosine, step = (next(c for arm, c in setting.against.items() if name in arm) for name in ("Cosine", "Step"))
        assert (step.verdict, step.told_apart) == ("not testable here", False)
        assert (cosine.family_size, setting.planned) == (1, [cosine])
        assert cosine.corrected_p == paired_p(cosine.differences)
        answer = compared.as_answer(found, [setting], STANDING, "?")
        assert "Drop StepLR or change its arguments: here it is ConstantLR under another name." in answer.advice
        assert not any("StepLR is" in text or "StepLR against" in text for text in answer.sentences)
        assert not any("equivalent" in text and "StepLR" in text for text in answer.sentences)


def test_where_all_are_one_schedule_nothing_is_called_equivalent():
    """Two names of one schedule: not testable, no margin, the figures say so, and a study that looks is settled."""
    rows = rows_of(CONSTANT, LATE)
    answer = schedulers.answer(rows)
    assert answer.verdict == "not testable here"
    assert answer.advice[0].startswith("Drop StepLR or change its arguments")
    assert not any("equivalent" in text for text in (*answer.sentences, *answer.advice))
    said = "ConstantLR and StepLR are one schedule here"
    assert answer.figure().get_suptitle().startswith(said)
    assert summary._title(summary.compared(rows, {})) == said
    grid = {"seed": "0-5", "scheduler": [CONSTANT, LATE]}
    study = study_of(replicates=1, grid=grid, until={"looks": [4, 6]})
    assert decide(rows, study).settled


def test_a_schedule_runs_no_race_against_itself():
    """The time to a target: the second name is in no race, and the first has nobody to run against."""
    (*_, race) = races(rows_of(CONSTANT, LATE))
    assert [arm.name.partition("(")[0] for arm in race.arms] == ["ConstantLR"]
    (*_, race) = races(rows_of(CONSTANT, LATE, COSINE))
    assert [name.partition("(")[0] for name in race.gaps] == ["CosineAnnealingLR"]
