"""The nested columns of some trials: exactly those asked for; and groups of rows by their values."""

import pandas as pd
import pytest

from analysis.folders_bits import _read
from analysis.rows.conditions import group_ids
from analysis.rows.nested import read_nested
from analysis.tests.simulate import Truth, study_of, write_study
from lrbench.store import load

COLUMNS = ["predictions", "train_loss_steps", "weights_sha256"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """16 trials, one of them diverged."""
    return write_study(
        tmp_path_factory.mktemp("nested") / "s", study_of(grid={"seed": "0-7"}), Truth(failures={5: "diverged"})
    )


@pytest.mark.parametrize("places", [[0], [3, 5, 15], []])
def test_the_trials_asked_for_are_read_and_no_others(folder, places):
    """Their values are those of `load`, the null of a failed trial included; of none there is an empty table."""
    whole = load(folder, ["trial_id", *COLUMNS])
    wanted = whole.iloc[places].set_index("trial_id")
    found = read_nested(folder, COLUMNS, set(wanted.index)).set_index("trial_id").loc[list(wanted.index)]
    assert list(found.columns) == COLUMNS
    assert len(found) == len(places)
    for name in COLUMNS:
        for ours, theirs in zip(found[name], wanted[name], strict=True):
            both = [[] if not hasattr(value, "__len__") else list(value) for value in (ours, theirs)]  # null is empty
            assert both[0] == both[1]


def test_a_trial_that_is_in_no_part_is_read_all_the_same(folder):
    """Where a trial lies in the journal, `compare` reads the folder as `load` does; one in neither is left out."""
    ids = set(load(folder, ["trial_id"])["trial_id"].iloc[:3])
    assert set(_read(folder, {*ids, "of another folder"}).index) == ids


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"a": [1, 1, 1], "b": ["x", "y", "x"]}, [0, 1, 0]),
        ({"a": [None, None, None], "b": [2, 1, 2]}, [0, 1, 0]),
        ({"a": pd.array([True, None, True], dtype="boolean")}, [0, 1, 0]),
        ({"a": pd.array(["x", None, "x"], dtype="string")}, [0, 1, 0]),
        ({"a": [float("nan"), 1.0, float("nan")]}, [0, 1, 0]),
        ({"a": pd.Categorical(["x", "x", "x"], categories=["x", "y"])}, [0, 0, 0]),
        ({"a": [5, 5, 5], "b": [1.5, 1.5, 1.5]}, [0, 0, 0]),
    ],
)
def test_rows_that_agree_are_one_group(columns, expected):
    """Null is a value of its own, and a column that never changes parts nothing."""
    assert group_ids(pd.DataFrame(columns), list(columns)).tolist() == expected


def test_no_row_has_no_group():
    """An empty table, or one of no named column, is no error."""
    assert group_ids(pd.DataFrame({"a": []}), ["a"]).tolist() == []
    assert group_ids(pd.DataFrame({"a": [1, 2]}), []).tolist() == [0, 0]
