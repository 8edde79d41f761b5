"""What a report reads: everything of a small study, the earliest seeds of every condition of a large one."""

import pytest

from analysis.page import sections
from analysis.tests.simulate import Truth, simulate, study_of, write_study
from lrbench.store import read_study_record

FLAG = {"cudnn_benchmark": [False, True]}
SCHEDULERS = [{"name": "ConstantLR", "factor": 1.0}, {"name": "StepLR", "step_size": "30%"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """40 trials: 10 seeds, 2 schedulers, 2 replicates."""
    study = study_of(grid={"seed": "0-9", "scheduler": SCHEDULERS})
    return write_study(tmp_path_factory.mktemp("sections") / "study", study, Truth(failures={5: "diverged"}))


def test_a_small_study_is_read_whole(folder):
    """Every row has its curves, and nothing is said of a part."""
    rows, said, _ = sections.read(folder, read_study_record(folder))
    assert said == ""
    assert rows["predictions"].notna().sum() == 39


def test_of_a_large_study_whole_seeds_are_read(folder, monkeypatch):
    """With room for 18 trials, 8 or 9 cells of a seed with both their repeats are read; flat columns are of all."""
    monkeypatch.setattr(sections, "MOST_NESTED", 18)
    rows, said, _ = sections.read(folder, read_study_record(folder))
    read = rows[rows["read_whole"]]
    assert len(rows) == 40
    assert 16 <= len(read) <= 18
    assert (read.groupby(["condition_id", "seed"], observed=True).size() == 2).all()
    assert read["condition_id"].nunique() == 2
    assert rows["predictions"].notna().sum() == (read["status"] == "completed").sum()
    assert said.startswith(f"Curves, predictions and digests were read for {len(read)} of 40 trials")


def test_what_was_not_read_is_said_where_it_matters(folder, monkeypatch):
    """The note stands below answers that read curves or digests, and not below that on speed."""
    monkeypatch.setattr(sections, "MOST_NESTED", 18)
    record = read_study_record(folder)
    rows, said, _ = sections.read(folder, record)
    answers = sections.answered(rows, record, said)
    assert said in answers["reproducibility"].notes
    assert said in answers["applied_lr"].notes
    assert said not in answers["throughput"].notes
    whole = sections.answered(*sections.read(folder, record)[:1], record)
    assert all(said not in answer.notes for answer in whole.values())


def test_values_of_flat_columns_do_not_depend_on_the_part(folder, monkeypatch):
    """Accuracy, its comparison and the counts of identical repeats are of all trials, read whole or not."""
    record = read_study_record(folder)
    whole = sections.answered(sections.read(folder, record)[0], record)
    monkeypatch.setattr(sections, "MOST_NESTED", 18)
    part = sections.answered(sections.read(folder, record)[0], record)
    assert part["schedulers"].sentences == whole["schedulers"].sentences
    assert part["reproducibility"].sentences[0] == whole["reproducibility"].sentences[0]


def test_further_answers_come_where_they_apply():
    """A study of two schedulers has a race to the target; one of a single scheduler has none."""
    record = {"study": {}, "num_trials": 1}
    assert "time_to_target" in sections.answered(
        simulate(study_of(grid={"seed": "0-3", "scheduler": SCHEDULERS})), record
    )
    assert "time_to_target" not in sections.answered(simulate(study_of()), record)


def test_the_metric_of_a_named_comparison():
    """compare_2 is the study's second [[compare]]; other answers have no metric of their own."""
    record = {"study": {"compare": [{"metric": "final_loss"}, {"metric": "train_seconds"}]}}
    assert sections.metric(record, "compare_2") == "train_seconds"
    assert sections.metric(record, "compare_3") == sections.metric(record, "throughput") == ""


def test_a_question_for_which_nothing_was_run_comes_last():
    """Where no flag varies, what flags cost cannot be told: that answer stands below those that say something."""
    names = list(sections.answered(simulate(study_of(grid={"seed": "0-5", "scheduler": SCHEDULERS})), {}))
    assert names.index("throughput") > names.index("schedulers")


@pytest.mark.parametrize(
    ("grid", "compare", "first"),
    [
        ({"scheduler": SCHEDULERS}, [], ["schedulers"]),
        ({"scheduler": SCHEDULERS, **FLAG}, [], ["schedulers", "throughput", "reproducibility"]),
        (FLAG, [], ["throughput", "reproducibility"]),
        ({}, [], []),
        ({"scheduler": SCHEDULERS, **FLAG}, [{"factor": "cudnn_benchmark", "metric": "train_seconds"}], ["compare_1"]),
    ],
    ids=["schedulers", "both", "flags", "nothing", "asked"],
)
def test_what_the_study_asks_leads(grid, compare, first):
    """Its [[compare]], or what varies, schedulers before flags; the rates that were applied stand after all others."""
    study = study_of(grid={"seed": "0-3", **grid}, **({"compare": compare} if compare else {}))
    rows, record = simulate(study), {"study": study.model_dump(mode="json"), "num_trials": 1}
    assert sections.own_questions(rows, record) == first
    names = [name for name in sections.answered(rows, record) if name != "provenance"]
    assert names[: len(first)] == first
    last = [name for name in sections.LAST if name in names]
    assert names[len(names) - len(last) :] == last


@pytest.mark.parametrize(("column", "value"), [("load_average", 3.5), ("packed", True)])
def test_timed_alone_is_said_only_where_it_is_so(column, value):
    """One trial that shared its device, or began while others used the machine, and the sentence is not there."""
    rows, said = simulate(study_of()), "Trials are timed alone on their device."
    assert sections.prose("throughput", rows).startswith(said)
    rows.loc[0, column] = value
    assert said not in sections.prose("throughput", rows)
    assert sections.prose("tuning", rows) == ""
