"""Fixtures that share what is slow to start: the process that trials are forked from, and finished studies."""

import gc
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lrbench.executors import Job, open_executor
from lrbench.factors import Trial
from lrbench.record import check_row
from lrbench.tests.helpers.commands import Ended, lrbench, wait_until
from lrbench.tests.helpers.nets import NETS
from lrbench.tests.helpers.studies import DIGITS, RECIPE, write_study


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole studies last: a broken function says so in the first seconds."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def pytest_collection_finish() -> None:
    """What is loaded stays: the collector need not look through torch and thousands of tests again and again."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_unconfigure() -> None:
    """Libraries that count their objects at the end (triton's) find none that nobody collected."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def executor():
    """The process that trials are forked from, with the digits staged."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONUNBUFFERED", raising=False)  # what is printed has to arrive without it
        opened = open_executor("process", [Trial(workload=DIGITS)], None)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def run_ended(executor) -> Callable:
    """Run a trial of these factors in a fresh process; return the executor's account of it (row, exit, output)."""

    def run(**factors):
        trial = Trial(**{**RECIPE, **factors})
        started = executor.start(Job(trial=trial, cores=(), gpu=None, data_root=None, columns={}))
        return wait_until("a trial's end", lambda: next((e for e in executor.wait(0.1) if e is started), None))

    return run


@pytest.fixture(scope="session")
def run(run_ended) -> Callable:
    """Run a trial of these factors in a fresh process; return its row, every column there."""

    def completed(**factors) -> dict:
        ended = run_ended(**factors)
        assert ended.row is not None, ended.output
        row = check_row(ended.row)
        assert row["status"] == "completed", row["error"]
        return row

    return completed


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> tuple[Path, Path, Ended]:
    """A study of six trials, run to its end: (its file, its results folder, how the command ended)."""
    folder = tmp_path_factory.mktemp("finished")
    study = write_study(
        folder / "six.toml",
        replicates=2,
        fixed={"workload": DIGITS},
        grid={"seed": "0-2"},
    )
    return study, folder / "results" / "six", lrbench("run", study, folder=folder)


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A folder that a user stands in, with nets.py in it."""
    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("nets", None)
