"""The first page and the main table."""

import pytest

from analysis.page.overview import NOT_KNOWN, first_page, main_table, problems
from analysis.page.sections import answered
from analysis.rows.conditions import levels, short_names, varied
from analysis.rows.planned import Progress, progress
from analysis.rows.staged import restaged
from analysis.schedulers import answer
from analysis.tests.simulate import Truth, simulate, study_of
from analysis.throughput import INERT

CONSTANT = {"name": "ConstantLR", "factor": 1.0}
GRID = {"seed": "0-2", "cudnn_benchmark": [False, True], "scheduler": ["StepLR(step_size=2)", CONSTANT]}


def headline(rows, record=None, progress=NOT_KNOWN) -> tuple[str, ...]:
    """The first lines of the report of these rows."""
    return first_page(rows, answered(rows, record or {}), record, progress).headline


def test_failures_lead_the_headline():
    """What failed stands before anything that was found."""
    rows = simulate(study_of(grid=GRID), Truth(failures={0: "diverged", 5: "crashed", 6: "crashed"}))
    assert headline(rows)[0].startswith("21 of 24 trials completed; 2 crashed and 1 diverged: ")


def test_flags_that_did_not_hold_lead_even_failures():
    """A flag that was not in force makes every comparison doubtful: it is said first, with its name and a trial."""
    rows = simulate(study_of(grid=GRID), Truth(failures={0: "diverged"}))
    rows.loc[3, "flags_held"] = False
    rows["effective_cudnn_benchmark"] = rows["cudnn_benchmark"]
    rows.loc[3, "effective_cudnn_benchmark"] = not rows.loc[3, "cudnn_benchmark"]
    first = headline(rows)[0]
    assert "a flag that was asked for was not in force (cudnn_benchmark" in first
    assert rows.loc[3, "trial_id"] in first


def test_inert_flags_are_in_the_first_lines_once():
    """On a CPU one sentence says that the cuDNN flags are inert: that on their cost, after the schedulers'."""
    lines = headline(simulate(study_of(grid=GRID)))
    assert lines.count(INERT) == 1
    assert lines.index(INERT) == 2
    assert 3 <= len(lines) <= 6


def test_a_gpu_study_says_what_both_flags_cost():
    """On a GPU the cost of both cuDNN flags stands in the headline, after the schedulers that vary too."""
    grid = {**GRID, "cudnn_deterministic": [False, True]}
    lines = headline(simulate(study_of(grid=grid), Truth(inert=False, benchmark_ratio=1.1)))
    assert "all schedulers ended at exactly the same final accuracy" in lines[1]
    assert lines[2].startswith("cudnn_benchmark = True against False")
    assert lines[3].startswith("cudnn_deterministic = True against False")
    assert INERT not in lines


def test_the_studys_own_question_leads():
    """What is asked of speed stands before the schedulers, and the schedulers before speed where nothing is asked."""
    grid = {**GRID, "seed": "0-3"}
    asked = study_of(grid=grid, compare=[{"factor": "cudnn_benchmark", "metric": "samples_per_second"}])
    truth = Truth(inert=False, benchmark_ratio=1.1)
    record = {"study": asked.model_dump(mode="json")}
    rows = simulate(asked, truth)
    page = first_page(rows, answered(rows, record), record)
    assert [*page.own] == ["compare_1"]
    assert page.headline[1].startswith("cudnn_benchmark = True is better than cudnn_benchmark = False in throughput")
    assert "schedulers" in page.others
    rows = simulate(study_of(grid=grid), truth)
    assert [*first_page(rows, answered(rows, {})).own][:2] == ["schedulers", "throughput"]


def test_what_nothing_was_run_for_is_named_and_no_more():
    """Where no flag varies and no trial is repeated, the answers on them take no place on the first page."""
    rows = simulate(study_of(grid={"seed": "0-3", "scheduler": GRID["scheduler"]}, replicates=1))
    page = first_page(rows, answered(rows, {}))
    assert set(page.unasked) == {"throughput", "reproducibility"}
    assert not {"throughput", "reproducibility"} & {*page.own, *page.others}


def test_an_unfinished_study_says_so():
    """A study with 30 planned trials and 24 rows is not finished: 6 are still to run."""
    at = Progress(num_trials=30, num_done=24)
    assert headline(simulate(study_of(grid=GRID)), progress=at)[0] == (
        "The study is not finished: 6 trials of 30 still to run."
    )


def test_rows_of_other_trials_are_not_counted_as_done():
    """Of 32 rows 16 are of seeds that the study no longer has: 8 of its 24 trials are to run, and both are said."""
    rows = simulate(study_of(grid={**GRID, "seed": "0-3"}))
    now = study_of(grid={**GRID, "seed": "2-4"})
    record = {"study": now.model_dump(mode="json"), "num_trials": 24}
    at = progress(rows, record)
    assert (at.num_trials, at.num_done) == (24, 16)
    lines = headline(restaged(rows, record), progress=at)
    assert lines[0] == "The study is not finished: 8 trials of 24 still to run."
    assert lines[1] == (
        "16 rows are of trials that the study no longer has (seed = 0 and 1): they are in nothing that is said here, "
        "and stay in the folder, where lrbench.load shows them."
    )


def test_a_study_that_cannot_be_read_here_has_no_strays():
    """A scheduler that this torch does not have is no reason to refuse the report, nor to call its rows strays."""
    rows = simulate(study_of(grid=GRID))
    study = study_of(grid=GRID).model_dump(mode="json")
    study["grid"]["scheduler"] = [{"name": "NextYearsLR", "interval": "epoch"}]
    assert progress(rows, {"study": study, "num_trials": 24}) == Progress(num_trials=24, num_done=24)


def test_flags_that_do_not_vary_are_not_called_noise():
    """Without a cuDNN flag among the factors nothing is said of differences between its levels."""
    lines = headline(simulate(study_of(grid={"seed": "0-2", "scheduler": GRID["scheduler"]})))
    assert not any("inert" in line for line in lines)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        (
            "data_sha256",
            "e" * 64,
            "The data of digits-cnn were not the same in all trials (dddddddd… in 23 trials and ",
        ),
        (
            "num_parameters",
            99,
            "The model of digits-cnn was not the same in all trials (10,000 parameters in 23 trials and ",
        ),
    ],
)
def test_code_or_data_that_changed_between_runs_leads(column, value, said):
    """One trial with other data, or another number of parameters, opens the headline; without it nothing is said."""
    rows = simulate(study_of(grid=GRID))
    assert not any("not the same" in line for line in headline(rows))
    rows[column] = rows[column].astype(object)
    rows.loc[23, column] = value
    assert headline(rows)[0].startswith(said)


def test_every_setting_has_its_line_in_the_headline():
    """Two rates are two lines; of four two are said and the others counted."""
    grid = {"seed": "0-5", "scheduler": GRID["scheduler"]}
    two = headline(simulate(study_of(grid={**grid, "base_lr": [0.1, 0.01]}), Truth(identical=False, run_sd=0.01)))
    assert [line.partition(":")[0] for line in two if line.startswith("base_lr")] == ["base_lr=0.01", "base_lr=0.1"]
    four = headline(simulate(study_of(grid={**grid, "base_lr": [0.1, 0.01], "epochs": [2, 3]})))
    assert len([line for line in four if line.startswith("epochs=")]) == 2
    assert four[-1] == "2 more settings of the other factors: see the schedulers' part below."


def test_a_setting_with_one_scheduler_does_not_displace_the_others():
    """A rate at which only the baseline ran comes after those that compare schedulers, although it is the lowest."""
    rows = simulate(study_of(grid={"seed": "0-5", "scheduler": GRID["scheduler"], "base_lr": [0.1, 0.01, 0.001]}))
    rows = rows[(rows["base_lr"] > 0.001) | (rows["scheduler_name"] == "ConstantLR")].reset_index(drop=True)
    said = [line.partition(":")[0] for line in headline(rows) if line.startswith("base_lr")]
    assert said == ["base_lr=0.01", "base_lr=0.1"]
    assert "base_lr=0.001: only ConstantLR was run" in " ".join(answer(rows).sentences)


def test_one_row_for_each_condition():
    """The main table has the varied factors and what was seen, one row a condition, the baseline first."""
    table = main_table(simulate(study_of(grid=GRID), Truth(failures={0: "timed_out"})))
    assert list(table.columns) == [
        "scheduler",
        "cudnn_benchmark",
        "num_trials",
        "num_timed_out",
        "samples_per_second",
        "final_accuracy",
        "accuracy_sd",
        "num_bit_identical",
    ]
    assert table["scheduler"].tolist() == ["ConstantLR", "ConstantLR", "StepLR", "StepLR"]
    assert table["cudnn_benchmark"].tolist() == ["False", "True", "False", "True"]
    assert table["num_trials"].tolist() == [6, 6, 6, 6]
    assert table["num_timed_out"].sum() == 1
    assert sorted(table["num_bit_identical"]) == ["2 of 2", "3 of 3", "3 of 3", "3 of 3"]


def test_the_main_table_by_hand():
    """Accuracies 0.90 and 0.94 are 0.92 with an SD of 0.0283; speeds 100 and 300 have the median 200."""
    rows = simulate(study_of(grid={"seed": "0-1"}, replicates=1))
    rows["final_accuracy"], rows["samples_per_second"] = [0.90, 0.94], [100.0, 300.0]
    (record,) = main_table(rows).to_dict("records")
    assert record["final_accuracy"] == pytest.approx(0.92)
    assert record["accuracy_sd"] == pytest.approx(0.0282843, abs=1e-6)
    assert record["samples_per_second"] == 200.0
    assert record["num_bit_identical"] == "–"


def test_followers_of_a_workload_are_no_factors():
    """Two workloads bring their own batch size and rate: only the workload varies; a rate varied by itself counts."""
    grid = {"seed": "0-1", "workload": ["digits-cnn", "alexnet"]}
    assert varied(simulate(study_of(grid=grid))) == ["workload"]
    both = simulate(study_of(grid={**grid, "base_lr": [0.1, 0.01]}))
    assert varied(both) == ["workload", "base_lr"]


def test_levels_stand_in_a_readers_order():
    """False before True, numbers by size, off last, the baseline before other schedulers."""
    rows = simulate(study_of(grid={"seed": [0], "clip_grad_norm": [5.0, "off", 1.0], "scheduler": GRID["scheduler"]}))
    assert levels(rows, "clip_grad_norm") == [1.0, 5.0, None]
    assert levels(rows, "scheduler") == ["ConstantLR(factor=1.0)", "StepLR(step_size=2)"]
    assert short_names(levels(rows, "scheduler")) == {
        "ConstantLR(factor=1.0)": "ConstantLR",
        "StepLR(step_size=2)": "StepLR",
    }


def test_repeats_of_a_seed_are_no_further_seeds():
    """Seeds at 0.90 and 0.94, each repeated bit for bit, have an SD of 0.0283, and not that of four, 0.0231."""
    rows = simulate(study_of(grid={"seed": "0-1"}, replicates=2))
    rows["final_accuracy"] = rows["seed"].map({0: 0.90, 1: 0.94})
    (record,) = main_table(rows).to_dict("records")
    assert record["num_trials"] == 4
    assert record["accuracy_sd"] == pytest.approx(0.0282843, abs=1e-6)


def test_trials_that_chose_a_rate_are_no_condition():
    """Rows whose tuning is "selection" are neither counted nor averaged."""
    rows = simulate(study_of(grid={"seed": "0-3"}, replicates=1))
    rows["tuning"] = ["selection", "selection", "default", "default"]
    rows["final_accuracy"] = [0.1, 0.1, 0.9, 0.9]
    (record,) = main_table(rows).to_dict("records")
    assert (record["num_trials"], record["final_accuracy"]) == (2, pytest.approx(0.9))


def test_a_loaded_machine_and_uncommitted_code_are_known_first():
    """Where speeds were measured both are said beside the failures; where none was, neither is."""
    rows = simulate(study_of(grid=GRID))
    assert not any("machine" in line or "uncommitted" in line for line in problems(rows))
    rows.loc[:4, "load_average"] = 3.5
    rows["git_dirty"] = True
    lines = problems(rows)
    assert lines[1].startswith("Others used the machine when 5 of 24 timed trials began")
    assert lines[2] == "Code with uncommitted changes may have run in 24 of 24 timed trials."
    assert not any("uncommitted" in line for line in problems(rows.assign(packed=True)))
