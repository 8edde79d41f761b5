"""What is left to do, and who may use which core or GPU: the runner's decisions, without running anything."""

import importlib
import json
import os
from functools import partial

import pytest

import lrbench
from lrbench import nvml, running
from lrbench.changes import differences
from lrbench.continuing import left_to_do, rows_stay
from lrbench.devices import Devices
from lrbench.errors import InputError, users_frames
from lrbench.executors import Job, Running
from lrbench.factors import Trial
from lrbench.progress import PlainReporter, SilentReporter
from lrbench.record import check_row, trial_columns
from lrbench.runner import (
    find_data_root,
    run_study,
    run_trial,
)
from lrbench.running import patience, row_of
from lrbench.store import Writer, locked, read_study_record, write_study_record
from lrbench.study import parse_study, read_study, trials
from lrbench.tests.helpers.rows import make_row
from lrbench.tests.helpers.studies import DIGITS, SMALL, USERS


def trial(device: str = "cpu", **factors) -> Trial:
    return Trial(workload=DIGITS, device=device, **factors)


@pytest.fixture
def four_cores_two_gpus(monkeypatch):
    """A machine with cores 0, 1, 2, 3 and two GPUs, whatever the real one has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    gpus = [{"id": "0", "name": "A", "uuid": "GPU-a"}, {"id": "1", "name": "B", "uuid": "GPU-b"}]
    monkeypatch.setattr(nvml, "visible_gpus", lambda: gpus)


def claims(devices: Devices, *trials: Trial) -> list:
    return [claim and (claim.gpu or claim.cores) for claim in map(devices.claim, trials)]


@pytest.mark.parametrize(
    ("trials", "jobs", "granted"),
    [
        ([trial()] * 5, None, [(0,), (1,), (2,), (3,), None]),
        ([trial()] * 3, 2, [(0,), (1,), None]),
        ([trial(num_threads=2)] * 3, None, [(0, 1), (2, 3), None]),
        ([trial(num_threads=3)] * 2, None, [(0, 1, 2), None]),
        ([trial(), trial(num_threads=2), trial()], None, [(0,), (1, 2), None]),
        ([trial()] * 6, 6, [(0,), (1,), (2,), (3,), (0,), (1,)]),
        ([trial("cuda")] * 3, None, ["0", "1", None]),
        ([trial("cuda:1")] * 2, None, ["1", None]),
        ([trial("cuda")] * 5, 4, ["0", "1", "0", "1", None]),
        ([trial("cuda:0"), trial("cuda"), trial("cuda")], None, ["0", "1", None]),
        ([trial(), trial("cuda"), trial("cuda"), trial("cuda")], None, [(0,), "0", "1", None]),
    ],
    ids=[
        "a core each",
        "fewer jobs",
        "two threads",
        "three threads",
        "different threads",
        "packed on cores",
        "a GPU each",
        "one GPU by its number",
        "packed on GPUs",
        "any GPU beside a named one",
        "cores and GPUs",
    ],
)
@pytest.mark.usefixtures("four_cores_two_gpus")
def test_a_trial_has_its_device_alone(trials, jobs, granted):
    """Each trial gets cores or a GPU that no other has, or waits; more jobs than devices share them evenly."""
    assert claims(Devices(trials, jobs), *trials) == granted


@pytest.mark.parametrize(
    ("trials", "jobs", "packed"),
    [
        ([trial()], None, False),
        ([trial()], 4, False),
        ([trial()], 5, True),
        ([trial(num_threads=2)], 3, True),
        ([trial("cuda")], 2, False),
        ([trial("cuda")], 3, True),
    ],
)
@pytest.mark.usefixtures("four_cores_two_gpus")
def test_rows_are_marked_where_trials_share_their_device(trials, jobs, packed):
    """A run is packed when it has more jobs than devices, and only then."""
    assert Devices(trials, jobs).packed is packed


@pytest.mark.usefixtures("four_cores_two_gpus")
def test_a_device_is_free_again_after_its_trial():
    """What an ended trial held goes to the next one."""
    devices = Devices([trial()], None)
    first, second, *_ = [devices.claim(trial()) for _ in range(4)]
    assert devices.claim(trial()) is None
    devices.release(second)
    assert devices.claim(trial()).cores == second.cores
    devices.release(first)
    assert devices.claim(trial()).cores == first.cores


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (trial("cuda:2"), "allowed: cuda, cuda:0, cuda:1"),
        (trial(num_threads=5), "num_threads = 5 is more than the 4 cores"),
    ],
)
@pytest.mark.usefixtures("four_cores_two_gpus")
def test_a_device_that_is_not_there_is_refused(asked, said):
    """A GPU number or a count of threads beyond the machine's is one clear error before anything runs."""
    with pytest.raises(InputError, match=said):
        Devices([asked], None)


@pytest.mark.usefixtures("four_cores_two_gpus")
def test_packed_is_what_happened():
    """With more jobs than devices those that share one are marked, the first on it too; the others are not."""
    devices = Devices([trial()], 1000)
    first, second, third, fourth, fifth = [devices.claim(trial()) for _ in range(5)]
    assert [claim.shared for claim in (first, second, third, fourth, fifth)] == [True, False, False, False, True]
    assert (first.cores, fifth.cores) == ((0,), (0,))
    devices.release(fifth)
    assert first.shared


@pytest.mark.parametrize(("num_todo", "jobs", "packed"), [(2, 2, False), (5, 5, True), (0, 1, False)])
@pytest.mark.usefixtures("four_cores_two_gpus")
def test_there_are_no_more_jobs_than_trials(num_todo, jobs, packed):
    """A thousand jobs for two trials are two, each alone on its core."""
    devices = Devices([trial()], 1000)
    devices.at_most(num_todo)
    assert (devices.jobs, devices.packed) == (jobs, packed)


@pytest.mark.parametrize(
    ("seen", "retry", "stay"),
    [
        ({}, False, False),
        ({"a": ("crashed", 0)}, False, True),
        ({"a": ("crashed", 0)}, True, False),
        ({"a": ("crashed", 0), "b": ("completed", 0)}, True, True),
    ],
)
def test_failed_rows_that_run_again_do_not_stay(seen, retry, stay):
    """Whoever mends a model after its first trials crashed, and types --retry, pools nothing."""
    assert rows_stay(seen, retry) is stay


MYNET = """
def net(num_classes, width=1):
    from torch import nn
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, num_classes))
"""


def edited_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mynet_f.py").write_text(MYNET)
    workload = {"model": "mynet_f:net", "data": "digits", "train_limit": 72}
    schedulers = ["LambdaLR(lr_lambda=lrbench.schedules:inverse_sqrt)", "ConstantLR()"]
    fixed = {"workload": workload, "epochs": 1, "batch_size": 32, "base_lr": 0.1, "optimizer": "SGD", "device": "cpu"}
    document = {"question": "?", "fixed": fixed, "grid": {"scheduler": schedulers}}
    return parse_study(document, "edited", source="test")


def test_edited_code_of_the_users_is_noticed(tmp_path, monkeypatch):
    """Rows of old and new code do not come into one folder unless --mixed says so; then both are known."""
    study = edited_study(tmp_path, monkeypatch)
    run = partial(run_study, study, "out", limit=1, jobs=1, reporter=SilentReporter())
    assert run().num_rows == 1
    (tmp_path / "mynet_f.py").write_text(MYNET.replace("width=1", "width=2"))
    with pytest.raises(InputError) as caught:
        run()
    (problem,) = caught.value.problems
    assert f"{tmp_path / 'mynet_f.py'} has changed since out was begun" in problem
    assert "--out" in problem
    assert "--mixed" in problem
    assert run(mixed=True).num_rows == 2
    assert run().num_rows == 2
    code = read_study_record(tmp_path / "out")["code"]
    assert set(code) == {"mynet_f"}  # what comes with lrbench has a version
    assert len(code["mynet_f"]) == 2


@pytest.mark.parametrize("executor", ["process", "inline"])
def test_a_refused_run_leaves_no_folder(tmp_path, monkeypatch, executor):
    """What the check refuses has left nothing behind, and runs in a folder of that name when it is mended."""
    study = edited_study(tmp_path, monkeypatch).with_levels(batch_size=5000)
    with pytest.raises(InputError, match="batch_size"):
        run_study(study, executor=executor, reporter=SilentReporter())
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: run_trial("digits-cnn"), "Write run_trial(lrbench.Trial(workload='digits-cnn'))"),
        (lambda: run_trial({"workload": "digits-cnn"}), "Write run_trial(lrbench.trials(study)[0])"),
        (lambda: run_study("quickstart"), "Write run_study(lrbench.read_study('quickstart'))"),
    ],
)
def test_a_name_in_place_of_a_value_is_told_with_what_to_write(call, said):
    """A workload's name is no trial and a study's name no study: the error holds the line to write."""
    with pytest.raises(InputError) as caught:
        call()
    assert said in str(caught.value)


def test_an_error_leads_to_the_users_lines(tmp_path, monkeypatch):
    """Of a traceback the frames in the user's own files are told, innermost first; those of packages are left out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_f.py").write_text("import json\ndef net():\n    part()\ndef part():\n    json.loads('{')\n")
    with pytest.raises(ValueError, match="Expecting") as caught:
        importlib.import_module("broken_f").net()
    own = "broken_f.py:5 in part, called from broken_f.py:3 in net"
    assert users_frames(caught.value).startswith(own)
    assert users_frames(caught.value, most=1) == "broken_f.py:5 in part"
    assert users_frames(ValueError("raised nowhere")) == ""


def test_inline_shows_the_whole_traceback_of_a_failure(tmp_path, capsys):
    """--executor inline is for whoever looks for a fault: the traceback is printed, down to the user's own line."""
    workload = {"model": f"{USERS}:Faulty", "model_args": {"fault": "raise"}, **SMALL}
    fixed = {"workload": workload, "epochs": 1, "batch_size": 32, "base_lr": 0.1, "optimizer": "SGD", "device": "cpu"}
    study = parse_study({"question": "?", "fixed": fixed}, "faulty", source="test")
    assert run_study(study, tmp_path / "out", executor="inline", reporter=PlainReporter()).exit_code == 1
    told = capsys.readouterr().err
    assert "Traceback (most recent call last)" in told
    assert "helpers/users.py" in told


def test_a_damaged_line_is_told_when_a_run_goes_on(tmp_path, monkeypatch, capsys):
    """A row that was lost to damage is named, and its trial runs again."""
    study = edited_study(tmp_path, monkeypatch).with_levels(seed="0-2", scheduler="ConstantLR()")
    with locked(tmp_path / "out"), Writer(tmp_path / "out") as writer:
        for number, trial in enumerate(trials(study, "cpu")):
            writer.commit(make_row(number, **trial_columns(trial)))
        write_study_record(tmp_path / "out", {"study": study.model_dump(mode="json"), "places": []})
    journal = tmp_path / "out" / "trials" / "journal-000000.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"seed": 1', b'"seed": 7', 1))
    run_study(study, "out", limit=0, mixed=True, reporter=PlainReporter())
    told = capsys.readouterr().err
    assert "journal-000000.jsonl: damaged after it was written in line 2" in told
    assert "2 have a row already" in told


def test_what_lrbench_offers_is_listed():
    """dir(lrbench), which completion asks, holds every public name before it is used, and each is there."""
    assert set(lrbench.__all__) <= set(dir(lrbench))
    assert all(getattr(lrbench, name) for name in lrbench.__all__)


def test_a_bad_device_is_told_once():
    """The allowed devices stand in the error a single time, with the one that was meant."""
    with pytest.raises(InputError) as caught:
        run_study(read_study("quickstart"), device="cud")
    (problem,) = caught.value.problems
    assert problem == "--device found 'cud'; allowed: auto, cpu, cuda or cuda:N. Did you mean 'cuda'?"


PLAN = [(0, trial(seed=0)), (0, trial(seed=1)), (1, trial(seed=2))]
IDS = [t.trial_id for _, t in PLAN]


@pytest.mark.parametrize(
    ("seen", "retry", "left"),
    [
        ({}, False, [(0, 0, 0), (0, 1, 0), (1, 2, 0)]),
        ({IDS[1]: ("completed", 0)}, False, [(0, 0, 0), (1, 2, 0)]),
        ({IDS[1]: ("crashed", 0)}, False, [(0, 0, 0), (1, 2, 0)]),
        ({IDS[0]: ("completed", 0), IDS[1]: ("crashed", 0), IDS[2]: ("timed_out", 3)}, True, [(0, 1, 1), (1, 2, 4)]),
        ({IDS[0]: ("completed", 2), "of another study": ("crashed", 0)}, True, [(0, 1, 0), (1, 2, 0)]),
        (dict.fromkeys(IDS, ("completed", 0)), True, []),
    ],
)
def test_what_is_left_is_what_has_no_row(seen, retry, left):
    """Trials without a row are left, in the planned order with their places; failed ones too, once more, on request."""
    todo = left_to_do(PLAN, seen, retry)
    assert [(block, position, attempt) for block, position, attempt, _ in todo] == left
    assert [t.trial_id for *_, t in todo] == [IDS[position] for _, position, _ in left]


def ended(exit_code: int, seconds_ago: float = 1.0, **changes) -> Running:
    job = Job(trial=trial(), cores=(0,), gpu=None, data_root=None, columns={"study": "s", "block": 1, "packed": False})
    began = running.time.monotonic() - seconds_ago
    return Running(job=job, started=began, stage="train", exit=exit_code, **changes)


@pytest.mark.parametrize(
    ("exit_code", "seconds", "status", "error"),
    [
        (-9, 1, "crashed", "the process was ended by SIGKILL (signal 9) in 'train'"),
        (-9, 11, "timed_out", "still in 'train' after the time limit of 10 s"),
        (3, 1, "crashed", "the process left with exit code 3 in 'train'"),
        (-64, 1, "crashed", "the process was ended by SIGRTMAX (signal 64) in 'train'"),
        (-50, 1, "crashed", "the process was ended by signal 50 in 'train'"),
    ],
)
def test_a_process_without_a_row_has_one_all_the_same(exit_code, seconds, status, error):
    """How a process ended, or that its time was up, makes a row with everything that was asked."""
    row = check_row(row_of(ended(exit_code, seconds), 10.0))
    assert (row["status"], row["error"], row["stage"]) == (status, error, "train")
    assert (row["study"], row["block"], row["trial_id"]) == ("s", 1, trial().trial_id)
    assert row["total_seconds"] == pytest.approx(seconds, abs=0.5)


def test_what_a_failed_trial_printed_is_in_its_row():
    """Output stands below the error of a trial that failed, and nowhere in the row of one that completed."""
    failed = row_of(ended(0, row={"status": "crashed", "error": "ValueError"}, output="look"), None)
    assert failed["error"] == "ValueError\n--- printed by the trial ---\nlook"
    fine = row_of(ended(0, row={"status": "completed"}, output="look"), None)
    assert fine == {"status": "completed"}


def test_the_runner_wakes_for_the_first_time_limit():
    """It waits half a second at most, and less where a trial's time is up earlier."""
    early, late = ended(0, 9.8), ended(0, 5)
    assert patience({1: (late, None)}, None) == 0.5
    assert patience({}, 10.0) == 0.5
    assert patience({1: (late, None)}, 10.0) == 0.5
    assert patience({1: (late, None), 2: (early, None)}, 10.0) == pytest.approx(0.2, abs=0.1)
    assert patience({1: (ended(0, 60), None)}, 10.0) == 0.01


def test_the_data_root_is_the_argument_or_the_environments(monkeypatch, tmp_path):
    """An argument counts before LRBENCH_DATA, and either becomes absolute: trials run in another folder's process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LRBENCH_DATA", raising=False)
    assert find_data_root(None) is None
    monkeypatch.setenv("LRBENCH_DATA", "theirs")
    assert find_data_root(None) == tmp_path / "theirs"
    assert find_data_root("mine") == tmp_path / "mine"
    monkeypatch.setenv("LRBENCH_DATA", "")
    assert find_data_root(None) is None


@pytest.mark.parametrize(
    "request_",
    [
        {"executor": "proces"},
        {"device": "gpu"},
        {"jobs": 0},
        {"limit": -1},
        {"time_limit_seconds": 0.0},
        {"time_limit_seconds": float("nan")},
    ],
)
def test_a_bad_request_from_python_is_refused_too(tmp_path, request_):
    """`run_study` checks its arguments itself, before it makes a folder."""
    with pytest.raises(InputError):
        run_study(read_study("quickstart"), tmp_path / "out", **request_)
    assert not (tmp_path / "out").exists()


def test_a_study_read_back_from_its_record_has_not_changed():
    """The order of the keys of a scheduler, and of those inside it, is no difference between two studies."""
    inner = {"name": "StepLR", "step_size": 2, "gamma": 0.1}
    table = {"name": "SequenceLR", "schedulers": [inner], "milestones": [], "interval": "epoch"}
    before = {"replicates": 1, "fixed": {"scheduler": table}, "grid": {}}
    read_back = json.loads(json.dumps(before, sort_keys=True))
    assert differences(before, read_back) == differences(read_back, before) == []
