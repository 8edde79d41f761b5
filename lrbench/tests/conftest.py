"""Fixtures that share what is slow to start: the process that trials are forked from, and finished studies."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lrbench.executors import Job, open_executor
from lrbench.factors import Trial
from lrbench.record import check_row
from lrbench.tests.helpers.commands import Ended, lrbench

USERS = "lrbench.tests.helpers.users"
SMALL = {"data": "digits", "train_limit": 72}  # 7 images validate, 65 train: 2 steps an epoch at batch size 32
RECIPE = {"epochs": 1, "batch_size": 32, "base_lr": 0.1, "optimizer": "SGD"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole studies last: a broken function says so in the first seconds."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def executor():
    """The process that trials are forked from, with the digits staged."""
    opened = open_executor("process", [Trial(workload={"base": "digits-cnn", "train_limit": 72})], None)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def run_ended(executor) -> Callable:
    """Run a trial of these factors in a fresh process; return the executor's account of it (row, exit, output)."""

    def run(**factors):
        trial = Trial(**{**RECIPE, **factors})
        executor.start(Job(trial=trial, cores=(), gpu=None, data_root=None, columns={}))
        for _ in range(600):
            for ended in executor.wait(0.1):
                return ended
        raise TimeoutError(f"no row after a minute: {factors}")

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


def write_study(path: Path, *, replicates: int = 1, fixed: dict | None = None, grid: dict | None = None) -> Path:
    """Write a study file, with the recipe of these tests where `fixed` and `grid` say nothing else."""

    def toml(value) -> str:
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
        if isinstance(value, list):
            return "[" + ", ".join(map(toml, value)) + "]"
        return json.dumps(value)

    grid = grid or {}
    fixed = {k: v for k, v in {**RECIPE, **(fixed or {})}.items() if k not in grid}
    lines = ['question = "Does it run?"', f"replicates = {replicates}", "[fixed]"]
    lines += [f"{k} = {toml(v)}" for k, v in fixed.items()]
    lines += ["[grid]", *(f"{k} = {toml(v)}" for k, v in grid.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def linear(**model_args) -> dict:
    """The workload table of a small linear model of `users`, sound unless `fault` says otherwise."""
    return {"model": f"{USERS}:Faulty", "model_args": model_args, **SMALL}


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> tuple[Path, Path, Ended]:
    """A study of six trials, run to its end: (its file, its results folder, how the command ended)."""
    folder = tmp_path_factory.mktemp("finished")
    study = write_study(
        folder / "six.toml",
        replicates=2,
        fixed={"workload": {"base": "digits-cnn", "train_limit": 72}},
        grid={"seed": "0-2"},
    )
    return study, folder / "results" / "six", lrbench("run", study, folder=folder)
