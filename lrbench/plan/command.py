"""`lrbench plan STUDY`: what a study will take and what it will be able to see, before anything trains.

Time and scatter come from rows of like trials in the study's folder and its neighbours; a pilot runs a few short trials
now. What this does *not* do: write anything, or say what rows mean (`analysis.plan` knows what they can tell).
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrbench import nvml
from lrbench.devices import Devices
from lrbench.errors import InputError, device_meant
from lrbench.factors import Problems, check_level
from lrbench.own_folder import default_folder
from lrbench.place import cpu_model, default_device
from lrbench.plan.cost import START_SECONDS, Cost, cost_of, like, pilot_trials, reckoned, run_pilot, was_cut
from lrbench.plan.shape import Shape, shape_of
from lrbench.stages import Stages
from lrbench.study import Study, read_study
from lrbench.typed import typed

if TYPE_CHECKING:
    from analysis.plan import Sight

Say = Callable[[str], None]
# what a row may have otherwise than the study and still tell of its scatter; each is named
_MAY_DIFFER = ("epochs", "base_lr", "optimizer", "warmup", "clip_grad_norm", "clip_grad_value")


@dataclass(frozen=True, kw_only=True)
class Pilot:
    """What trials that were run for the plan alone have cost, what starting took, and those that failed, with why."""

    num_trials: int = 0
    seconds: float = 0.0
    start_seconds: float = START_SECONDS
    failed: tuple[str, ...] = ()
    cut: tuple[tuple[int, int], ...] = ()  # of the trials that were ended before their epoch: steps run, steps it has


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that is known of a study beforehand.

    `elsewhere` names the machine where the rows ran that the time is from, if it is not this one; `num_done` trials of
    the study, of every stage that its rows have led to, have a row already, `num_failed` of them did not complete, and
    `finished` says that none is to come.
    """

    study: Study
    folder: Path
    device: str
    shape: Shape
    cost: Cost
    sights: list["Sight"]
    blind_spots: list[str]
    num_done: int = 0
    num_failed: int = 0
    finished: bool = False
    elsewhere: str = ""
    notes: tuple[str, ...] = ()
    pilot: Pilot = Pilot()

    @property
    def no_gpu(self) -> bool:
        """Whether it is planned for a GPU on a machine that has none."""
        return any(trial.device.startswith("cuda") for trial in self.shape.conditions) and not nvml.visible_gpus()


def plan(
    study: str | Path,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    pilot: int = 0,
    levels: dict[str, Any] | None = None,
    as_json: bool = False,
    data_root: str | Path | None = None,
) -> int:
    """Print what a study will take and what it will be able to see; return 0, or 1 where a trial of the pilot failed.

    `out` is the results folder that it is meant for (default: results/NAME), `pilot` how many short trials to run now.
    Raises InputError with every mistake in the study, before anything runs.
    """
    made = make_plan(study, out=out, device=device, pilot=pilot, levels=levels, data_root=data_root)
    if as_json:
        from lrbench.plan.printed import as_plain

        print(json.dumps(as_plain(made), indent=2))
    else:
        from lrbench.plan.printed import print_plan

        print_plan(made, again=typed(str(study), levels or {}, out, device))
    return 1 if made.pilot.failed else 0


def make_plan(
    study: str | Path | Study,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    pilot: int = 0,
    levels: dict[str, Any] | None = None,
    data_root: str | Path | None = None,
) -> Plan:
    """Return all that is known of a study beforehand; see `plan`."""
    if pilot < 0:
        raise InputError(f"--pilot found {pilot}; allowed: a whole number from 0 on")
    try:
        check_level("device", device)
    except Problems:
        allowed = f"allowed: auto, cpu, cuda or cuda:N.{device_meant(device)}"
        raise InputError(f"--device found {device!r}; {allowed}") from None
    chosen = study if isinstance(study, Study) else read_study(study)
    if levels:
        chosen = chosen.with_levels(**levels)
    folder = Path(out if out is not None else default_folder(chosen))
    device = default_device() if device == "auto" else device
    shape = shape_of(chosen, device)
    stored, notes = _stored(folder, shape)
    ran = Pilot()
    pilot_rows = None
    if pilot:
        pilot_rows, ran = _run_pilot(shape, pilot, data_root)
    timed, elsewhere = _rows_for_time(stored, pilot_rows, device)

    from analysis.plan import blind_spots, sights

    nearest = {name: _nearest(rows, shape) for name, rows in stored}
    differ = {name: _differences(name, rows, shape) for name, rows in nearest.items()}
    order = sorted(nearest, key=lambda name: (name != str(folder), len(differ[name]), -nearest[name]["seed"].nunique()))
    distances = {name: len(said) for name, said in differ.items()}
    sees = sights(chosen, [(name, nearest[name]) for name in order], device, distances)
    notes += [said for name in dict.fromkeys(s.scatter.folder for s in sees if s.known) for said in differ[name]]
    num_done, num_failed, finished = _done(folder, chosen, device)
    return Plan(
        study=chosen,
        folder=folder,
        device=device,
        shape=shape,
        cost=cost_of(shape, timed, _jobs(shape), ran.start_seconds),
        sights=sees,
        blind_spots=blind_spots(chosen, sees, inert=all(trial.device == "cpu" for trial in shape.conditions)),
        num_done=num_done,
        num_failed=num_failed,
        finished=finished,
        elsewhere=elsewhere,
        notes=tuple(notes),
        pilot=ran,
    )


def _jobs(shape: Shape) -> int:
    """Return how many trials run at once, as `lrbench run` does it here; one where the GPU is elsewhere."""
    if any(trial.device.startswith("cuda") for trial in shape.conditions) and not nvml.visible_gpus():
        return 1
    return Devices(shape.conditions, None).capacity


# --------------------------------------------------------------------------------------------------------- stored rows


def _stored(folder: Path, shape: Shape) -> tuple[list[tuple[str, Any]], list[str]]:
    """Return the rows of like trials, [(folder, rows)], the study's own folder first, and what could not be read."""
    from lrbench.store import load

    neighbours = sorted(path.parent for path in Path("results").glob("*/study.json"))
    found, notes = [], []
    for path in dict.fromkeys([folder, *neighbours]):
        if not (path / "study.json").is_file() or (path != folder and path.resolve() == folder.resolve()):
            continue
        try:
            rows = like(load(path), shape.conditions)
        except InputError as error:
            own = path.resolve() == folder.resolve()
            notes.append(f"left out: {error if own else f'{path}, whose rows cannot be read'}")
            continue
        if len(rows):
            found.append((str(path), rows.assign(folder=str(path))))
    return found, notes


def _nearest(rows, shape: Shape):
    """Return the rows (a pandas.DataFrame) that train as the study's trials do, or all where none does."""
    labels = [trial.labels() for trial in shape.conditions]
    nearest = rows
    for name in _MAY_DIFFER:
        wanted = {None if label[name] == "off" else label[name] for label in labels}
        texts = nearest[name].astype(object)
        same = nearest[[(None if value != value else value) in wanted for value in texts.where(texts != "off")]]
        nearest = same if len(same) else nearest
    return nearest


def _differences(name: str, rows, shape: Shape) -> list[str]:
    """Say in what these rows, which tell of the scatter, train otherwise than the study's trials."""
    said = []
    for factor in _MAY_DIFFER:
        wanted = {str(trial.labels()[factor]) for trial in shape.conditions}
        there = {str(value) for value in rows[factor].astype(object).where(rows[factor].notna(), "None").unique()}
        if not there & wanted:
            what = f"{factor} {', '.join(sorted(there))} there, {', '.join(sorted(wanted))} here"
            said.append(f"The scatter is that of other trainings ({name}: {what}): yours may scatter more or less.")
    return said


def _rows_for_time(stored, pilot_rows, device: str) -> tuple[Any, str]:
    """Return the rows to take the time from, and where they ran if not here: a pilot's, else this machine's."""
    import pandas as pd

    from lrbench.record import FLAT

    if pilot_rows is not None:
        return pilot_rows, ""
    if not stored:
        return pd.DataFrame(columns=[*FLAT, "kind", "folder"]), ""
    rows = pd.concat([rows.astype({"folder": object}) for _, rows in stored], ignore_index=True)
    rows = rows[rows["packed"] != True]  # noqa: E712 (null is not True)
    gpus = [gpu["name"] for gpu in nvml.visible_gpus()]
    column, here = ("gpu_name", gpus) if device.startswith("cuda") else ("cpu_model", [cpu_model()])
    ours = rows[rows[column].isin(here)]
    if len(ours) or rows.empty:
        return ours, ""
    return rows, ", ".join(sorted(str(name) for name in rows[column].dropna().unique()))


def _done(folder: Path, study: Study, device: str) -> tuple[int, int, bool]:
    """Return how many trials of the study have a row in its folder, how many failed, and whether none is to come."""
    if not (folder / "study.json").is_file():
        return 0, 0, False
    from lrbench.store import load, scan

    seen = scan(folder)
    stages = Stages(study, device, partial(load, folder))
    while seen and stages.advance(seen):
        pass
    statuses = [seen[trial.trial_id][0] for trial in stages.certain if trial.trial_id in seen]
    return len(statuses), sum(status != "completed" for status in statuses), stages.ended


# --------------------------------------------------------------------------------------------------------------- pilot


def _run_pilot(shape: Shape, num_trials: int, data_root) -> tuple[Any, Pilot]:
    import pandas as pd

    from lrbench.record import FLAT

    began = time.monotonic()
    rows, start_seconds = run_pilot(pilot_trials(shape, num_trials), data_root, _say)
    failed = tuple(
        f"{row['status']}: {str(row.get('error') or 'no reason was left behind').strip().splitlines()[-1]}"
        for row in rows
        if row["status"] != "completed"
    )
    seconds = time.monotonic() - began
    cut = tuple((row["num_steps"], row["steps_per_epoch"]) for row in rows if was_cut(row))
    rows = [reckoned(row) if was_cut(row) else row for row in rows]
    ran = Pilot(num_trials=len(rows), seconds=seconds, start_seconds=start_seconds, failed=failed, cut=cut)
    table = pd.DataFrame([{name: row.get(name) for name in FLAT} for row in rows], columns=FLAT)
    return like(table, shape.conditions).assign(folder="the pilot"), ran


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
