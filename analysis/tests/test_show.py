"""What `lrbench show` prints: how far a study is, a table that reads at 80 columns, failures that can be told apart."""

from pathlib import Path

import pytest
from rich.console import Console

from analysis.page.show import print_study
from analysis.tests.simulate import Truth, simulate, simulate_stages, study_of
from lrbench.study import read_study

CONSTANT = {"name": "ConstantLR", "factor": 1.0}
PLATEAU = {"name": "ReduceLROnPlateau", "patience": 1, "factor": 0.3}
FLAGS = {"cudnn_benchmark": [False, True], "cudnn_deterministic": [False, True]}


def shown(study, truth: Truth = Truth(), now=None, width: int = 80) -> str:
    """Print the rows of a study, which may have been changed since to `now`, and return what a terminal would show."""
    rows = simulate(study, truth)
    now = now or study
    record = {"study": now.model_dump(mode="json"), "num_trials": len(simulate(now))}
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        print_study(rows, record, Path("results/x"), console)
    return console.export_text()


def test_only_trials_of_the_study_are_counted():
    """Two of four seeds were taken out and one was added: 4 of 6 have a row, and 4 rows are of other trials."""
    before, now = (study_of(grid={"seed": seeds}) for seeds in ("0-3", "2-4"))
    lines = shown(before, now=now).splitlines()
    assert lines[1] == "4 of 6 trials have a row: 4 completed"
    assert lines[2].startswith("4 rows are of trials that the study no longer has")


@pytest.mark.parametrize(
    ("name", "typed"), [("quickstart", "quickstart --set 'seed=[0, 1]' --set replicates=3"), ("mine", "mine.toml")]
)
def test_what_to_type_for_a_study_without_rows_runs_it(name, typed):
    """A built-in study is run by its name and what was set, any other by its file; the command is not broken."""
    study = study_of(grid={"seed": "0-1"})
    if name == "quickstart":
        study = read_study("quickstart").with_levels(replicates=3, seed=[0, 1])
    record = {"study": study.model_dump(mode="json") | {"name": name}, "num_trials": 4}
    folder = Path("results") / "a_folder_with_a_long_name_that_does_not_fit"
    console = Console(width=40, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        print_study(simulate(study_of(grid={"seed": "0-1"})).iloc[:0], record, folder, console)
    assert console.export_text().splitlines()[-1].endswith(f": lrbench run {typed} --out {folder}")


def test_one_is_one():
    """One trial is spoken of in the singular."""
    assert "1 of 1 trial has a row: 1 completed" in shown(study_of(grid={"seed": [0]}, replicates=1))


def test_failures_differ_by_their_factors():
    """Every failed trial has a line that no other has, with each factor that varies and each stream of its own."""
    study = study_of(grid={"seed_init": "0-1", "seed_order": "0-1", "base_lr": [0.1, 0.2]}, replicates=1)
    text = " ".join(shown(study, Truth(failures=dict.fromkeys(range(8), "crashed")), width=400).split())
    places = {part.split(": it was")[0] for part in text.split("crashed ")[1:] if ": it was" in part}
    said = {place.partition("  ")[2] or place.partition(" ")[2] for place in places}
    assert len(said) == 8
    assert all("base_lr=" in place and "seed_init=" in place and "seed_order=" in place for place in said)


@pytest.mark.parametrize(
    "more", [{}, {"base_lr": [0.1, 0.01]}, {"base_lr": [0.1, 0.01], "precision": ["fp32", "bf16"]}]
)
def test_the_table_reads_at_80_columns(more):
    """However many factors vary, no heading and no value is torn inside a word, and every line fits."""
    text = shown(study_of(grid={"seed": "0-1", "scheduler": [CONSTANT, PLATEAU], **FLAGS, **more}))
    assert all(len(line) <= 80 for line in text.splitlines())
    for word in (
        "identical",
        "repeats",
        "images/s",
        "benchmark",
        "deterministic",
        "ReduceLROnPlateau",
        "2 of 2",
        *more,
    ):
        assert word in text


def test_flags_are_called_noise_only_where_they_vary():
    """The line on inert flags stands where a cuDNN flag is a factor, and nowhere else."""
    assert "is noise" in " ".join(shown(study_of(grid={"seed": "0-1", **FLAGS})).split())
    assert "noise" not in shown(study_of(grid={"seed": "0-1"}))


def test_changed_data_is_said_in_the_terminal():
    """A study whose cells were trained on other data says so above its table."""
    study = study_of(grid={"seed": "0-1"})
    rows = simulate(study).assign(num_parameters=[10, 10, 10, 20])
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        print_study(rows, {"study": study.model_dump(mode="json"), "num_trials": 4}, Path("results/x"), console)
    assert "The model of digits-cnn was not the same in all trials (10 parameters in 3 trials" in console.export_text()


def test_a_tuned_study_shows_what_was_chosen_and_no_selection_trial():
    """Each scheduler's choice has its line; trials that chose are in no row of the table, and none is a stray."""
    study = study_of(
        grid={"seed": "0-1", "scheduler": [CONSTANT, PLATEAU]},
        replicates=1,
        tune={"seeds": "1000-1001", "base_lr": [0.05, 0.1]},
    )
    rows, record = simulate_stages(study, Truth(best_lr={"ReduceLROnPlateau": 0.05}))
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        print_study(rows, record, Path("results/x"), console)
    text = console.export_text()
    assert "Chosen from 8 selection trials, which are in no table:" in text
    assert "base_lr 0.05 (of 0.05 … 0.1: the lowest" in text
    assert "2 trials in each condition" in text
    assert "no longer has" not in text
    assert f"{len(rows)} of {len(rows)} trials have a row" in text


@pytest.mark.parametrize(("width", "there", "left_out"), [(80, 4, 0), (60, 3, 1), (50, 2, 2), (34, 1, 3)])
def test_no_column_is_cut_off_without_a_word(width, there, left_out):
    """What does not fit is left out from the right, whole columns, and named; no line is wider than the terminal."""
    study = study_of(grid={"seed": "0-1", **FLAGS, "scheduler": [CONSTANT, PLATEAU]})
    printed = shown(study, width=width)
    heads = ["images/s", "accuracy", "(points)", "repeats"]
    table = printed.partition("trials in each condition")[0]
    assert [head in table for head in heads] == [True] * there + [False] * left_out
    said = " ".join(printed.split())
    names = ["images/s", "final accuracy", "SD (points)", "identical repeats"]
    plural = "s" if left_out != 1 else ""
    wanted = f"{left_out} column{plural} not shown, for which this terminal is too narrow: {', '.join(names[there:])}"
    assert (wanted in said) == bool(left_out)
    assert max(map(len, printed.splitlines())) <= width
