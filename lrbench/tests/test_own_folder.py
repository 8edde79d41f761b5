"""The folder of a study where none is named: the study as written has one, other levels have their own."""

import shlex

import pytest

from lrbench.commands.options import level
from lrbench.errors import InputError
from lrbench.own_folder import MOST_CHARACTERS, default_folder, other_levels
from lrbench.runner import run_study
from lrbench.study import parse_study, read_study
from lrbench.tests.helpers.commands import lrbench

WRITTEN = {
    "question": "?",
    "replicates": 2,
    "fixed": {"workload": "digits-cnn", "epochs": 5},
    "grid": {"seed": "0-3", "scheduler": ["ConstantLR(factor=1.0)", "StepLR(3)"]},
}


def folder_of(*settings: str) -> str:
    """The folder of the study with what --set says."""
    levels = {name: level(text) for name, _, text in (setting.partition("=") for setting in settings)}
    study = parse_study(WRITTEN, "mine", source="mine")
    return str(default_folder(study.with_levels(**levels) if levels else study))


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("epochs=5",),  # as it is written
        ("seed=0-3",),
        ("seed=0-19",),  # more of the same trials
        ("seed=3,2,1,0,7",),
        ("replicates=4",),
        ("seed=0-9", "replicates=2"),
        ("cudnn_benchmark=false",),  # its default
        ("base_lr=0.1",),  # its workload's recipe's
        ("batch_size=64", "base_lr=0.1"),
    ],
)
def test_more_of_the_same_trials_stays_in_the_studys_folder(settings):
    """What is written, said again, and seeds and replicates that are added: results/NAME."""
    assert folder_of(*settings) == "results/mine"


@pytest.mark.parametrize(
    ("settings", "folder"),
    [
        (("epochs=1",), "results/mine-epochs=1"),
        (("epochs=1", "seed=0-1"), "results/mine-epochs=1-seed=0-1"),
        (("seed=0-1", "epochs=1"), "results/mine-epochs=1-seed=0-1"),  # the order of typing is nothing
        (("seed=0",), "results/mine-seed=0"),
        (("seed=5-8",), "results/mine-seed=5-8"),
        (("replicates=1",), "results/mine-replicates=1"),
        (("base_lr=0.2",), "results/mine-base_lr=0.2"),
        (("base_lr=0.1,0.2",), "results/mine-base_lr=0.1,0.2"),
        (("cudnn_benchmark=[false, true]",), "results/mine-cudnn_benchmark=false,true"),
        (("precision=bf16",), "results/mine-precision=bf16"),
    ],
)
def test_other_levels_have_a_folder_that_names_them(settings, folder):
    """Rows of another grid are never mixed in unasked: the folder's name says what is set."""
    assert folder_of(*settings) == folder


def test_a_name_needs_no_quotes_and_is_of_bounded_length():
    """Calls and long lists are told apart by a digest: two of them share no folder, and a shell takes the name."""
    names = [
        folder_of("scheduler=StepLR(step_size=3, gamma=0.5)"),
        folder_of("scheduler=StepLR(step_size=3, gamma=0.4)"),
        folder_of('warmup={kind="linear", fraction=0.1}'),
        folder_of("seed=" + ",".join(map(str, range(0, 200, 2)))),
        folder_of("seed=" + ",".join(map(str, range(0, 202, 2)))),
    ]
    assert names[0].startswith("results/mine-scheduler=StepLR~")
    assert len({*names}) == 5
    assert all(shlex.quote(name).replace("'", "") == name for name in names)
    assert all(len(name) <= len("results/") + MOST_CHARACTERS for name in names)


def test_what_was_set_is_told_against_the_study_as_written():
    """Setting a level back to what is written leaves nothing changed, in however many steps."""
    study = parse_study(WRITTEN, "mine", source="mine")
    once = study.with_levels(epochs=1, seed="0-1")
    assert other_levels(once) == {"epochs": [1], "seed": [0, 1]}
    assert other_levels(once.with_levels(seed="0-3")) == {"epochs": [1]}
    assert default_folder(once.with_levels(seed="0-3", epochs=5)) == default_folder(study)
    assert (
        once.model_dump()
        == parse_study(
            {
                **study.model_dump(include={"question", "replicates"}),
                "fixed": {**WRITTEN["fixed"], "epochs": 1},
                "grid": {**WRITTEN["grid"], "seed": "0-1"},
            },
            "mine",
            source="x",
        ).model_dump()
    )  # study.json knows the levels, and not how they came


def test_an_empty_folder_is_refused(tmp_path, monkeypatch):
    """--out "" is a variable that was forgotten, not the current folder."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="--out found ''"):
        run_study(read_study("quickstart"), "")


@pytest.mark.slow
def test_a_run_with_other_levels_leaves_the_studys_folder_alone(tmp_path):
    """The first thing that a newcomer types, in short: it runs, says where, and results/NAME is not begun."""
    ended = lrbench("run", "quickstart", "--set", "epochs=1", "--limit", "1", "--executor", "inline", folder=tmp_path)
    assert ended.code == 0, ended.err
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["quickstart-epochs=1"]
    assert "a folder of its own: other levels of epochs than quickstart has" in ended.err
    assert "lrbench show results/quickstart-epochs=1 " in ended.out
    assert lrbench("show", "results/quickstart-epochs=1", folder=tmp_path).code == 0
