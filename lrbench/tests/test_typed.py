"""What is to be typed where a study is meant again: it reads back as the same study, in the same folder."""

import json
import shlex
from pathlib import Path

import pytest

from lrbench.commands.options import level
from lrbench.runner import run_study
from lrbench.store import load, read_study_record
from lrbench.study import read_study
from lrbench.tests.helpers.commands import lrbench
from lrbench.tests.helpers.studies import write_study
from lrbench.typed import again, remembered, typed


def record_of(study) -> dict:
    return {"study": study.model_dump(mode="json")}


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ({}, ""),
        ({"seed": "0-3"}, ""),
        ({"epochs": 2}, "--set epochs=2 "),
        ({"epochs": 2, "cudnn_benchmark": False, "replicates": 1}, None),
        ({"optimizer": {"name": "SGD", "momentum": 0.8}, "scheduler": ["ConstantLR", "StepLR(step_size=2)"]}, None),
    ],
)
def test_the_command_means_the_study_that_ran(levels, words):
    """Whatever was typed with --set stands in the command, seeds aside; read back, it gives the same study."""
    ran = read_study("quickstart").with_levels(**levels) if levels else read_study("quickstart")
    command = again(record_of(ran), "elsewhere/short")
    if words is not None:
        assert command == f"lrbench run quickstart {words}--out elsewhere/short"
    _, _, name, *options = shlex.split(command)
    assert options[-2:] == ["--out", "elsewhere/short"]
    given = dict(option.split("=", 1) for option in options[1:-2:2])
    read = read_study(name).with_levels(**{name: level(text) for name, text in given.items()}, seed=ran.grid["seed"])
    assert {**read.fixed, **read.grid} == {**ran.fixed, **ran.grid}
    assert read.replicates == ran.replicates


def test_a_study_in_its_own_folder_needs_no_out(tmp_path, monkeypatch):
    """results/NAME is where a study as written goes by itself."""
    monkeypatch.chdir(tmp_path)
    assert again(record_of(read_study("quickstart")), "results/quickstart") == "lrbench run quickstart"


def test_a_file_of_ones_own_is_named(tmp_path, monkeypatch):
    """Where it is here its --set options are found; one that is not here, or was changed since, is named alone."""
    monkeypatch.chdir(tmp_path)
    file = write_study(tmp_path / "mine.toml", fixed={"workload": "digits-cnn", "epochs": 2}, grid={"seed": "0-1"})
    ran = record_of(read_study(file).with_levels(epochs=3))
    assert again(ran, "out") == "lrbench run mine.toml --set epochs=3 --out out"
    file.unlink()
    assert again(ran, "out") == "lrbench run mine.toml --out out"


def test_the_file_is_named_as_it_was_typed(tmp_path, monkeypatch):
    """In a folder below its path stays; what --set changed is known without it; no path of a machine is.

    A file that lies elsewhere is STUDY_FILE.
    """
    (tmp_path / "here" / "s").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    schedulers = ["ConstantLR(factor=1.0)", "StepLR(step_size=2)"]
    for typed_as, named in [("s/mine.toml", "s/mine.toml"), ("../mine.toml", "STUDY_FILE")]:
        file = write_study(Path(typed_as), fixed={"workload": "digits-cnn"}, grid={"seed": "0-1"})
        for read_as in (file, file.absolute()):
            study = read_study(read_as).with_levels(scheduler=schedulers, seed="0-2")
            record = record_of(study) | remembered(study)
            line = 'scheduler=[{name = "ConstantLR", factor = 1.0, interval = "epoch"}, '
            line += '{name = "StepLR", step_size = 2, interval = "epoch"}]'
            assert shlex.split(again(record, "out")) == ["lrbench", "run", named, "--set", line, "--out", "out"]
            assert "seed=[0, 1, 2]" in again(record, "out", seeds=True)
        file.unlink()
        assert shlex.split(again(record, "out"))[2:5] == [named, "--set", line]
        assert str(tmp_path) not in json.dumps(record)


def test_a_text_that_toml_would_read_as_something_else_is_quoted():
    """A workload's name is typed as it is; the text true is not the value."""
    assert (
        typed("x", {"workload": "digits-cnn", "compile": "true"})
        == "x --set workload=digits-cnn --set 'compile=\"true\"'"
    )


@pytest.mark.slow
def test_the_command_really_goes_on(tmp_path, monkeypatch):
    """Typed with more seeds and --limit 1 it runs one more trial in the same folder, of the same condition."""
    monkeypatch.chdir(tmp_path)
    study = read_study("quickstart").with_levels(
        epochs=1, seed=[0, 1], scheduler=["ConstantLR"], cudnn_benchmark=False, cudnn_deterministic=False, replicates=1
    )
    run_study(study, "short", executor="inline")
    command = again(read_study_record("short"), "short")
    done = lrbench(*shlex.split(command)[1:], "--set", "seed=0-2", "--limit", "1", "--quiet", folder=tmp_path)
    assert done.code == 0, done.err
    rows = load("short")
    assert sorted(rows["seed"]) == [0, 1, 2]
    assert rows["condition_id"].nunique() == 1
