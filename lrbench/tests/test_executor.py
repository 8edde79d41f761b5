"""Processes for trials: fresh ones, ended when they have to, and what they leave behind."""

import os
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from lrbench.errors import InputError
from lrbench.executors import Job, open_executor
from lrbench.executors.process import ProcessExecutor
from lrbench.executors.stage_file import StageFile, look, stage_file
from lrbench.factors import Trial
from lrbench.tests.helpers.commands import wait_until
from lrbench.tests.helpers.studies import DIGITS, RECIPE, SMALL, USERS, linear


def job(workload, cores: tuple[int, ...] = ()) -> Job:
    return Job(trial=Trial(**RECIPE, workload=workload), cores=cores, gpu=None, data_root=None, columns={})


def end_of(executor, running):
    """Wait until this job has ended, and return it."""
    return wait_until("a trial's end", lambda: next((e for e in executor.wait(0.1) if e is running), None))


def process_of(executor, running) -> int:
    """The job's process id, once the executor knows it."""

    def known():
        assert not executor.wait(0.02)
        return running.private["pid"]

    return wait_until("a trial's process", known)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_every_trial_has_a_fresh_process(run):
    """No CUDA was touched before a trial, and nothing that one trial's code did is there for the next."""
    for _ in range(2):
        assert run(workload={"model": f"{USERS}:Pristine", **SMALL})["status"] == "completed"


@pytest.mark.parametrize(
    ("fault", "exit_code", "words"),
    [
        ("exit", 7, ""),
        ("print_and_exit", 7, "the user printed this\nand this to stderr"),
        ("segfault", -signal.SIGSEGV, "Fatal Python error: Segmentation fault"),
        ("kill", -signal.SIGKILL, ""),
        ("orphan", 0, ""),
    ],
)
def test_a_process_that_dies_is_told_by_its_exit(run_ended, fault, exit_code, words):
    """However a trial's process goes, the executor says how, with what it printed, and runs the next one."""
    ended = run_ended(workload=linear(fault=fault))
    assert ended.row is None
    assert ended.exit == exit_code
    assert words in ended.output
    assert ended.stage == "train"
    assert run_ended(workload=linear()).row["status"] == "completed"


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ("raise", "crashed", "ValueError: the user's own words"),
        ("system_exit", "crashed", "SystemExit: 3"),
        ("surrogate", "crashed", "a file called \\udcff"),
        ("nan", "diverged", "no longer finite in epoch 1 of 1"),
        ("memory", "out_of_memory", "can't allocate memory"),
        ("memory_error", "out_of_memory", "MemoryError"),
    ],
)
def test_what_the_users_code_raises_is_the_trials_row(run_ended, fault, status, words):
    """An exception, a loss that is not finite and memory that is not there are rows with their own status."""
    ended = run_ended(workload=linear(fault=fault))
    assert ended.exit == 0
    assert ended.row["status"] == status
    assert words in ended.row["error"]
    assert ended.row["stage"] == "train"


def test_a_traceback_leads_to_the_users_line(run_ended):
    """The error of a crashed trial holds the traceback, down to the user's own file."""
    error = run_ended(workload=linear(fault="raise")).row["error"]
    assert error.startswith("Traceback (most recent call last)")
    assert "helpers/users.py" in error


def test_of_long_output_the_end_is_kept(run_ended):
    """A trial that prints a hundred thousand letters keeps the last two thousand."""
    ended = run_ended(workload=linear(fault="chatter"))
    assert ended.row["status"] == "crashed"
    assert 1_000 < len(ended.output) <= 2_000


def test_the_stage_of_a_running_trial_is_known(executor):
    """How far a trial is can be seen while it runs, and nothing of it is left when it has ended."""
    running = executor.start(job(linear(fault="sleep")))
    wait_until("its training", lambda: not executor.wait(0.02) and running.stage == "train")
    executor.kill(running)
    assert end_of(executor, running).stage == "train"
    assert not stage_file(running.private["log"]).exists()


def test_a_stage_file_holds_what_was_written_last(tmp_path):
    """A shorter stage covers a longer one whole; before the first there is nothing, and on a full disk nothing more."""
    path = stage_file(tmp_path / "trial-1.log")
    assert look(path) is None
    file = StageFile(path)
    assert look(path) is None
    file.write("evaluate", 1.0)
    file.write("data", 0.25)
    assert look(path) == ("data", 0.25)
    StageFile(Path("/dev/full")).write("train", 0.5)


def test_a_trial_is_pinned_to_its_cores(executor):
    """A trial runs on the cores that its job names, and says so in its row."""
    core = sorted(os.sched_getaffinity(0))[-1]
    ended = end_of(executor, executor.start(job(DIGITS, cores=(core,))))
    assert ended.row["cores"] == str(core)


def test_a_killed_trial_ends_at_once(executor):
    """`kill` ends a trial in the middle of its work; killing it twice is no harm."""
    running = executor.start(job(linear(fault="sleep")))
    pid = process_of(executor, running)
    executor.kill(running)
    executor.kill(running)
    ended = end_of(executor, running)
    assert ended.exit == -signal.SIGKILL
    assert not is_alive(pid)


def test_a_trial_can_be_killed_before_its_process_is_known(executor):
    """A trial that is killed right after its start never finishes."""
    running = executor.start(job(linear(fault="sleep")))
    executor.kill(running)
    assert end_of(executor, running).exit == -signal.SIGKILL


def test_killing_a_trial_that_has_just_ended_is_no_error(executor):
    """Between a trial's end and the news of it, a time limit may strike: the row counts."""
    running = executor.start(job(DIGITS))
    pid = process_of(executor, running)
    end = time.monotonic() + 60
    while running.private["receiver"] is not None and time.monotonic() < end:
        executor._receive(running)  # its messages, as `wait` would take them, but not the news of its end
    wait_until("the process to be reaped", lambda: not os.path.exists(f"/proc/{pid}"))
    executor.kill(running)
    assert end_of(executor, running).row["status"] == "completed"


@pytest.mark.parametrize("ending", ["by itself", "killed"])
def test_what_a_trial_started_ends_with_it(executor, ending, tmp_path):
    """A process that the user's code forked is ended with its trial, and holds nobody up meanwhile."""
    path = tmp_path / "child"
    workload = {"model": f"{USERS}:Parent", "model_args": {"path": str(path), "wait": ending == "killed"}, **SMALL}
    running = executor.start(job(workload))
    if ending == "killed":
        wait_until("the user's process", lambda: not executor.wait(0.02) and path.exists())
        executor.kill(running)
    ended = end_of(executor, running)
    assert ending == "killed" or ended.row["status"] == "completed", ended.row["error"]
    child = int(path.read_text())
    wait_until("the end of the user's process", lambda: not is_alive(child), seconds=10)


def test_a_daemon_of_the_users_holds_nobody_up(run_ended):
    """A process that left its trial's group cannot be ended with it; the trial's end is told at once all the same."""
    began = time.monotonic()
    assert run_ended(workload=linear(fault="daemon")).exit == 0
    assert time.monotonic() - began < 5


def test_the_check_reports_every_problem_at_once(executor):
    """What only torch and the user's code can tell is asked before anything trains, for all trials together."""
    trials = [
        Trial(**RECIPE, workload=DIGITS, scheduler={"name": "LambdaLR", "lr_lambda": f"{USERS}:halv"}),
        Trial(**RECIPE, workload=DIGITS, scheduler={"name": "LambdaLR", "lr_lambda": f"{USERS}:refuse"}),
        Trial(**{**RECIPE, "optimizer": "Muon"}, workload=DIGITS),
        Trial(**{**RECIPE, "batch_size": 1000}, workload=DIGITS),
        Trial(**RECIPE, workload={"model": "no_such_module_here:net", **SMALL}),
        Trial(**RECIPE, workload={"model": f"{USERS}:Fautly", **SMALL}),
        Trial(**RECIPE, workload=linear(faults="none")),
        Trial(**RECIPE, workload={"model": f"{USERS}:gives_up", **SMALL}),
        *(
            Trial(**RECIPE, workload={"model": f"{USERS}:Bias", "groups": f"{USERS}:lazy_groups", **SMALL}, seed=seed)
            for seed in (0, 1)
        ),
        Trial(**RECIPE, workload={"base": "digits-cnn", "data": "imagefolder:/no/such/folder"}),
        Trial(**RECIPE, workload=DIGITS),
    ]
    problems = executor.check(trials, None)
    wanted = [
        "Did you mean 'halve'?",
        "this schedule knows no steps",
        "Muon",
        "batch_size: 1000 is more than the 65 training images",
        "no_such_module_here",
        "Did you mean 'Faulty'?",
        "faults",
        "SystemExit: I give up",
        "/no/such/folder",
    ]
    assert len(problems) == len(wanted), problems
    for words in wanted:
        assert sum(words in problem for problem in problems) == 1, words


def test_a_check_that_dies_says_so(executor):
    """Code that kills the process at its very construction is a problem of the study, not a hanging run."""
    (problem,) = executor.check([Trial(**RECIPE, workload={"model": f"{USERS}:dies_when_built", **SMALL})], None)
    assert "the check of this study was ended by SIGSEGV (signal 11)" in problem
    assert "Fatal Python error: Segmentation fault" in problem
    assert "dies_when_built" in problem
    assert "Extension modules" not in problem
    assert len(problem.splitlines()) == 1


def test_a_check_that_leaves_says_with_which_code(tmp_path, monkeypatch):
    """A model that ends the process without a word is told by its exit code, one that spoke by its last lines too."""
    (tmp_path / "leaves.py").write_text(
        "import os, sys\ndef net(num_classes, say=''):\n    print(say, file=sys.stderr, flush=True)\n    os._exit(3)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for words in ("", "the user's last words"):
        with closing(open_executor("process", [], None)) as own:
            workload = {"model": "leaves:net", "model_args": {"say": words}, **SMALL}
            (problem,) = own.check([Trial(**RECIPE, workload=workload)], None)
        assert problem.startswith(
            "the check of this study left with exit code 3 at the model of workload leaves:net on"
        )
        assert words in problem


@pytest.mark.parametrize("num_frames", [0, 5, 100])
def test_a_long_dump_keeps_what_happened(tmp_path, num_frames):
    """However long the paths and the stack of a dying process are, its reason and its last words are kept."""
    frame = f'  File "{"folder/" * 15}file.py", line 1 in f\n'
    log = tmp_path / "log"
    log.write_text("before\n" * 500 + "Fatal Python error: Aborted\n\n" + frame * num_frames + "the last words\n")
    kept = ProcessExecutor._tail(log)
    assert kept.count("Fatal Python error: Aborted") == 1
    assert kept.endswith("the last words")
    assert len(kept) < 2_100


def test_an_unknown_executor_is_refused():
    """A name that is none of the executors is an error, also from Python."""
    with pytest.raises(InputError, match="Did you mean 'process'"):
        open_executor("proces", [], None)


@pytest.mark.parametrize("name", ["process", "inline"])
def test_what_the_users_code_raises_in_the_check_has_its_place(tmp_path, monkeypatch, capsys, name):
    """A model that raises when it is built is told with its file and line; inline prints the whole traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "raises_f.py").write_text("def net(num_classes):\n    raise RuntimeError('my net is broken')\n")
    with closing(open_executor(name, [], None)) as own:
        (problem,) = own.check([Trial(**RECIPE, workload={"model": "raises_f:net", **SMALL})], None)
    assert "RuntimeError: my net is broken (at raises_f.py:2 in net" in problem
    assert ("--executor inline" in problem) == (name == "process")
    assert ("Traceback (most recent call last)" in capsys.readouterr().err) == (name == "inline")
