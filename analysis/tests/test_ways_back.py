"""The way back to the rows: each condition gives exactly the rows that the answer itself takes."""

import pandas as pd
import pytest

from analysis.page.overview import main_table
from analysis.page.ways_back import lines, way_back
from analysis.provenance import failures
from analysis.rows.conditions import completed
from analysis.rows.replicates import digested
from analysis.tests.simulate import Truth, simulate, study_of
from analysis.throughput import timed

SCHEDULERS = [{"name": "ConstantLR", "factor": 1.0}, {"name": "StepLR", "step_size": "30%"}]
GRID = {"seed": "0-2", "cudnn_benchmark": [False, True], "scheduler": SCHEDULERS, "clip_grad_norm": ["off", 1.0]}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """48 trials: two failed, one shared its device, one has no digest of its weights."""
    rows = simulate(study_of(grid=GRID), Truth(failures={0: "diverged", 7: "crashed"}))
    rows.loc[3, "packed"] = True
    rows.loc[4, "weights_sha256"] = None
    return rows


TAKES = {
    "throughput": (timed, 45),
    "reproducibility": (digested, 45),
    "schedulers": (lambda rows: completed(rows)[lambda found: found["final_accuracy"].notna()], 46),
    "failures": (failures, 2),
    "conditions": (lambda rows: rows, 48),
    "provenance": (lambda rows: rows, 48),
    "churn": (lambda rows: completed(rows)[lambda found: found["predictions"].notna()], 46),
}


@pytest.mark.parametrize("name", TAKES)
def test_the_rows_are_those_that_the_answer_takes(rows, name):
    """The number that is said is that of the rows that the answer's own function takes."""
    takes, expected = TAKES[name]
    assert way_back(name, rows).num_rows == len(takes(rows)) == expected


def test_each_row_of_a_table_has_its_line(rows):
    """The eight conditions have a line each, off and short names included; each gives the trials of its condition."""
    table = main_table(rows)
    first, *others = lines(table, rows, way_back("conditions", rows))
    assert first == "rows = lrbench.load(DIR)  # 48 rows"
    assert len(others) == len(table) == 8
    assert others[0] == (
        "rows.query(\"scheduler == 'ConstantLR(factor=1.0)' and clip_grad_norm == 1.0 and cudnn_benchmark == False\")"
        "  # 6 rows"
    )
    assert sum("clip_grad_norm.isna()" in line and 'engine="python"' in line for line in others) == 4
    for line, num_trials in zip(others, table["num_trials"], strict=True):
        assert len(eval(line.partition("  #")[0], {"rows": rows})) == num_trials


def test_a_nested_column_is_named_in_its_line(rows):
    """Flat columns are what load gives by itself; a curve has to be asked for."""
    line = way_back("learning_curves", rows).line
    assert "columns=[*lrbench.record.FLAT, 'val_accuracy_curve']" in line
    assert way_back("learning_curves", rows.drop(columns="val_accuracy_curve")).num_rows == 0


def test_a_named_comparison_is_of_its_metric(rows):
    """One of a speed takes trials alone on their device; one of a loss takes all that completed."""
    assert "packed == False" in way_back("compare_1", rows, "samples_per_second").condition
    assert way_back("compare_1", rows, "samples_per_second").num_rows == 45
    assert way_back("compare_2", rows, "final_loss").num_rows == 46


def test_trials_that_chose_are_left_out(rows):
    """A study that tuned has its selection trials in no comparison, and the line says so; elsewhere it is not said."""
    assert "tuning" not in way_back("schedulers", rows).condition
    tuned = rows.assign(tuning=["selection"] * 8 + ["default"] * 40)
    back = way_back("schedulers", tuned)
    assert back.condition.endswith("tuning != 'selection'")
    assert back.num_rows == 40
    assert way_back("provenance", tuned).num_rows == 48


def test_a_level_with_quotes_of_its_own_can_be_typed(rows):
    """The workload {'width': 8} has single quotes: the line is still Python, and gives its rows."""
    name = "own:mlp on digits, model_args={'width': 8}"
    own = rows.assign(workload=[name] * 12 + ["digits-cnn"] * 36)
    table = pd.DataFrame({"workload": [name, "digits-cnn"]})
    _, *others = lines(table, own, way_back("conditions", own))
    assert [len(eval(line.partition("  #")[0], {"rows": own})) for line in others] == [12, 36]
