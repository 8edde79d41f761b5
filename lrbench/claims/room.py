"""Where claims run real trials: small studies in fresh processes, kept under DIR/studies.

What this does *not* do: decide what a study holds; the claims do.
"""

import shutil
from collections.abc import Callable
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
