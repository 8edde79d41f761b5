"""What a run says while it goes on, and when it ends."""

import io
from pathlib import Path

import pytest

from lrbench import progress
from lrbench.changes import differences
from lrbench.progress import PlainReporter, Tally, duration, plan_lines, result_line, summary_lines
from lrbench.record import PRINTED
from lrbench.runner import Summary
from lrbench.study import parse_study
from lrbench.tests.helpers.rows import make_row

STUDY = parse_study(
    {"question": "Why?", "replicates": 2, "fixed": {"workload": "digits-cnn"}, "grid": {"seed": "0-4"}}, "s", source="s"
)


ONE = parse_study({"question": "Why?", "fixed": {"workload": "digits-cnn"}}, "s", source="s")


class Devices:
    """What the runner says of its devices."""

    def __init__(self, jobs: int = 2, capacity: int = 2):
        self.jobs, self.capacity, self.packed = jobs, capacity, jobs > capacity


def plan(
    done: dict[str, int],
    num_todo: int,
    devices: Devices | None = None,
    num_others: int = 0,
    changes: tuple[str, ...] = (),
) -> list[str]:
    return plan_lines(STUDY, Path("results/s"), 10, done, num_todo, num_others, devices or Devices(), [*changes])


def test_a_plan_says_what_there_is_to_do():
    """The question, the grid with its size, the folder, and how many run at once."""
    assert plan({}, 10) == [
        "Why?",
        "10 trials (5 seeds × 2 replicates) → results/s",
        "up to 2 at a time, each alone on its device",
    ]


def test_a_study_that_looks_has_up_to_so_many_seeds():
    """Its looks decide how many of the 4 seeds run: none but the first two, where it ends there."""
    study = parse_study(
        {
            "question": "Why?",
            "fixed": {"workload": "digits-cnn"},
            "grid": {"seed": "0-3", "scheduler": ["ConstantLR(1.0)", "StepLR(2)"]},
            "until": {"looks": [2, 4]},
        },
        "s",
        source="s",
    )
    line = plan_lines(study, Path("d"), 4, {"completed": 4}, 0, 0, Devices(), [])[1]
    assert line == "4 trials (up to 4 seeds × 2 schedulers × 1 replicate) → d"


def test_a_plan_says_what_is_done_already():
    """Finished trials are counted, failed ones with how to run them again, and what --limit leaves for later."""
    lines = plan({"completed": 3, "crashed": 2}, 1)
    assert "5 have a row already, 2 of them failed; --retry runs those again" in lines
    assert "1 to run now (--limit); 4 stay for later" in lines


def test_a_plan_says_what_else_is_in_the_folder():
    """Rows of an earlier version of the study are named, with what changed in it where that is known."""
    assert "4 rows of the folder are not part of it: trials of an earlier study, or of another device" in plan(
        {}, 10, num_others=4
    )
    told = plan({}, 10, num_others=55, changes=("seed was 0-7, is 0-1",))
    assert "the study changed: seed was 0-7, is 0-1; 55 rows of the folder are not part of it" in told
    assert "the study changed: epochs was 5, is 2" in plan({}, 10, changes=("epochs was 5, is 2",))


def test_one_of_anything_is_told_as_one():
    """One trial, one row, one failure: the words agree with the number."""
    lines = plan_lines(ONE, Path("d"), 1, {"crashed": 1}, 0, 1, Devices(), ["epochs was 5, is 2"])
    assert lines[1:] == [
        "1 trial (1 replicate) → d",
        "the study changed: epochs was 5, is 2; 1 row of the folder is not part of it",
        "1 has a row already, of a failure; --retry runs it again",
    ]
    flag = parse_study(
        {"question": "?", "fixed": {"workload": "digits-cnn"}, "grid": {"cudnn_benchmark": [True, False]}},
        "s",
        source="",
    )
    assert "(2 levels of cudnn_benchmark × 1 replicate)" in plan_lines(flag, Path("d"), 2, {}, 2, 0, Devices(), [])[1]
    ended = Summary(folder=Path("d"), num_trials=1, num_rows=1, statuses={"completed": 1}, interrupted=False)
    assert summary_lines(ended) == ["1 of 1 trial has a row: 1 completed"]


STEPS = [{"name": "StepLR", "interval": "epoch", "step_size": n} for n in range(1, 9)]


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({}, {}, []),
        ({"grid": {"seed": [0, 1, 2]}}, {"grid": {"seed": [2, 1, 0]}}, []),
        ({"grid": {"seed": [3]}}, {"fixed": {"seed": 3}}, []),
        ({"grid": {"seed": [*range(8)]}}, {"grid": {"seed": [0, 1]}}, ["seed was 0-7, is 0-1"]),
        ({"fixed": {"epochs": 5}}, {"fixed": {"epochs": 2}}, ["epochs was 5, is 2"]),
        ({"fixed": {"epochs": 5}}, {}, ["epochs was 5, is not given"]),
        ({"replicates": 2}, {"replicates": 3}, ["replicates was 2, is 3"]),
        (
            {"grid": {"scheduler": STEPS[:7]}},
            {"grid": {"scheduler": STEPS[1:]}},
            [
                "scheduler lost StepLR(interval=epoch, step_size=1) and has got StepLR(interval=epoch, step_size=8)",
            ],
        ),
    ],
)
def test_a_change_of_a_study_is_told_factor_by_factor(before, now, words):
    """What was and what is; long lists by what they lost and gained; the same levels in another place are no change."""
    empty = {"replicates": 1, "fixed": {}, "grid": {}}
    assert differences({**empty, **before}, {**empty, **now, "replicates": now.get("replicates", 1)}) == words


TUNE = {"seeds": [10], "base_lr": [0.2], "budget": 0, "metric": "final_val_accuracy", "arguments": {}, "arms": [1]}
COMPARE = {"factor": "scheduler", "baseline": None, "metric": "final_accuracy", "margin": "1 seed SD", "family": "main"}


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({"compare": [COMPARE]}, {"compare": [dict(reversed(COMPARE.items()))]}, []),
        ({}, {"compare": [COMPARE]}, ["[[compare]] has got final_accuracy by scheduler"]),
        ({"compare": [COMPARE]}, {"compare": []}, ["[[compare]] lost final_accuracy by scheduler"]),
        (
            {"compare": [COMPARE]},
            {"compare": [{**COMPARE, "margin": 0.01}]},
            ["[[compare]] margin was 1 seed SD, is 0.01"],
        ),
        ({"tune": None}, {"tune": None}, []),
        ({}, {"tune": TUNE}, ["[tune] was not given, is there"]),
        ({"tune": TUNE}, {"tune": None}, ["[tune] was there, is not given"]),
        ({"tune": TUNE}, {"tune": {**TUNE, "arms": [2]}}, []),  # arms follow from the rest, and are told by it
        ({"tune": TUNE}, {"tune": {**TUNE, "seeds": [10, 11, 12]}}, ["[tune] seeds was 10, is 10-12"]),
        (
            {"until": {"looks": [5, 10], "spending": "pocock"}},
            {"until": {"looks": [4, 10], "spending": "pocock"}},
            ["[until] looks was 5,10, is 4,10"],
        ),
    ],
)
def test_questions_that_change_after_rows_are_there_are_told(before, now, words):
    """A question, a choice or a look that is not what it was when the folder was begun is named with both."""
    empty = {"replicates": 1, "fixed": {}, "grid": {}}
    assert differences({**empty, **before}, {**empty, **now}) == words


def test_a_plan_that_may_grow_says_so():
    """A study that tunes names its selection seeds; trials that later stages may add make the number a least one."""
    tuned = parse_study(
        {
            "question": "Why?",
            "fixed": {"workload": "digits-cnn"},
            "grid": {"seed": "0-4"},
            "tune": {"seeds": "10-11", "base_lr": [0.2]},
        },
        "s",
        source="s",
    )
    lines = plan_lines(tuned, Path("d"), 9, {}, 9, 0, Devices(1, 1), [], may_grow=True)
    assert lines[1] == "at least 9 trials (5 seeds × 1 replicate, as written and tuned; 2 selection seeds) → d"
    lines = plan_lines(tuned, Path("d"), 14, {}, 14, 0, Devices(1, 1), [], may_grow=False)
    assert lines[1].startswith("14 trials (")


def test_another_stage_goes_on_counting():
    """When a stage adds trials the count goes on from those finished, and the time left is of all that are left."""
    stream = io.StringIO()
    reporter = PlainReporter(stream)
    told = {"done": {}, "num_others": 0, "devices": Devices(1, 1), "changes": [], "may_grow": True}
    reporter.planned(study=STUDY, folder=Path("d"), num_trials=1, num_todo=1, **told)
    reporter.running()
    reporter.finished(make_row(3))
    reporter.grown(2)
    reporter.running()
    reporter.finished(make_row(4))
    lines = [line.split()[0] for line in stream.getvalue().splitlines() if "accuracy" in line]
    assert lines == ["1/1", "2/3"]


def test_a_plan_says_that_trials_share_their_device():
    """More jobs than devices are said to be no measurement of speed."""
    assert "4 at a time share 2 devices: rows of those that do are marked packed, not for speed" in plan(
        {}, 10, Devices(4)
    )


def test_one_job_at_a_time_needs_no_words():
    """With one job and nothing done there are only the question and the plan."""
    assert len(plan({}, 10, Devices(1, 1))) == 2


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"final_accuracy": 0.98765, "samples_per_second": 12345.6},
            "accuracy 0.9877  12,346 images/s  ConstantLR(factor=1.0), seed 3, replicate 0",
        ),
        (
            {"final_accuracy": 0.5, "samples_per_second": None, "cudnn_benchmark": True},
            "accuracy 0.5000  ConstantLR(factor=1.0), seed 3, replicate 0, cudnn_benchmark",
        ),
        (
            {"status": "diverged", "error": "the loss was no longer finite in epoch 1 of 2"},
            "DIVERGED  ConstantLR(factor=1.0), seed 3, replicate 0  the loss was no longer finite in epoch 1 of 2",
        ),
        (
            {"status": "crashed", "error": "Traceback (most recent call last):\n  File x\nValueError: no\n  more\n"},
            "CRASHED  ConstantLR(factor=1.0), seed 3, replicate 0  ValueError: no",
        ),
        (
            {"status": "crashed", "error": f"Traceback:\n  File x\nValueError: no{PRINTED}the user's last words\n"},
            "CRASHED  ConstantLR(factor=1.0), seed 3, replicate 0  ValueError: no",
        ),
        (
            {"status": "crashed", "error": f"the process was ended by SIGSEGV (signal 11){PRINTED}Fatal Python error"},
            "CRASHED  ConstantLR(factor=1.0), seed 3, replicate 0  the process was ended by SIGSEGV (signal 11)",
        ),
        ({"status": "timed_out", "error": None}, "TIMED_OUT  ConstantLR(factor=1.0), seed 3, replicate 0  "),
    ],
)
def test_a_result_is_one_line(changes, line):
    """A trial that completed shows what it reached, one that failed the reason, not what the user's code printed."""
    assert result_line(make_row(3, **changes)) == line


def test_a_result_tells_what_varies():
    """Of the factors that a study varies the line tells each, those it always tells only once."""
    line = result_line(make_row(3, epochs=7), varied=("seed", "epochs", "scheduler"))
    assert line.endswith("ConstantLR(factor=1.0), seed 3, replicate 0, epochs=7")


def test_a_long_reason_is_cut():
    """An error of a thousand letters does not flood the terminal."""
    assert len(result_line(make_row(0, status="crashed", error="x" * 1000))) < 250


def test_a_resumed_trial_says_where_it_went_on():
    """Its speed is of two processes, and so not given; the step from which it went on is."""
    line = result_line(make_row(3, num_resumes=1, resumed_at_step=1_400, samples_per_second=None))
    assert "  (went on from step 1,400)  " in line
    assert "images/s" not in line


def summary(interrupted: bool = False, **statuses: int) -> Summary:
    return Summary(
        folder=Path("d"), num_trials=5, num_rows=sum(statuses.values()), statuses=statuses, interrupted=interrupted
    )


@pytest.mark.parametrize(
    ("ended", "code", "lines"),
    [
        (summary(completed=5), 0, ["5 of 5 trials have a row: 5 completed"]),
        (
            summary(completed=2),
            0,
            ["2 of 5 trials have a row: 2 completed", "the same command without --limit runs the rest"],
        ),
        (summary(), 0, ["0 of 5 trials have a row: none", "the same command without --limit runs the rest"]),
        (
            summary(completed=3, crashed=1, diverged=1),
            1,
            [
                "5 of 5 trials have a row: 3 completed, 1 crashed, 1 diverged",
                'lrbench show d lists the failures (whole: column error of lrbench.load("d")); --retry runs them again',
            ],
        ),
        (
            summary(interrupted=True, completed=1),
            130,
            [
                "1 of 5 trials have a row: 1 completed",
                "interrupted; every finished trial is kept. The same command goes on from here",
            ],
        ),
    ],
)
def test_the_end_says_what_to_type_next(ended, code, lines):
    """Counts by status, how to go on, where failures are listed; and the exit code that belongs to it."""
    assert summary_lines(ended) == lines
    assert ended.exit_code == code


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (60, "1 min 0 s"),
        (3599.4, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (360_000, "100 h 0 min"),
    ],
)
def test_a_duration_is_for_people(seconds, text):
    """Seconds below a minute, minutes below an hour, hours from there on."""
    assert duration(seconds) == text


def test_the_time_left_follows_the_trials_of_this_run(monkeypatch):
    """After 2 of 10 trials in 6 seconds, 24 seconds are left; before the first there is no estimate."""
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    tally = Tally({"completed": 90}, 10)
    assert tally.seconds_left() is None
    now = 106.0
    tally.add(make_row(0))
    tally.add(make_row(1, status="crashed"))
    assert tally.seconds_left() == 24.0
    assert tally.statuses == {"completed": 91, "crashed": 1}


def test_plain_lines_count_up():
    """Elsewhere than on a terminal each trial is one line, numbered, with no control characters."""
    stream = io.StringIO()
    reporter = PlainReporter(stream)
    reporter.planned(
        study=STUDY, folder=Path("d"), num_trials=10, done={}, num_todo=2, num_others=0, devices=Devices(), changes=[]
    )
    reporter.running()
    reporter.finished(make_row(0))
    reporter.finished(make_row(1, status="crashed", error="boom"))
    last = stream.getvalue().splitlines()[-2:]
    assert last[0].startswith("   1/2  accuracy 0.0000")
    assert last[1].startswith("   2/2  CRASHED")
    assert "\x1b" not in stream.getvalue()
