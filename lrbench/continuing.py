"""What a results folder holds already: what is left to do, and whether its rows may stand beside new ones. No torch.

What this does *not* do: run what is left (`lrbench.runner`).
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from lrbench.changes import differences
from lrbench.errors import InputError
from lrbench.factors import Trial
from lrbench.looks import looks_caveat, looks_differ
from lrbench.place import place
from lrbench.record import SCHEMA_VERSION
from lrbench.stages import Stages
from lrbench.store import read_study_record, write_study_record
from lrbench.study import Study
from lrbench.typed import remembered
from lrbench.user_code import changed, digests


def left_to_do(plan: list[tuple[int, Trial]], seen: dict[str, tuple[str, int]], retry: bool) -> list:
    """Return [(block, position, attempt, trial)] of the trials without a row, in planned order."""
    todo = []
    for position, (block, trial) in enumerate(plan):
        status, attempt = seen.get(trial.trial_id, (None, -1))
        if status is None or (retry and status != "completed"):
            todo.append((block, position, attempt + 1, trial))
    return todo


def rows_stay(seen: dict[str, tuple[str, int]], retry: bool) -> bool:
    """Tell whether rows of earlier runs stay: all do, but for failed ones that are run again."""
    return any(status == "completed" or not retry for status, _ in seen.values())


def agree_with_folder(
    folder: Path, study: Study, trials: list[Trial], mixed: bool, stay: bool
) -> tuple[dict, list[str]]:
    """Return the record that the folder is to have, and how the study in it differs from this one, in words.

    `trials` are those that the study is known to have. Looks that are changed while rows `stay` are kept as they were
    first declared, as `first_until`: what was chosen after data were seen does not keep the error rate.
    Raises InputError where the folder is another study's; and, unless `mixed`, where it was begun at another place, or
    with other code of the user's and its rows stay.
    """
    here = place()
    places = [here]
    code = digests(trials)
    known: dict[str, list[str]] = {}
    changes: list[str] = []
    first: dict = {}
    if (folder / "study.json").exists():
        record = read_study_record(folder)
        name = record["study"].get("name")
        if name != study.name:
            raise InputError(
                f"{folder} holds the study {name!r}, not {study.name!r}. "
                f"Name another folder: --out results/{study.name}"
            )
        places = record["places"]
        if here not in places:
            known = places[-1] if places else here
            differs = [f"{key} was {known.get(key)!r}, is {here[key]!r}" for key in here if here[key] != known.get(key)]
            if differs and not mixed:
                raise InputError(
                    f"{folder} was begun elsewhere: {'; '.join(differs)}. Its rows would not be comparable. "
                    "Name another folder with --out, or type --mixed to put both into one"
                )
            places = [*places, here]
        changes = differences(record["study"], study.model_dump(mode="json"))
        declared = record.get("first_until", record["study"].get("until"))
        now = study.model_dump(mode="json")["until"]
        first = {"first_until": declared} if stay and looks_differ(declared, now) else {}
        known = record.get("code", {}) if stay else {}
        if (files := changed(known, code)) and not mixed:
            verb = "has" if len(files) == 1 else "have"
            raise InputError(
                f"{', '.join(files)} {verb} changed since {folder} was begun: its rows are of the old code, and would "
                "not be comparable. Name another folder with --out, or type --mixed to put both into one"
            )
    record = {
        "schema_version": SCHEMA_VERSION,
        "study": study.model_dump(mode="json"),
        **remembered(study),
        **first,
        "places": places,
        "num_trials": len(trials),
        "code": {
            **known,
            **{name: list(dict.fromkeys([*known.get(name, []), now["sha256"]])) for name, now in code.items()},
        },
    }
    return record, changes


@dataclass(kw_only=True)
class Course:
    """What is left of a study, stage by stage, as the folder's rows and what this run has tried tell."""

    stages: Stages
    folder: Path
    record: dict
    retry: bool
    limit: int | None
    seen: dict[str, tuple[str, int]]
    tried: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.stages.caveat = looks_caveat(self.record)

    def go_on(self) -> tuple[list[tuple], list[str]]:
        """Return what is to run next, as `left_to_do` does, and what was decided on the way, in words."""
        done = {trial_id for trial_id in self.seen if not self._again(trial_id)}
        if self.stages.several and done and not (self.folder / "study.json").exists():
            self.write_record()  # it was deleted, and without it no rows are read
        decided: list[str] = []
        while lines := self.stages.advance(done):
            decided += lines
        left = left_to_do(self.stages.plan, self.seen, self.retry)
        left = [item for item in left if item[3].trial_id not in self.tried] if self.tried else left
        return left[: self._room()], decided

    def _again(self, trial_id: str) -> bool:
        """Whether a trial that has a row is still to run again."""
        return self.retry and trial_id not in self.tried and self.seen[trial_id][0] != "completed"

    def _room(self) -> int | None:
        return None if self.limit is None else self.limit - len(self.tried)

    def num_left(self) -> int:
        """How many trials this run still has before it, as far as is known."""
        left = sum(t.trial_id not in self.seen or self._again(t.trial_id) for t in self.stages.certain)
        return left if self.limit is None else min(left, self._room())

    def statuses(self) -> Counter:
        """How the study's own trials that have a row ended."""
        known = {trial.trial_id for trial in self.stages.certain}
        return Counter(status for trial_id, (status, _) in self.seen.items() if trial_id in known)

    def num_others(self) -> int:
        """How many rows of the folder the study has no use for, whatever its rows may lead to."""
        known = {trial.trial_id for trial in self.stages.certain}
        others = self.seen.keys() - known
        return len(others - self.stages.later()) if others else 0

    def write_record(self) -> None:
        decided = {"num_trials": len(self.stages.certain), **self.stages.record()}
        write_study_record(self.folder, self.record | decided)
