"""Every bad input of every command has one form: where, what was found, what is allowed; exit code 2, on stderr."""

import os
import subprocess
import sys

import pytest

from lrbench.cli import app
from lrbench.commands.options import Typed
from lrbench.tests.helpers.command_line import errors_of, in_this_process

GIVEN = {"STUDY": "quickstart", "DIR": "d", "DIR_A": "a", "DIR_B": "b", "A": "digits-cnn", "TARGET": "digits-cnn"}
GIVEN |= {"NAME": "CIFAR10"}
ALSO = {("preview",): ["StepLR(3)"], ("export",): ["--to", "csv"]}  # without which the command stops earlier


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run `lrbench ARGUMENTS` in this process, in an empty folder; return (exit code, stdout, stderr)."""
    yield from in_this_process(monkeypatch, capsys, tmp_path)


def commands() -> dict[tuple, object]:
    """Every command with its words, as typer has built it."""
    from typer.main import get_command

    found = {}
    for name, made in get_command(app).commands.items():
        below = getattr(made, "commands", None)
        found |= {(name, word): c for word, c in below.items()} if below else {(name,): made}
    return found


COMMANDS = commands()


def typed(words: tuple) -> list[str]:
    """The command with the arguments that it needs."""
    needed = [p for p in COMMANDS[words].params if p.param_type_name == "argument" and p.required]
    return [*words, *(GIVEN[p.metavar] for p in needed), *ALSO.get(words, [])]


def options(metavar: str) -> list[tuple]:
    """(command's words, option) of every option that takes such a value."""
    return [
        (words, param.opts[0])
        for words, made in COMMANDS.items()
        for param in made.params
        if param.param_type_name == "option" and param.metavar == metavar
    ]


def test_the_sweep_finds_what_there_is():
    """Fourteen commands; counts, devices and levels among their options."""
    assert len(COMMANDS) == 14
    assert (("run",), "--limit") in options("N")
    assert (("diverge",), "--set-b") in options("FACTOR=LEVEL")
    assert (("audit",), "--device") in options("DEVICE")
    assert len(options("N")) == 14


@pytest.mark.parametrize("value", ["x", "-1", "nan", ""])
@pytest.mark.parametrize(("words", "option"), options("N"), ids=lambda v: v if isinstance(v, str) else " ".join(v))
def test_a_number_that_is_none_or_too_small(command, words, option, value):
    """Words, negative numbers, nan and nothing: the option, what was found, and what is allowed."""
    (error,) = errors_of(command(*typed(words), f"{option}={value}"))
    found = value if value == "-1" else repr(value)
    assert error.startswith(f"error: {option} found {found}; allowed: a ")
    assert " number " in error


@pytest.mark.parametrize(("words", "option"), options("DEVICE"), ids=lambda v: v if isinstance(v, str) else " ".join(v))
def test_a_device_that_is_none(command, words, option):
    """gpu is no device of torch's; its names are told."""
    (error,) = errors_of(command(*typed(words), option, "gpu"))
    assert error.startswith(f"error: {option} found 'gpu'; allowed: auto, cpu, cuda or cuda:N")


@pytest.mark.parametrize(
    ("words", "option"), options("FACTOR=LEVEL"), ids=lambda v: v if isinstance(v, str) else " ".join(v)
)
def test_a_level_without_a_factor(command, words, option):
    """A level stands behind its factor, and each factor once: the option that is wrong is the one that is named."""
    (error,) = errors_of(command(*typed(words), option, "epochs"))
    assert error == f"error: {option} found 'epochs'; allowed: factor=level, e.g. {option} epochs=2"
    (error,) = errors_of(command(*typed(words), option, "epochs=1", option, "epochs=2"))
    assert error.startswith(f"error: {option} epochs is given twice")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["run", "quickstart", "--executor", "inlien"], "--executor found 'inlien'; allowed: process, inline."),
        (["report", "d", "--format", "htm"], "--format found 'htm'; allowed: all, html, md, ipynb."),
        (["preview", "StepLR(3)", "--interval", "steps"], "--interval found 'steps'; allowed: epoch, step."),
        (["run", "quickstart", "--digest-every", "x"], "--digest-every found 'x'; allowed: a number of optimizer"),
        (["run", "quickstart", "--checkpoint-every", "0"], "--checkpoint-every found 0; allowed: a number of"),
        (["run", "quickstart", "--quiet=3"], "--quiet found a value; allowed: --quiet alone"),
        (["run", "--out"], "--out found no value; write --out VALUE"),
        (["run", "quickstart", "another"], "lrbench run: found 'another' too; allowed: STUDY. Example: lrbench run"),
        (["data", "list", "x"], "lrbench data list: found 'x' too; allowed: no argument."),
        (["export", "d"], "lrbench export: --to is missing: the tool to write for. Example: lrbench export"),
        (["data", "fetch"], "lrbench data fetch: NAME is missing: a data set of torchvision, e.g. CIFAR10. Example:"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_what_is_not_allowed_is_told_with_what_is(command, arguments, error):
    """Choices, options without a value or with one too many, and arguments that are missing or too many."""
    (found,) = errors_of(command(*arguments))
    assert found.startswith(f"error: {error}")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_option_that_does_not_exist(command, words):
    """An unknown option is told with those that there are, and with the one that was probably meant."""
    (error,) = errors_of(command(*typed(words), "--hlep"))
    assert error.startswith(f"error: lrbench {' '.join(words)}: --hlep is no option; allowed: ")
    assert error.endswith(" Did you mean '--help'?")


def test_an_option_that_is_like_none_has_no_suggestion(command):
    """The dashes, which every option has, make --foo no likeness of --out."""
    (error,) = errors_of(command("run", "quickstart", "--foo"))
    assert error.endswith(", --help.")


@pytest.mark.parametrize(("typed", "meant"), [("gpu", "cuda"), ("GPU:1", "cuda:1"), ("cud", "cuda"), ("cqu", "cpu")])
def test_the_device_that_was_meant(command, typed, meant):
    """A GPU is called cuda here."""
    (error,) = errors_of(command("run", "quickstart", "--device", typed))
    assert error.endswith(f" Did you mean {meant!r}?")


def test_calls_with_commas_between_them_are_told_as_a_list(command):
    """What to type is said whole, and can be typed; a call with two arguments is one call."""
    (error,) = errors_of(command("run", "quickstart", "--set", "scheduler=StepLR(2, 0.5), ConstantLR()"))
    assert error.endswith("""a list is typed so: --set 'scheduler=["StepLR(2, 0.5)", "ConstantLR()"]'""")
    with Typed() as read:
        assert read.levels(['scheduler=["StepLR(2, 0.5)", "ConstantLR()"]', "cudnn_benchmark=true,false"]) == {
            "scheduler": ["StepLR(2, 0.5)", "ConstantLR()"],
            "cudnn_benchmark": [True, False],
        }


@pytest.mark.parametrize(("name", "what"), [("nodir", "does not exist"), ("afile", "is a file")])
def test_a_data_root_that_is_no_folder(command, tmp_path, monkeypatch, name, what):
    """Every data set would be absent there, and that says nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "afile").write_text("")
    (error,) = errors_of(command("data", "list", "--data-root", str(tmp_path / name)))
    assert error.endswith(f"{name}', which {what}; allowed: the folder of your data sets")


def test_a_study_without_a_name(command):
    """An empty text is no folder and no file."""
    (error,) = errors_of(command("run", ""))
    assert error == "error: STUDY found ''; allowed: a study file, or a built-in study such as quickstart"


@pytest.mark.parametrize("word", ["show", "report", "compare"])
def test_a_folder_of_studies_is_told_with_those_in_it(command, tmp_path, word):
    """The folder above a study is named by mistake: its studies are listed. What is to be typed is quoted."""
    for name in ("one/a", "one/b"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "study.json").write_text('{"schema_version": 1, "study": {}}')
    folders = [str(tmp_path / "one")] * (2 if word == "compare" else 1)
    (error,) = errors_of(command(word, *folders))
    assert error.endswith(f"name one: {tmp_path}/one/a, {tmp_path}/one/b")
    (error,) = errors_of(command("show", "no where"))
    assert error.endswith("Write one: lrbench run quickstart --out 'no where'")


@pytest.mark.parametrize(("words", "meant"), [(["rnu"], "run"), (["data", "fetsh"], "fetch"), (["Report"], "report")])
def test_a_command_that_does_not_exist(command, words, meant):
    """An unknown command is told with those that there are, and with the one that was probably meant."""
    (error,) = errors_of(command(*words))
    assert f"{words[-1]!r} is no command; allowed: " in error
    assert error.endswith(f" Did you mean {meant!r}?")


def test_mistakes_of_several_kinds_are_told_together(command):
    """Whoever mends one option should not meet the next only then."""
    errors = errors_of(
        command("run", "quickstart", "--jobs", "two", "--limit", "-1", "--device", "gpu", "--set", "epochs")
    )
    assert [error.split()[1] for error in errors] == ["--jobs", "--limit", "--device", "--set"]


def test_a_pipe_that_nobody_reads_any_more_is_no_traceback(tmp_path):
    """`lrbench … | head -1`: the command ends with an exit code of its own, and says nothing."""
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "lrbench", "explain", "StepLR"],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
