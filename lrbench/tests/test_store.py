"""A study's folder: rows go in one by one, and come out as they went in."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lrbench
from lrbench import store
from lrbench.errors import InputError
from lrbench.record import FLAT, NESTED, arrow_schema, check_row
from lrbench.store import Writer, damages, load, locked, read_study_record, scan, write_study_record
from lrbench.tests.helpers.rows import make_row, trial_id


@pytest.fixture
def folder(tmp_path):
    """An empty study's folder."""
    (tmp_path / "trials").mkdir()
    write_study_record(tmp_path, {"study": {"name": "rows"}, "places": [], "num_trials": 0, "schema_version": 1})
    return tmp_path


@pytest.fixture
def small_parts(monkeypatch):
    """Fold after 2 rows and merge 3 parts, so that a few rows go through everything."""
    monkeypatch.setattr(store, "FOLD_ROWS", 2)
    monkeypatch.setattr(store, "TIER", 3)


def files(folder) -> list[str]:
    return sorted(path.name for path in (folder / "trials").iterdir())


def commit(folder, *rows: dict, close: bool = True) -> None:
    with locked(folder), Writer(folder) as writer:
        for row in rows:
            writer.commit(row)
        if close:
            writer.close()


@pytest.mark.parametrize("close", [False, True], ids=["in the journal", "at rest"])
def test_a_row_comes_out_as_it_went_in(folder, close):
    """Every column of a row reads back with its value, from the journal as from parquet."""
    row = check_row(
        make_row(7, error="two\nlines\tand a tab, ü", final_loss=float("inf"), applied_lr_sha256="", warmup="off")
    )
    commit(folder, row, close=close)
    assert files(folder) == (["part-000000-000000.parquet"] if close else ["journal-000000.jsonl"])
    (found,) = load(folder, [*FLAT, *NESTED]).to_dict("records")
    for name, value in row.items():
        if value is None:
            assert found[name] is None or pd.isna(found[name]), name
        elif name == "applied_lr":
            assert [list(rates) for rates in found[name]] == value
        elif name in NESTED:
            assert np.asarray(found[name]).tolist() == value
        else:
            assert found[name] == value, name


def test_nan_is_a_value_and_not_a_null(folder):
    """A loss that is NaN survives the journal and parquet: it was measured."""
    commit(folder, make_row(0, final_loss=float("nan")))
    table = pq.read_table(folder / "trials" / "part-000000-000000.parquet", columns=["final_loss"])
    assert table.column("final_loss").null_count == 0
    assert str(table.column("final_loss")[0].as_py()) == "nan"


def test_the_scan_tells_status_and_attempt_of_each_trial(folder, small_parts):
    """Rows in parts and in the journal are seen alike, by the name of their trial."""
    commit(folder, make_row(0), make_row(1, status="crashed"), make_row(2, status="diverged", attempt=3), close=False)
    assert files(folder) == ["journal-000001.jsonl", "part-000000-000000.parquet"]
    assert scan(folder) == {
        trial_id(0): ("completed", 0),
        trial_id(1): ("crashed", 0),
        trial_id(2): ("diverged", 3),
    }


def test_an_empty_folder_holds_nothing(folder):
    """A study without rows scans as nothing and loads as an empty frame with every flat column."""
    assert scan(folder) == {}
    frame = load(folder)
    assert len(frame) == 0
    assert list(frame.columns) == FLAT


@pytest.mark.parametrize("close", [False, True], ids=["in the journal", "at rest"])
def test_rows_load_in_planned_order(folder, small_parts, close):
    """Rows stand by their position, in whatever order they were finished."""
    commit(folder, *(make_row(n) for n in (4, 0, 3, 1, 2)), close=close)
    assert load(folder)["position"].tolist() == [0, 1, 2, 3, 4]


def test_the_last_attempt_counts(folder, small_parts):
    """A trial that was run again has its last attempt alone, wherever the earlier ones lie."""
    commit(folder, make_row(0, status="crashed"), make_row(1), make_row(2, status="crashed"))
    commit(folder, make_row(2, status="timed_out", attempt=1), make_row(0, attempt=1), close=False)
    assert scan(folder)[trial_id(0)] == ("completed", 1)
    frame = load(folder, ["position", "status", "attempt"])
    assert frame.values.tolist() == [[0, "completed", 1], [1, "completed", 0], [2, "timed_out", 1]]
    lrbench.compact(folder)
    pd.testing.assert_frame_equal(load(folder, ["position", "status", "attempt"]), frame)


def test_factors_load_as_categoricals(folder, small_parts):
    """Texts with few values are categoricals over parts and journal together; names and errors are not."""
    commit(folder, *(make_row(n, scheduler=f"StepLR(step_size={n})") for n in range(5)), close=False)
    frame = load(folder)
    assert isinstance(frame["scheduler"].dtype, pd.CategoricalDtype)
    assert frame["scheduler"].tolist() == [f"StepLR(step_size={n})" for n in range(5)]
    assert isinstance(frame["status"].dtype, pd.CategoricalDtype)
    assert not isinstance(frame["trial_id"].dtype, pd.CategoricalDtype)


def test_columns_are_those_that_were_asked_for(folder):
    """Without a list every flat column comes; with one those, in that order, nested ones too."""
    commit(folder, make_row(0), close=False)
    assert list(load(folder).columns) == FLAT
    frame = load(folder, ["predictions", "seed"])
    assert list(frame.columns) == ["predictions", "seed"]
    assert list(frame["predictions"][0]) == [0, 2, 3]


def test_an_unknown_column_is_refused_by_name(folder):
    """A column that does not exist is an error that says which was meant."""
    with pytest.raises(InputError, match="Did you mean 'final_accuracy'"):
        load(folder, ["final_acuracy"])


def test_a_part_from_before_a_column_was_added_reads_as_null(folder, small_parts):
    """An older part that lacks a column loads beside newer ones, with null where it has nothing."""
    old = [name for name in arrow_schema().names if name not in ("energy_joules", "scheduler_monitor", "kernel_names")]
    table = pa.Table.from_pylist([make_row(0), make_row(1)], schema=arrow_schema(old))
    pq.write_table(table, folder / "trials" / "part-000000-000000.parquet")
    commit(folder, make_row(2, energy_joules=5.0, scheduler_monitor="val_loss", kernel_names=["1 × k"]), close=False)
    frame = load(folder, ["energy_joules", "scheduler_monitor", "kernel_names"])
    assert frame["energy_joules"].isna().tolist() == [True, True, False]
    assert frame["scheduler_monitor"].isna().tolist() == [True, True, False]
    assert list(frame["kernel_names"][2]) == ["1 × k"]
    lrbench.compact(folder)
    assert load(folder, ["energy_joules"])["energy_joules"].isna().tolist() == [True, True, False]


def test_compacting_makes_one_file_with_the_same_rows(folder, small_parts):
    """`compact` leaves one parquet file, which any reader of parquet reads, and changes no row."""
    commit(folder, *(make_row(n) for n in range(7)), close=False)
    before = load(folder, [*FLAT, *NESTED])
    lrbench.compact(folder)
    assert files(folder) == ["part-000000-000003.parquet"]
    pd.testing.assert_frame_equal(load(folder, [*FLAT, *NESTED]), before)
    assert len(pd.read_parquet(folder / "trials")) == 7
    lrbench.compact(folder)
    assert files(folder) == ["part-000000-000003.parquet"]


def test_parts_stay_few(folder, monkeypatch):
    """With a part for each row and tiers of 3, forty rows never lie in more than 2 parts for each power of 3."""
    monkeypatch.setattr(store, "FOLD_ROWS", 1)
    monkeypatch.setattr(store, "TIER", 3)
    most = 0
    with locked(folder), Writer(folder) as writer:
        for n in range(40):
            writer.commit(make_row(n))
            most = max(most, len(files(folder)))
    assert most <= 2 * 4  # 3**3 < 40 < 3**4
    assert len(load(folder)) == 40


def test_runs_that_were_cut_off_leave_few_parts(folder, monkeypatch):
    """Twenty runs of one row, none of them closed, leave a folder as small as one run would."""
    monkeypatch.setattr(store, "TIER", 3)
    for n in range(20):
        commit(folder, make_row(n), close=False)
    assert len(files(folder)) <= 2 * 3 + 1
    assert len(load(folder)) == 20


def test_a_journal_folds_when_it_is_long(folder, monkeypatch):
    """Rows with long curves fold by their size, so that a reader never parses much text."""
    monkeypatch.setattr(store, "FOLD_BYTES", 50_000)
    commit(folder, *(make_row(n, train_loss_steps=[0.5] * 5_000) for n in range(6)), close=False)
    assert [name for name in files(folder) if name.startswith("part")] == [
        "part-000000-000000.parquet",
        "part-000001-000001.parquet",
    ]


def test_a_folder_without_a_study_is_one_clear_error(tmp_path):
    """`load` on an empty folder, or on none, says what to type."""
    for place, what in [(tmp_path, "holds no study"), (tmp_path / "absent", "does not exist")]:
        with pytest.raises(InputError, match=what) as caught:
            load(place)
        assert "lrbench run" in str(caught.value)


def test_a_file_in_place_of_a_folder_is_told_as_one(folder):
    """Whoever names DIR/study.json is told that it is a file, and which folder to name."""
    with pytest.raises(InputError, match=rf"study\.json is a file; name the folder of a study: {folder}$"):
        load(folder / "study.json")


@pytest.mark.parametrize("damage", ["in the middle", "at the end"])
def test_a_line_damaged_after_it_was_written_is_told(folder, damage):
    """A bad line between good ones is named, and the rest is read; a bad last line is a crash's, and no damage."""
    commit(folder, *(make_row(n) for n in range(3)), close=False)
    assert damages(folder) == []
    journal = folder / "trials" / "journal-000000.jsonl"
    lines = journal.read_bytes().split(b"\n")
    number = 1 if damage == "in the middle" else 2
    lines[number] = lines[number].replace(b'"seed"', b'"sead"')
    journal.write_bytes(b"\n".join(lines))
    assert load(folder)["position"].tolist() == [n for n in range(3) if n != number]
    assert [f"{journal}: damaged after it was written in line 2;" in told for told in damages(folder)] == (
        [True] if damage == "in the middle" else []
    )


def test_a_folder_made_for_nothing_is_taken_away(tmp_path):
    """A lock that is let go without a study leaves no folder; one that was there before, or holds a study, stays."""
    with locked(tmp_path / "results" / "a"):
        assert (tmp_path / "results" / "a" / "trials").is_dir()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    with locked(tmp_path / "mine"):
        pass
    assert list((tmp_path / "mine").iterdir()) == []
    with locked(tmp_path / "b"):
        write_study_record(tmp_path / "b", {"study": {}, "places": []})
    assert (tmp_path / "b" / "study.json").exists()


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b"\xff\xfe", b'{"study": 3, "places": [], "num_trials": 1}'])
def test_a_damaged_record_is_one_clear_error(folder, content):
    """A study.json that is torn, or is something else, is an error that names the file."""
    (folder / "study.json").write_bytes(content)
    with pytest.raises(InputError, match=r"study\.json is damaged"):
        read_study_record(folder)


def test_the_record_reads_as_it_was_written(folder):
    """study.json is plain JSON, for people and other programs too."""
    record = {"study": {"name": "ü"}, "places": [{"hostname": "h"}], "num_trials": 3, "schema_version": 1}
    write_study_record(folder, record)
    assert read_study_record(folder) == record
    assert json.loads((folder / "study.json").read_text(encoding="utf-8")) == record
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_run_that_has_just_begun_is_no_folder_without_a_study(tmp_path):
    """Until a run has checked that it can train there is no study.json: a reader is told to come again."""
    with locked(tmp_path / "x"), pytest.raises(InputError, match="holds no study yet: a run has begun in it"):
        load(tmp_path / "x")
    with pytest.raises(InputError, match=r"does not exist\. Write one: "):
        load(tmp_path / "x")
