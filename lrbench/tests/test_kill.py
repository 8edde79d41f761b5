"""Whole studies that are cut off: killed, interrupted, beside another runner, on a full disk."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lrbench
from lrbench.store import scan
from lrbench.tests.helpers.commands import Terminal, environment, finish, marked, start, wait_until
from lrbench.tests.helpers.commands import lrbench as command
from lrbench.tests.helpers.studies import SMALL, USERS, write_study

pytestmark = pytest.mark.slow

NUM_TRIALS = 48  # more than five runs of a second can finish, on any machine
SLOW = {"model": f"{USERS}:Slow", "model_args": {"seconds": 0.1}, **SMALL}


@pytest.fixture
def begin(tmp_path):
    """Start `lrbench ARGUMENTS` and leave it running; the test's folder is its mark, and its end at the latest."""
    processes = []

    def start_one(*arguments, mark: str = "") -> subprocess.Popen:
        processes.append(start(*arguments, folder=tmp_path, LRBENCH_TEST_MARK=tmp_path.name + mark))
        return processes[-1]

    yield start_one
    for process in processes:
        if process.poll() is None:  # only after a test that failed
            process.kill()
            process.communicate()


@pytest.fixture
def study(tmp_path) -> Path:
    """Eighteen trials of a quarter of a second."""
    return write_study(tmp_path / "study.toml", fixed={"workload": SLOW}, grid={"seed": f"0-{NUM_TRIALS - 1}"})


def wait_for_a_result(process: subprocess.Popen) -> None:
    """Read a run's lines until a trial has finished."""
    for line in process.stderr:
        if "accuracy" in line:
            return
    raise AssertionError("the run ended before a trial did")


def check_what_is_left(folder: Path, mark: str) -> set[str]:
    """Nothing runs any more, and the folder reads right: return the trials that have a row."""
    wait_until("all processes of the run to end", lambda: not marked(mark), seconds=15)
    if not (folder / "study.json").exists():
        return set()
    seen = scan(folder)
    rows = lrbench.load(folder)
    assert set(rows["trial_id"]) == set(seen)
    assert rows["trial_id"].is_unique
    assert set(rows["status"]) <= {"completed"}
    return set(seen)


def test_a_study_killed_again_and_again_completes(study, begin, run, tmp_path):
    """Five runs killed by signal 9, at random moments from the first import on: the sixth completes the study.

    After each no process is left, the folder reads, and no finished trial is lost. In the end every trial has run to
    its end exactly once, with the bits that it has by itself.
    """
    moments = random.Random(5)
    folder = tmp_path / "results" / "study"
    seen: set[str] = set()
    kept = []
    for number in range(5):
        process = begin("run", study, mark=f"-{number}")
        if number not in (0, 3):
            wait_for_a_result(process)
            time.sleep(moments.random() * 0.8)
        else:
            time.sleep(moments.random() * 3)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        found = check_what_is_left(folder, f"{tmp_path.name}-{number}")
        assert seen <= found
        seen = found
        kept.append(len(seen))
    assert 0 < kept[-1] < NUM_TRIALS, kept
    ended = command("run", study, folder=tmp_path)
    assert ended.code == 0, ended.err
    assert f"{len(seen)} {'has' if len(seen) == 1 else 'have'} a row already" in ended.err
    rows = lrbench.load(folder)
    assert rows["position"].tolist() == list(range(NUM_TRIALS))
    assert set(rows["status"]) == {"completed"}
    assert set(rows["attempt"]) == {0}
    for seed in (0, NUM_TRIALS - 1):
        assert rows["weights_sha256"][seed] == run(workload=SLOW, seed=seed)["weights_sha256"]


@pytest.mark.parametrize("moment", ["loading", "running"])
def test_ctrl_c_on_a_terminal_stops_cleanly(study, tmp_path, moment):
    """Ctrl-C ends the trials in flight: exit code 130, how to go on, the cursor back, and nothing left running."""
    with Terminal("run", study, folder=tmp_path, LRBENCH_TEST_MARK=tmp_path.name) as terminal:
        terminal.read_until("loading torch" if moment == "loading" else rf"(?<!\d)[3-9]/{NUM_TRIALS}")
        terminal.type("\x03")
        assert terminal.finish() == 130, terminal.seen
    assert "interrupted; every finished trial is kept. The same command goes on from here" in terminal.seen
    assert "Traceback" not in terminal.seen
    assert "\x1b[?25h" in terminal.seen[terminal.seen.rindex("\x1b[?25l") :]  # the cursor is shown again
    found = check_what_is_left(tmp_path / "results" / "study", tmp_path.name)
    assert len(found) >= 3 if moment == "running" else not found


LOST = """
import os, signal, sys, weakref
from lrbench import cli, running

class Thing:
    pass

def interrupted(_):
    os.kill(os.getpid(), signal.SIGINT)
    sum(range(10))  # Python looks for signals between two instructions: here, where what is raised is forgotten

def common_columns(folder, original=running.common_columns):
    thing = Thing()
    reference = weakref.ref(thing, interrupted)
    del thing
    return original(folder)

running.common_columns = common_columns
sys.argv = ["lrbench", "run", sys.argv[1]]
cli.main()
"""


def test_ctrl_c_that_python_forgets_is_none_the_less_heard(study, tmp_path):
    """Where Ctrl-C comes in a callback, which Python prints and forgets, the run still ends before anything trains."""
    command = [sys.executable, "-c", LOST, str(study)]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert "Exception ignored in: <function interrupted" in done.stderr
    assert done.returncode == 130
    assert "interrupted; every finished trial is kept. The same command goes on from here" in done.stderr
    assert not (tmp_path / "results" / "study" / "study.json").exists()


def test_impatient_ctrl_c_leaves_at_once(study, begin, tmp_path):
    """The second Ctrl-C does not wait for the first: exit code 130, a line, and nothing left running."""
    process = begin("run", study)
    wait_for_a_result(process)
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    ended = finish(process)
    assert ended.code == 130
    assert ended.err.endswith(("interrupted again: left at once\n", "The same command goes on from here\n"))
    assert "Traceback" not in ended.err
    assert check_what_is_left(tmp_path / "results" / "study", tmp_path.name)


def test_a_second_runner_is_refused_and_sigterm_ends_the_first(study, begin, tmp_path):
    """On one folder the second run, or compaction, ends with 2 and names the first, which goes on.

    SIGTERM, which a batch system or a shutdown sends, then ends that one as Ctrl-C does.
    """
    folder = tmp_path / "results" / "study"
    first = begin("run", study)
    wait_for_a_result(first)
    second = command("run", study, folder=tmp_path)
    assert (second.code, second.out) == (2, "")
    said = rf"error: results/study is being written by another runner \(process {first.pid} .*\n"
    assert re.fullmatch(said, second.err), second.err
    assert command("compact", folder, folder=tmp_path).code == 2
    assert first.poll() is None
    first.terminate()
    ended = finish(first)
    assert ended.code == 130
    assert "interrupted; every finished trial is kept. The same command goes on from here" in ended.err
    assert "Traceback" not in ended.err
    assert check_what_is_left(folder, tmp_path.name)
    assert command("compact", folder, folder=tmp_path).code == 0  # the lock is free


def test_a_run_whose_helper_dies_says_so(study, begin, tmp_path):
    """When the process that trials are forked from is killed, the run ends with 1 and one error, not with a hang."""
    run = begin("run", study)
    wait_for_a_result(run)
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in marked(tmp_path.name)}
    zygote = min(pid for pid, line in commands.items() if b"lrbench.executors.zygote" in line)
    os.kill(zygote, signal.SIGKILL)
    ended = finish(run)
    assert ended.code == 1
    errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "was ended by signal 9; finished trials are kept" in errors[0]
    assert "Traceback" not in ended.err
    assert check_what_is_left(tmp_path / "results" / "study", tmp_path.name)


def test_a_full_disk_is_one_clear_error_and_the_run_goes_on_later(tmp_path):
    """A run on a full disk ends with 1 and one error; with room again the same command completes, nothing lost."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mounting a small tmpfs needs root: {mounted.stderr.strip()}")
    try:
        workload = {"model": f"{USERS}:Faulty", **SMALL}
        study = write_study(tmp_path / "study.toml", fixed={"workload": workload}, grid={"seed": "0-7"})
        (disk / "ballast").write_bytes(bytes(340_000))
        full = command("run", study, "--out", disk / "out", folder=tmp_path)
        assert full.code == 1
        (error,) = [line for line in full.err.splitlines() if line.startswith("error: ")]
        assert "cannot be written: No space left on device. Every row committed before is safe there" in error
        assert "Traceback" not in full.err
        committed = scan(disk / "out")
        assert 0 < len(committed) < 8
        still = command("run", study, "--out", disk / "out", folder=tmp_path)
        assert still.code == 1
        assert "No space left on device" in still.err
        assert "Traceback" not in still.err
        (disk / "ballast").unlink()
        ended = command("run", study, "--out", disk / "out", folder=tmp_path)
        assert ended.code == 0, ended.err
        assert f"{len(committed)} {'has' if len(committed) == 1 else 'have'} a row already" in ended.err
        assert len(scan(disk / "out")) == 8
    finally:
        subprocess.run(["umount", disk], check=True)
