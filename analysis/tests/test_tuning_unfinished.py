"""A study that is cut off in its selection, or whose [tune] was changed: nothing is chosen that was not, and no row is
called a stray that may yet be of use."""

import pandas as pd
import pytest

from analysis import tuning
from analysis.comparisons import compare
from analysis.figures.tuning import sensitivity
from analysis.rows.planned import progress
from analysis.rows.rates import choices, curves
from analysis.rows.selection import Selection, selection
from analysis.rows.staged import EARLIER, restaged
from analysis.tests.simulate import simulate_stages
from analysis.tests.tuned import CONSTANT, COSINE, STEP, TRUTH, tuned_study


@pytest.fixture(scope="module")
def whole() -> tuple[pd.DataFrame, dict]:
    """Three schedulers at three rates on four selection seeds, and then on six."""
    return simulate_stages(tuned_study(), TRUTH)


def cut(rows: pd.DataFrame, num_trials: int) -> pd.DataFrame:
    """The rows of a run that was cut off after so many trials of the selection."""
    return rows[rows["tuning"] == "selection"].head(num_trials)


def test_a_selection_that_was_cut_off_has_chosen_nothing(whole):
    """After 20 of 36 trials the answer says so and how to go on, names no rate as chosen and advises none."""
    rows, record = cut(whole[0], 20), whole[1]
    assert selection(rows, record) == Selection(num_done=20, num_trials=36)
    answer = tuning.answer(rows, record)
    assert answer.sentences[0] == (
        "The selection is not complete (20 of 36 trials): nothing is chosen yet. The same lrbench run command again "
        "goes on where it stopped."
    )
    assert answer.headline == answer.sentences[:1]
    assert answer.sentences[1].startswith("So far, of the rates that have run, the best means are those of ConstantLR ")
    assert not answer.advice
    words = " ".join(answer.sentences[1:]).lower()
    assert not {"chosen", "edge", "tie", "lowest", "highest"} & {*words.replace(":", " ").split()}
    assert "chosen_rate" not in answer.table
    assert "of_those_tried" not in answer.table
    assert answer.table["num_trials"].sum() == 20


def test_its_figure_shows_the_curves_so_far(whole):
    """The title says that nothing is chosen, and the legend calls the ring the best so far."""
    rows, record = cut(whole[0], 20), whole[1]
    figure = sensitivity(curves(rows, record), selection(rows, record))
    assert " ".join(figure.get_suptitle().split()) == "Nothing is chosen yet: 20 of 36 selection trials have run"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "best so far" in texts
    assert "chosen rate" not in texts


def test_the_last_trial_of_the_selection_is_the_one_that_counts(whole):
    """With 35 of 36 nothing is chosen, with 36 all is, before any trial of the comparison."""
    rows, record = whole
    assert selection(cut(rows, 35), record).is_open
    assert not selection(cut(rows, 36), record).is_open
    assert tuning.answer(cut(rows, 36), record).sentences[0].startswith("Not certain for ConstantLR")


@pytest.mark.parametrize("record", [{}, {"study": {"tune": None}}, {"study": {"tune": {"seeds": [1]}, "grid": 7}}])
def test_where_nothing_is_known_of_the_study_nothing_is_open(whole, record):
    """Rows alone, a study without [tune], and one that cannot be read: the selection is taken as it is."""
    assert not selection(cut(whole[0], 20), record).is_open


# ------------------------------------------------------------------------------------------- after [tune] was changed


def changed(whole: tuple[pd.DataFrame, dict], **tune) -> tuple[pd.DataFrame, dict]:
    """The rows as they are, with the study.json of a changed [tune]."""
    study = tuned_study(tune=tune)
    return whole[0], {"study": study.model_dump(mode="json"), "num_trials": len(whole[0])}


def test_rows_that_the_next_stage_may_need_are_no_strays(whole):
    """One more rate: what was tuned before is a candidate still, so that no row is useless until the choice is made."""
    rows, record = changed(whole, base_lr=[0.01, 0.1, 0.5, 1.0])
    at = progress(rows, record)
    assert at.strays == ""
    assert at.num_done == (rows["tuning"] != "tuned").sum()


def test_rows_of_rates_that_are_no_candidates_are_strays(whole):
    """0.01, which ConstantLR was tuned to, is tried no more: its 6 rows and all 12 that tried it are of no use."""
    rows, record = changed(whole, base_lr=[0.1, 0.5, 1.0])
    gone = rows["base_lr"] == 0.01
    assert gone.sum() == 18
    assert progress(rows, record).strays == (
        "18 rows are of trials that the study no longer has (base_lr = 0.01): they are in nothing that is said here, "
        "and stay in the folder, where lrbench.load shows them."
    )
    assert {*restaged(rows, record)["trial_id"]} == {*rows["trial_id"][~gone]}


def test_an_earlier_choice_is_in_no_comparison(whole):
    """While the selection is open again nothing is compared as tuned, and once it is made only what it chose is."""
    rows, record = changed(whole, base_lr=[0.01, 0.1, 0.5, 1.0])
    now = restaged(rows, record)
    assert {*now["tuning"]} == {"selection", "default", EARLIER}
    assert [setting.tuning for setting in compare(rows, record=record)] == ["tuned", "default"]
    (setting,) = compare(now, record=record)
    assert setting.tuning == ""
    assert {*setting.rates.values()} == set()


def test_what_is_tuned_by_now_alone_is_compared(whole):
    """ConstantLR was tuned to 0.01 and is tuned to 0.1 now: of its tuned rows only those at 0.1 are compared."""
    study = tuned_study([CONSTANT, STEP, COSINE], tune={"base_lr": [0.1, 1.0]})
    fewer, record = simulate_stages(study, TRUTH)
    both = pd.concat([whole[0], fewer]).drop_duplicates("trial_id", ignore_index=True)
    now = restaged(both, record)
    tuned = now[now["tuning"].isin(("tuned", "default and tuned")) & (now["scheduler_name"] == "ConstantLR")]
    assert {*tuned["base_lr"]} == {0.1}
    assert {choice.base_lr for choice in choices(now, record)} == {0.1, 1.0}


def test_a_study_that_was_not_changed_keeps_its_parts(whole):
    """Row by row the parts are those that the rows were written with."""
    rows, record = whole
    assert restaged(rows, record)["tuning"].tolist() == rows["tuning"].tolist()
    assert restaged(rows, {}) is rows
