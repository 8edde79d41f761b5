"""An export replaces its own files and no others, says what it cannot do, and leaves nothing half."""

import json
from pathlib import Path

import pytest

from analysis.tests.simulate import Truth, study_of, write_study
from lrbench.errors import InputError
from lrbench.export import export, export_command, installed
from lrbench.record import FLAT
from lrbench.tests.helpers.export_parts import SCHEDULERS, digests


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A study with one failed trial, written through the store."""
    made = study_of(grid={"seed": "0-2", "scheduler": SCHEDULERS})
    return write_study(tmp_path_factory.mktemp("study") / "s", made, Truth(failures={5: "diverged"}))


def test_an_export_is_replaced_by_the_next_and_a_file_beside_it_stays(study, tmp_path):
    """The same command again gives the same files; a note that somebody laid beside them is left as it was."""
    out = export(study, "csv", tmp_path / "out").folder
    before = digests(out)
    (out / "notes.txt").write_text("mine")
    export(study, "csv", out)
    assert digests(out) == before | {"notes.txt": b"mine"}


def test_a_file_that_an_export_no_longer_has_goes(study, tmp_path):
    """What an earlier export wrote and this one does not is taken away: the folder holds one export, not two."""
    out = export(study, "csv", tmp_path / "out").folder
    held = json.loads((out / "export.json").read_text())
    (out / "old").mkdir()
    (out / "old" / "gone.csv").write_text("x")
    held["files"]["old/gone.csv"] = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # sha256 of x
    (out / "export.json").write_text(json.dumps(held))
    export(study, "csv", out)
    assert not (out / "old").exists()


def somebody_elses(out: Path) -> None:
    out.mkdir()
    (out / "thesis.csv").write_text("mine")


def a_file(out: Path) -> None:
    out.write_text("mine")


def another_tools(out: Path) -> None:
    out.mkdir()
    (out / "export.json").write_text('{"to": "mlflow", "files": {}}')


def no_list(out: Path) -> None:
    out.mkdir()
    (out / "export.json").write_text("[1")


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (somebody_elses, "holds files that lrbench export did not write"),
        (a_file, "is a file"),
        (another_tools, "holds an export to mlflow, not to csv"),
        (no_list, "is no list of an export"),
    ],
)
def test_what_is_not_ours_is_refused_and_left(study, tmp_path, plant, said):
    """A folder that is no export of ours is named, another one is asked for, and nothing in it changes."""
    out = tmp_path / "out"
    plant(out)
    before = digests(tmp_path)
    with pytest.raises(InputError, match=said) as error:
        export(study, "csv", out)
    assert "--out DIR" in str(error.value)
    assert digests(tmp_path) == before


def test_a_file_that_was_changed_since_is_refused(study, tmp_path):
    """A table that somebody worked in is not written over; it is named."""
    out = export(study, "csv", tmp_path / "out").folder
    with open(out / "trials.csv", "a") as file:
        file.write("a line of mine\n")
    with pytest.raises(InputError, match=r"trials\.csv changed since it was exported"):
        export(study, "csv", out)
    assert (out / "trials.csv").read_text().endswith("a line of mine\n")


def test_a_foreign_file_at_a_name_that_is_needed_is_refused(study, tmp_path):
    """A file that appeared beside an export, under a name that the next one needs, stops it before anything changes."""
    out = export(study, "csv", tmp_path / "out").folder
    held = json.loads((out / "export.json").read_text())
    del held["files"]["curves.csv"]
    (out / "export.json").write_text(json.dumps(held))
    before = digests(out)
    with pytest.raises(InputError, match=r"curves\.csv was not written by lrbench export"):
        export(study, "csv", out)
    assert digests(out) == before


def test_an_export_that_fails_leaves_nothing(study, tmp_path, monkeypatch):
    """Where the disk fills up half-way there is no half export, and no folder of scratch."""
    from lrbench.errors import StoreError
    from lrbench.export import csv_files

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(csv_files, "long_table", full)
    with pytest.raises(StoreError, match="No space left"):
        export(study, "csv", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_tool_is_told_with_those_there_are(study):
    """--to with a slip names what is allowed and what was probably meant."""
    with pytest.raises(InputError, match=r"found 'tensorbord'; allowed: csv, tensorboard, mlflow\. Did you mean 'tens"):
        export(study, "tensorbord")


@pytest.mark.parametrize("to", ["tensorboard", "mlflow"])
def test_a_missing_package_is_told_with_what_to_type(study, tmp_path, monkeypatch, to):
    """Where the tool's package is not installed, the line that installs it is said before anything is written."""
    monkeypatch.setattr("lrbench.export.find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf'pip install "lrbench\[{to}\]"'):
        export(study, to, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_that_name_is_no_package(tmp_path, monkeypatch):
    """An export named "mlflow_export" beside the command is not taken for an installed package."""
    (tmp_path / "mlflow_export").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not installed("mlflow_export")
    assert installed("numpy")


def test_a_folder_without_a_study_is_told(tmp_path):
    """Nothing to export is bad input, not a traceback."""
    with pytest.raises(InputError, match="holds no study"):
        export(tmp_path, "csv")


def test_the_command_says_where_and_what_next(study, tmp_path, capsys):
    """One line says what was written where, one what was left out, one what to type; it shows no progress."""
    assert export_command(study, "csv", tmp_path / "out") == 0
    told, err = capsys.readouterr()
    lines = told.splitlines()
    assert lines[0] == f"12 trials → {tmp_path / 'out'} (4 files)"
    assert lines[1].startswith("left out: predictions, probe_logits, weights_sample")
    assert lines[2] == f"next: pandas.read_csv({str(tmp_path / 'out' / 'trials.csv')!r})"
    assert err == ""


def test_a_study_without_rows_gives_headings(tmp_path):
    """A study that has not run yet is a table with headings alone."""
    import pandas as pd

    made = study_of(grid={"seed": "0-1"})
    folder = write_study(tmp_path / "s", made)
    for path in (folder / "trials").iterdir():
        path.unlink()
    found = export(folder, "csv", tmp_path / "out")
    assert found.num_trials == 0
    assert pd.read_csv(found.folder / "trials.csv").shape == (0, len(FLAT))
    assert (found.folder.parent / "out" / "curves.csv").exists() is False
