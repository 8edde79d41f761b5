"""The command line's answers that need no training: help, and one clear error for every bad input."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lrbench.commands.options import Typed
from lrbench.store import write_study_record
from lrbench.tests.helpers.command_line import errors_of, in_this_process
from lrbench.tests.helpers.commands import lrbench
from lrbench.tests.helpers.studies import USERS, write_study

COMMANDS = [
    ["run"],
    ["report"],
    ["show"],
    ["compact"],
    ["plan"],
    ["export"],
    ["compare"],
    ["preview"],
    ["explain"],
    ["claims"],
    ["data"],
    ["data", "list"],
    ["data", "fetch"],
]


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run `lrbench ARGUMENTS` in this process, in an empty folder; return (exit code, stdout, stderr)."""
    yield from in_this_process(monkeypatch, capsys, tmp_path)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command, words):
    """--help and -h print the usage and an example that begins with the command's own name."""
    code, out, err = command(*words, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: lrbench {' '.join(words)}" in out
    if words != ["data"]:
        assert f"Example: lrbench {' '.join(words)}" in " ".join(out.split())
    assert command(*words, "-h")[1] == out


def test_lrbench_alone_and_its_version(command):
    """Without a command the help is shown; --version prints the version and nothing else."""
    code, out, err = command()
    assert code in (0, 2)
    assert "Usage: lrbench" in out + err
    code, out, err = command("--version")
    assert (code, err) == (0, "")
    assert out.startswith("lrbench ")
    assert len(out.split()) == 2


@pytest.mark.parametrize(
    ("arguments", "found", "allowed"),
    [
        (["--jobs", "0"], "--jobs found 0", "a whole number from 1 on"),
        (["--jobs", "-2"], "--jobs found -2", "a whole number from 1 on"),
        (["--limit", "-1"], "--limit found -1", "a whole number from 0 on"),
        (["--time-limit", "0"], "--time-limit found 0", "a number of seconds above 0"),
        (["--time-limit", "nan"], "--time-limit found 'nan'", "a number of seconds above 0"),
        (["--executor", "inlien"], "--executor found 'inlien'", "Did you mean 'inline'?"),
        (["--executor", "inline", "--time-limit", "5"], "--time-limit", "needs --executor process"),
        (["--executor", "inline", "--jobs", "2"], "--jobs 2", "needs --executor process"),
        (["--device", "gpu"], "'gpu'", "auto, cpu, cuda or cuda:N"),
        (["--device", "cuda:x"], "'cuda:x'", "auto, cpu, cuda or cuda:N"),
        (["--set", "epochs"], "'epochs'", "allowed: factor=level"),
        (["--set", "=3"], "'=3'", "allowed: factor=level"),
        (["--set", "epochs=1", "--set", "epochs=2"], "epochs is given twice", "--set epochs=[…]"),
        (["--set", "epochs=0"], "fixed.epochs found 0", "at least 1"),
        (["--set", "epochs="], "fixed.epochs found ''", "a whole number"),
        (["--set", "epoch=3"], "fixed.epoch is no factor", "Did you mean 'epochs'?"),
        (["--set", "seed=9-0"], "runs backwards", '"0-9"'),
        (["--set", "seed=[]"], "empty list", "at least one level"),
        (["--set", "cudnn_benchmark=True"], "found 'True'", "true or false"),
        (["--set", "scheduler=StpLR(step_size=3)"], "'StpLR'", "Did you mean 'StepLR'?"),
        (["--set", "scheduler=StepLR(step_size=3"], "StepLR(step_size=3", "Write it as torch does"),
        (["--set", "replicates=0"], "replicates found 0", "a whole number from 1 on"),
        (["--set", "num_threads=4096"], "num_threads = 4096", "cores that this process may use"),
        (["--out", ""], "--out found ''", "allowed: a folder"),
        (["--out", "file"], "file cannot be written", "--out DIR"),
        (["--out", "file/below"], "cannot be written", "--out DIR"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_option_of_run_is_one_clear_error(command, tmp_path, arguments, found, allowed):
    """Every option with a value that is not allowed: one error with what was found and what is allowed, exit code 2."""
    (tmp_path / "file").write_text("")
    (error,) = errors_of(command("run", "quickstart", *arguments))
    assert found in error
    assert allowed in error
    assert not (tmp_path / "results").exists()


def test_several_bad_options_are_told_together(command):
    """Whoever mends one option should not meet the next only then."""
    errors = errors_of(
        command("run", "quickstart", "--jobs", "0", "--limit", "-1", "--executor", "ray", "--device", "x")
    )
    assert len(errors) == 4


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_a_gpu_that_is_not_there_is_one_clear_error(command, device):
    """--device cuda without a GPU says so before anything is loaded or written."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    (error,) = errors_of(command("run", "quickstart", "--device", device))
    assert "no NVIDIA GPU" in error
    assert "--device cpu" in error


def test_a_gpu_number_that_is_not_there_is_one_clear_error(command):
    """A GPU beyond those of the machine is refused, on any machine."""
    (error,) = errors_of(command("run", "quickstart", "--device", "cuda:99"))
    assert "cuda:99" in error


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ("quickstrat", "Did you mean 'quickstart'?"),
        ("absent.toml", "absent.toml does not exist"),
        ("folder", "folder is a folder"),
        ("torn.toml", "torn.toml is not TOML"),
        ("empty.toml", "question"),
    ],
)
def test_a_study_that_cannot_be_read_is_one_clear_error(command, tmp_path, study, said):
    """A wrong name, a folder, torn TOML and an empty file each say what is wrong, and nothing is written."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "torn.toml").write_text("question = [")
    (tmp_path / "empty.toml").write_text("")
    errors = errors_of(command("run", study))
    assert said in errors[0]
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (words, place)
        for words in ("report", "show", "compact")
        for place in ("absent", "empty", "file", "damaged")
        if (words, place) != ("compact", "damaged")  # it reads and writes rows alone
    ],
)
def test_a_folder_that_holds_no_study_is_one_clear_error(command, tmp_path, words, place):
    """What reads results says what is wrong with the folder, and what to type."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "study.json").write_text("{")
    (error,) = errors_of(command(words, tmp_path / place))
    assert place in error


def test_compact_of_a_study_without_rows_says_so(command, tmp_path):
    """A study that has not run yet has nothing to merge, which is no error."""
    (tmp_path / "d").mkdir()
    write_study_record(tmp_path / "d", {"study": {}, "places": []})
    code, out, _ = command("compact", tmp_path / "d")
    assert code == 0
    assert "has no rows yet" in out


@pytest.mark.parametrize(
    ("fixed", "said"),
    [
        ({"workload": "no_such_module_here:net"}, "no module named 'no_such_module_here'"),
        ({"workload": {"model": f"{USERS}:Fautly", "data": "digits"}}, "Did you mean 'Faulty'?"),
        ({"workload": {"model": "torchvision:resnet81", "data": "digits"}}, "Did you mean 'resnet18'?"),
        ({"workload": {"base": "digits-cnn", "data": "torchvision:CIFAR01"}}, "Did you mean 'CIFAR10'?"),
        ({"workload": "cifar10-resnet9"}, "lrbench data fetch CIFAR10"),
        ({"workload": "digits-cnn", "batch_size": 5000}, "batch_size: 5000 is more than the 1295 training images"),
        (
            {"workload": "digits-cnn", "scheduler": {"name": "LambdaLR", "lr_lambda": f"{USERS}:halv"}},
            "Did you mean 'halve'?",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_only_torch_or_the_users_code_can_tell_is_one_clear_error(command, tmp_path, fixed, said):
    """Names of models, data and schedules, and sizes, are checked before the first trial, by either executor."""
    study = write_study(tmp_path / "study.toml", fixed=fixed)
    code, _, err = command("run", study, "--executor", "inline", "--device", "cpu")
    assert code == 2
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert "Traceback" not in err


def test_another_studys_folder_is_refused(command, tmp_path):
    """Rows of two studies never come into one folder: the error names both, and a folder of the study's own."""
    (tmp_path / "d").mkdir()
    write_study_record(tmp_path / "d", {"study": {"name": "other"}, "places": [], "num_trials": 0})
    (error,) = errors_of(command("run", "quickstart", "--out", tmp_path / "d", "--device", "cpu"))
    assert "'other'" in error
    assert "'quickstart'" in error
    assert "--out results/quickstart" in error


def test_levels_of_set_are_read_as_in_a_study_file():
    """A level is a TOML value, a range, a call or a bare word."""
    settings = ["epochs=2", "seed=0-3", "precision=bf16", "warmup={kind='linear', steps=3}", "base_lr=1e-3"]
    assert Typed().levels(
        [
            *settings,
            "scheduler=StepLR(step_size=3, gamma=0.5)",
            "cudnn_benchmark=[true, false]",
            "clip_grad_norm=0.5,1.0",
        ]
    ) == {
        "epochs": 2,
        "seed": "0-3",
        "precision": "bf16",
        "warmup": {"kind": "linear", "steps": 3},
        "base_lr": 0.001,
        "scheduler": "StepLR(step_size=3, gamma=0.5)",
        "cudnn_benchmark": [True, False],
        "clip_grad_norm": [0.5, 1.0],
    }


def test_a_real_process_answers_the_same(tmp_path):
    """In a process of its own the errors and exit codes are those of this file: bad input is 2, with one line."""
    ended = lrbench("run", "quickstrat", folder=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: quickstrat does not exist")
    assert len(ended.err.splitlines()) == 1
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "study.json").write_text(json.dumps({"study": {"name": "x"}, "places": [], "num_trials": 0}))
    assert lrbench("compact", "d", folder=tmp_path).code == 0


@pytest.mark.parametrize("arguments", [("--version",), ("explain", "StepLR")])
def test_a_full_disk_under_standard_output_is_one_clear_error(arguments, tmp_path):
    """What is printed cannot be written: exit code 1 and why, without a traceback."""
    program = Path(sys.executable).with_name("lrbench")
    with open("/dev/full", "w") as full:
        ended = subprocess.run([program, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == "error: standard output cannot be written: No space left on device\n"
