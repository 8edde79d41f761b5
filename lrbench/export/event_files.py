"""The rows as TensorBoard's event files: one run a trial, with scalars over training steps and its hyperparameters.

Tags: `train/loss` and `lr/group_0`, … at each optimizer step; `train/epoch_loss`, `val/loss`, `val/accuracy` at each
epoch's end; `final/…` once. The time of an event is the trial's start and the seconds it had trained for, so the axis
"relative" is training time. The same rows give the same bytes. What this does *not* do: load torch or TensorFlow.
"""

import re
from collections import Counter
from pathlib import Path

from lrbench.export.rows import (
    ALWAYS,
    EPOCHS,
    STEPS,
    label_names,
    plain,
    read_table,
    seconds_at_epochs,
    started_seconds,
)
from lrbench.metrics import METRICS
from lrbench.record import BY_NAME

FINALS = tuple(METRICS)
HPARAMS = tuple(name for name, column in BY_NAME.items() if column.group == "asked" and not name.endswith("_name"))
_NAME = re.compile(r"[^\w.=+-]+")
_MOST_CHARACTERS = 120  # of what stands before seed and replicate in a name


def write(folder: Path, record: dict, scratch: Path, out: Path, say) -> tuple[int, list[str]]:
    """Write one event file a trial into `scratch`; return the number of trials, and notes."""
    from lrbench.export import told

    table = read_table(folder, (*EPOCHS, *STEPS))
    names = run_names(table, record)
    for row in told(plain(table), len(table), say):
        run = scratch / names[row["trial_id"]]
        run.mkdir()
        with open(run / "events.out.tfevents.0.lrbench", "wb") as file:
            _write_trial(file, row)
    return len(table), []


def run_names(table, record: dict) -> dict[str, str]:
    """Return each trial's name by its id; a scheduler stands with its arguments where its class is several arms."""
    labels = label_names(table, record)
    rows = table.select([*ALWAYS, "scheduler_name", *labels]).to_pylist()
    calls = {row["scheduler"]: row["scheduler_name"] for row in rows}
    times = Counter(calls.values())
    return {row["trial_id"]: run_name(row, labels, whole_call=times[row["scheduler_name"]] > 1) for row in rows}


def run_name(row: dict, labels: tuple[str, ...], whole_call: bool = False) -> str:
    """Return a trial's name as a folder: scheduler, levels of what varies, seed, replicate, and the start of its id.

    >>> row = {"scheduler": "StepLR(step_size=3)", "scheduler_name": "StepLR", "seed": 1, "replicate": 0}
    >>> row |= {"trial_id": "0123456789", "base_lr": 0.1, "tuning": "default and tuned"}
    >>> run_name(row, ("base_lr", "tuning"))
    'StepLR-base_lr=0.1-tuning=default_and_tuned-seed=1-replicate=0-01234567'
    >>> run_name(row, (), whole_call=True)
    'StepLR_step_size=3-seed=1-replicate=0-01234567'
    """
    levels = [f"{name}={'off' if row[name] is None else row[name]}" for name in labels]
    parts = [
        _NAME.sub("_", part).strip("_") for part in (row["scheduler" if whole_call else "scheduler_name"], *levels)
    ]
    told = "-".join(parts)[:_MOST_CHARACTERS]
    return f"{told}-seed={row['seed']}-replicate={row['replicate']}-{row['trial_id'][:8]}"


def _write_trial(file, row: dict) -> None:
    """Write one trial's events in the order of its steps."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    writer = RecordWriter(file)
    began = started_seconds(row)

    def put(step: int, seconds: float, values) -> None:
        summary = Summary(value=values)
        writer.write(Event(wall_time=began + seconds, step=step, summary=summary).SerializeToString(deterministic=True))

    def scalars(found: dict):
        return [Summary.Value(tag=tag, simple_value=value) for tag, value in found.items() if value is not None]

    writer.write(Event(wall_time=began, file_version="brain.Event:2").SerializeToString(deterministic=True))
    put(0, 0.0, [_started(row, began)])
    for step, seconds, found in points(row):
        put(step, seconds, scalars(found))
    final = {f"final/{name.removeprefix('final_')}": row[name] for name in FINALS}
    put(row["num_steps"] or 0, row["train_seconds"] or 0.0, scalars(final))
    put(0, row["total_seconds"] or 0.0, [_ended(row, began)])


def points(row: dict) -> list[tuple[int, float, dict[str, float | None]]]:
    """Return (training step, seconds on the clock, {tag: value}) of a trial, in the order of the steps.

    A trial whose GradScaler skipped steps has fewer rates than losses; its rates stand at optimizer steps.
    """
    num_steps = row["num_steps"] or 0
    each = (row["train_seconds"] or 0.0) / num_steps if num_steps else 0.0
    found: dict[int, tuple[float, dict]] = {}
    curves = {"train/loss": row["train_loss_steps"] or []}
    curves |= {f"lr/group_{number}": rates for number, rates in enumerate(row["applied_lr"] or [])}
    for tag, values in curves.items():
        for step, value in enumerate(values, 1):
            found.setdefault(step, (step * each, {}))[1][tag] = value
    per_epoch = {
        "train/epoch_loss": "train_loss_curve",
        "val/loss": "val_loss_curve",
        "val/accuracy": "val_accuracy_curve",
    }
    seconds = seconds_at_epochs(row)
    for tag, name in per_epoch.items():
        for epoch, (at, value) in enumerate(zip(seconds, row[name] or [], strict=False), 1):
            step = epoch * (row["steps_per_epoch"] or 1)
            found.setdefault(step, (at, {}))[1][tag] = value
    return [(step, *found[step]) for step in sorted(found)]


def _started(row: dict, began: float):
    """The hyperparameters, as TensorBoard's hparams plugin reads them."""
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    info = SessionStartInfo(group_name=row["trial_id"], start_time_secs=began)
    for name in HPARAMS:
        value = row[name]
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            info.hparams[name].number_value = value
        elif value is not None:
            info.hparams[name].string_value = value
    return _plugin_value(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info))


def _ended(row: dict, began: float):
    """How the trial ended, as the hparams plugin reads it."""
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    status = STATUS_SUCCESS if row["status"] == "completed" else STATUS_FAILURE
    info = SessionEndInfo(status=status, end_time_secs=began + (row["total_seconds"] or 0.0))
    return _plugin_value(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=info))


def _plugin_value(tag: str, data):
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    return Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR)
