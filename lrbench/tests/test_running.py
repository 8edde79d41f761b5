"""When rows are written: the loop over trials against an executor that follows a script."""

import pytest

import lrbench
from lrbench import running
from lrbench.executors import Job, Running
from lrbench.progress import SilentReporter
from lrbench.record import PRINTED, trial_columns
from lrbench.store import scan
from lrbench.study import parse_study
from lrbench.tests.helpers.studies import DIGITS, RECIPE


class Script:
    """An executor whose one trial has a row at the first look, and has gone at the second; it keeps what lay on the
    disk at each."""

    def __init__(self, folder, status: str):
        self.folder, self.status, self.on_disk = folder, status, []

    def check(self, trials, data_root):
        return []

    def start(self, job: Job) -> Running:
        self.job = Running(job=job, started=0.0)
        return self.job

    def wait(self, timeout_seconds: float) -> list[Running]:
        self.on_disk.append(list(scan(self.folder).values()))
        if self.job.row is None:
            self.job.row = {**trial_columns(self.job.job.trial), **self.job.job.columns, "status": self.status}
            return []
        self.job.exit, self.job.output = 0, "the last words"
        return [self.job]

    def kill(self, running: Running) -> None:
        raise AssertionError("nothing was to be killed")

    def close(self) -> None:
        self.on_disk.append(list(scan(self.folder).values()))


@pytest.mark.parametrize(
    ("status", "while_it_leaves", "error"),
    [("completed", [("completed", 0)], ""), ("crashed", [], f"{PRINTED}the last words")],
)
def test_a_row_is_on_the_disk_while_its_process_still_leaves(monkeypatch, tmp_path, status, while_it_leaves, error):
    """A completed trial's row waits for nothing; a failed one's for all that its process printed."""
    script = Script(tmp_path / "out", status)
    monkeypatch.setattr(running, "open_executor", lambda *_, **__: script)
    document = {"question": "When?", "fixed": {**RECIPE, "workload": DIGITS}, "grid": {"seed": [0]}}
    study = parse_study(document, "when", source="")
    summary = lrbench.run_study(study, tmp_path / "out", reporter=SilentReporter())
    assert script.on_disk == [[], while_it_leaves, [(status, 0)]]
    assert summary.statuses == {status: 1}
    rows = lrbench.load(tmp_path / "out")
    assert rows["error"].fillna("").tolist() == [error]
