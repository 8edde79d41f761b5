"""The rows as an MLflow store in one SQLite file: a run for each trial, with params, metrics and tags. No server.

What was asked is params, what was measured metrics (the curves with the epoch as step, the rest at step 0), and
everything else tags. What this does *not* do: write the losses and rates of single steps (`--to csv` and
`--to tensorboard` do), or artifacts.
"""

import logging
import math
import os
import warnings
from contextlib import contextmanager
from pathlib import Path

from lrbench.export.event_files import run_names
from lrbench.export.rows import EPOCHS, plain, read_table, seconds_at_epochs, started_seconds
from lrbench.record import BY_NAME

FILE = "mlflow.db"
PARAMS = tuple(name for name, column in BY_NAME.items() if column.group == "asked")
METRICS = tuple(
    name
    for name, column in BY_NAME.items()
    if column.group in ("time", "resources", "quality", "repeats") and not column.nested
)
TAGS = tuple(name for name, c in BY_NAME.items() if not c.nested and name not in (*PARAMS, *METRICS))
MOST_CHARACTERS = 5_000  # of a tag's value
_EPOCH_METRICS = {"train_loss": "train_loss_curve", "val_loss": "val_loss_curve", "val_accuracy": "val_accuracy_curve"}


def write(folder: Path, record: dict, scratch: Path, out: Path, say) -> tuple[int, list[str]]:
    """Write the store into `scratch`; return the number of trials, and notes."""
    from lrbench.export import told

    table, study = read_table(folder, EPOCHS), record["study"]
    names = run_names(table, record)
    with _client(scratch / FILE) as client:
        experiment = client.create_experiment(
            study["name"],
            artifact_location=(out / "artifacts").as_uri(),
            tags={"mlflow.note.content": study["question"]},
        )
        rows = told(plain(table), len(table), say)
        cut = sum(_write_trial(client, experiment, row, names[row["trial_id"]]) for row in rows)
    notes = ["left out: losses and rates of single steps, and arrays; --to csv has them"]
    if cut:
        notes.append(f"{cut:,} tags were longer than {MOST_CHARACTERS:,} characters and end in … (--to csv has all)")
    return len(table), notes


@contextmanager
def _client(path: Path):
    """A client on a new SQLite file that says nothing to anybody: no usage report, no log lines."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when mlflow is imported
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mlflow's own use of sqlalchemy and pydantic
        from mlflow.tracking import MlflowClient
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        logging.getLogger("alembic").setLevel(logging.WARNING)
        event.listen(Engine, "connect", _unsynced)
        try:
            client = MlflowClient(tracking_uri=f"sqlite:///{path}")
            client.search_experiments(max_results=1)  # makes the tables
            yield client
            client._tracking_client.store.engine.dispose()  # closes the file; there is no public way
        finally:
            event.remove(Engine, "connect", _unsynced)


def _unsynced(connection, record) -> None:
    """Three commits a trial need not each reach the disk: the file has no name of its own before it is whole."""
    connection.execute("PRAGMA synchronous = OFF")


def _write_trial(client, experiment: str, row: dict, name: str) -> int:
    """Write one run; return how many of its tags had to be cut."""
    from mlflow.entities import Metric, Param

    began = round(started_seconds(row) * 1000)
    tags, cut = _tags(row)
    run = client.create_run(experiment, start_time=began, tags=tags, run_name=name).info.run_id
    at_end = began + round((row["train_seconds"] or 0.0) * 1000)
    metrics = [Metric(n, float(row[n]), at_end, 0) for n in METRICS if row[n] is not None]
    seconds = seconds_at_epochs(row)
    for metric, column in _EPOCH_METRICS.items():
        curve = zip(seconds, row[column] or [], strict=False)
        metrics += [
            Metric(metric, math.nan if value is None else value, began + round(at * 1000), epoch)
            for epoch, (at, value) in enumerate(curve, 1)
        ]
    params = [Param(n, str(row[n])) for n in PARAMS if row[n] is not None]
    for start in range(0, max(len(metrics), 1), 500):  # a request may hold 1,000 things in all
        client.log_batch(run, metrics=metrics[start : start + 500], params=params if not start else [])
    status = "FINISHED" if row["status"] == "completed" else "FAILED"
    client.set_terminated(run, status, end_time=began + round((row["total_seconds"] or 0.0) * 1000))
    return cut


def _tags(row: dict) -> tuple[dict[str, str], int]:
    """Everything that is neither param nor metric, as texts, and how many of them had to be cut."""
    texts = {name: str(row[name]) for name in TAGS if row[name] is not None}
    long = [name for name, text in texts.items() if len(text) > MOST_CHARACTERS]
    return texts | {name: texts[name][: MOST_CHARACTERS - 1] + "…" for name in long}, len(long)
