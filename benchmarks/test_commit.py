"""A row's commit: what it costs to have a trial's row on the disk before the next trial counts on it."""

import tempfile
from pathlib import Path

import pytest

import lrbench
from lrbench.store import Writer, locked, scan

ROUNDS = 200


@pytest.fixture(scope="session")
def row():
    """A real row, nested columns and all, of one short trial."""
    study = lrbench.read_study("benchmarks").with_levels(epochs=1)
    row = lrbench.run_trial(lrbench.trials(study, "cpu")[0])
    assert row["status"] == "completed", row["error"]
    return row | {"block": 0, "position": 0, "attempt": 0, "study": "benchmarks"}


@pytest.mark.benchmark(group="commit of a row")
def test_commit(benchmark, row, request):
    """Each commit is on the disk of the results when it returns, and every one is found again."""
    beside = request.config.option.rows.parent
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix=".commits-") as folder, locked(Path(folder)):
        folder = Path(folder)
        writer = Writer(folder)
        numbers = iter(range(ROUNDS + 10))

        def another() -> tuple:
            return (row | {"trial_id": f"{next(numbers):016x}"},), {}

        benchmark.pedantic(writer.commit, setup=another, rounds=ROUNDS, warmup_rounds=5)
        journal = sum(path.stat().st_size for path in folder.glob("trials/journal-*.jsonl"))
        num_rows = len(scan(folder))
        benchmark.extra_info |= {"num_rows": num_rows, "bytes_per_row": journal // num_rows}
        writer.close()
        assert len(scan(folder)) == next(numbers)
