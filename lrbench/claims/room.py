"""Where claims run real trials: small studies in fresh processes, kept under DIR/studies.

What this does *not* do: decide what a study holds; the claims do.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lrbench
from lrbench.progress import SilentReporter
from lrbench.record import NAMES
from lrbench.study import Study, parse_study


class StudyRoom:
    """Runs studies under `folder` on `device`. A study of an earlier run is replaced: evidence is of this torch."""

    def __init__(self, folder: Path, device: str):
        self.folder = folder
        self.device = device
        self._studies: dict[str, tuple[Study, str]] = {}
        self._seen: dict[Callable, object] = {}

    def study(self, name: str, *, fixed: dict, grid: dict, replicates: int = 1, **run):
        """Run a study to its end and return its rows as a pandas.DataFrame; see lrbench.run_study for `run`."""
        document = {"question": f"claims: {name}?", "replicates": replicates, "fixed": fixed, "grid": grid}
        self._studies[name] = (parse_study(document, name, source=name), run.pop("device", self.device))
        out = self.folder / name
        if (out / "study.json").exists():
            shutil.rmtree(out)
        return self._run(name, **run)

    def go_on(self, name: str, **run):
        """Run the failed trials of a study again, each from its last checkpoint, and return all its rows."""
        return self._run(name, retry=True, **run)

    def checkpoint(self, name: str, trial_id: str) -> Path:
        """Return the file in which a trial of a study leaves its state."""
        return self.folder / name / "checkpoints" / f"{trial_id}.pt"

    def fresh(self, function: str, calls: list[dict], environment: dict[str, str] | None = None) -> list:
        """Return what "module:attr" returned for each call's arguments, each asked in a new Python process.

        Arguments and answers are JSON; `environment` is added to that of the process, before Python starts. On a CPU
        as many processes run at once as there are cores; on CUDA one after the other, each with the GPU to itself.
        Raises RuntimeError with the end of what was printed where a process fails.
        """
        at_once = 1 if self.device.startswith("cuda") else len(os.sched_getaffinity(0))
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda arguments: _ask(function, arguments, environment or {}), calls))

    def once(self, question: Callable[["StudyRoom"], object]) -> object:
        """Return question(self), asked no more than once in this room."""
        if question not in self._seen:
            self._seen[question] = question(self)
        return self._seen[question]

    def _run(self, name: str, **run):
        study, device = self._studies[name]
        out = self.folder / name
        summary = lrbench.run_study(study, out, device=device, reporter=SilentReporter(), **run)
        if summary.interrupted:  # half a study is no evidence
            raise KeyboardInterrupt
        return lrbench.load(out, columns=NAMES)


def _ask(function: str, arguments: dict, environment: dict[str, str]) -> object:
    asked = json.dumps({"function": function, "arguments": arguments})
    command = [sys.executable, "-m", "lrbench.claims.fresh"]
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
    done = subprocess.run(
        command,
        input=asked,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{function}({arguments}) ended with {done.returncode}: {done.stderr[-1500:].strip()}")
    return json.loads(done.stdout.splitlines()[-1])
