"""The rows as an MLflow store in one SQLite file: a run for each trial, with params, metrics and tags. No server.

What was asked is params, what was measured metrics (the curves with the epoch as step, the rest at step 0), and
everything else tags. What this does *not* do: write the losses and rates of single steps (`--to csv` and
`--to tensorboard` do), or artifacts.
"""

import logging
import math
import os
import sqlite3
import sys
import uuid
import warnings
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lrbench.errors import StoreError
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
_BY_CLIENT = 1  # runs that its client writes: they show how a run looks in this MLflow's tables
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
        cut, rows = 0, told(plain(table), len(table), say)
        with closing(sqlite3.connect(scratch / FILE)) as database:
            _unsynced(database, None)
            database.row_factory = sqlite3.Row
            model: dict = {}
            for number, row in enumerate(rows):
                run, cut = _run_of(row, names[row["trial_id"]]), cut + _num_cut(row)
                if number >= _BY_CLIENT:
                    run_id = _write_to_tables(database, model, run)
                else:
                    run_id = _write_by_client(client, experiment, run)
                    model = dict(database.execute("SELECT * FROM runs").fetchone())
            database.commit()
        if model:
            _check(client, run_id, run)
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
    """No commit need reach the disk: the file has no name of its own before it is whole."""
    connection.execute("PRAGMA synchronous = OFF")


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A trial as MLflow has it: `metrics` are (key, value, milliseconds since 1970, step)."""

    name: str
    status: str
    start_time: int
    end_time: int
    tags: dict[str, str]
    params: dict[str, str]
    metrics: list[tuple[str, float, int, int]]


def _run_of(row: dict, name: str) -> _Run:
    began = round(started_seconds(row) * 1000)
    at_end = began + round((row["train_seconds"] or 0.0) * 1000)
    metrics = [(n, float(row[n]), at_end, 0) for n in METRICS if row[n] is not None]
    seconds = seconds_at_epochs(row)
    for metric, column in _EPOCH_METRICS.items():
        curve = zip(seconds, row[column] or [], strict=False)
        metrics += [
            (metric, math.nan if value is None else value, began + round(at * 1000), epoch)
            for epoch, (at, value) in enumerate(curve, 1)
        ]
    return _Run(
        name=name,
        status="FINISHED" if row["status"] == "completed" else "FAILED",
        start_time=began,
        end_time=began + round((row["total_seconds"] or 0.0) * 1000),
        tags=_tags(row),
        params={n: str(row[n]) for n in PARAMS if row[n] is not None},
        metrics=metrics,
    )


def _write_by_client(client, experiment: str, run: _Run) -> str:
    """Write one run the way that MLflow documents, and return its id."""
    from mlflow.entities import Metric, Param

    run_id = client.create_run(experiment, start_time=run.start_time, tags=run.tags, run_name=run.name).info.run_id
    metrics, params = [Metric(*metric) for metric in run.metrics], [Param(*param) for param in run.params.items()]
    for start in range(0, max(len(metrics), 1), 500):  # a request may hold 1,000 things in all
        client.log_batch(run_id, metrics=metrics[start : start + 500], params=params if not start else [])
    client.set_terminated(run_id, run.status, end_time=run.end_time)
    return run_id


def _write_to_tables(database: sqlite3.Connection, model: dict, run: _Run) -> str:
    """Write one run into MLflow's tables, and return its id; `model` is the row of a run that the client wrote.

    The client takes about 20 ms for a run, nearly all of it in SQLAlchemy's objects; this less than one.
    """
    run_id = uuid.uuid4().hex
    row = model | {
        "run_uuid": run_id,
        "name": run.name,
        "status": run.status,
        "start_time": run.start_time,
        "end_time": run.end_time,
        "artifact_uri": model["artifact_uri"].replace(model["run_uuid"], run_id),
    }
    _insert(database, "runs", tuple(row), [tuple(row.values())])
    tags = run.tags | {"mlflow.runName": run.name}
    _insert(database, "tags", ("run_uuid", "key", "value"), [(run_id, *item) for item in tags.items()])
    _insert(database, "params", ("run_uuid", "key", "value"), [(run_id, *item) for item in run.params.items()])
    values = [(run_id, key, *_stored(value), at, step) for key, value, at, step in run.metrics]
    latest = {key: each for each in sorted(values, key=lambda v: (v[5], v[4], v[2])) for key in [each[1]]}
    for table, rows in (("metrics", values), ("latest_metrics", list(latest.values()))):
        _insert(database, table, ("run_uuid", "key", "value", "is_nan", "timestamp", "step"), rows)
    return run_id


def _insert(database: sqlite3.Connection, table: str, columns: tuple[str, ...], rows: list[tuple]) -> None:
    names, places = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
    database.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({places})', rows)


def _stored(value: float) -> tuple[float, bool]:
    """Return (value, is_nan) as MLflow stores it: its tables hold no NaN and no infinity."""
    if math.isnan(value):
        return 0.0, True
    return min(max(value, -sys.float_info.max), sys.float_info.max), False


def _check(client, run_id: str, run: _Run) -> None:
    """Raise StoreError where MLflow does not read back the run that was written into its tables."""
    found = client.get_run(run_id)
    last = {key: value for key, value, *_ in sorted(run.metrics, key=lambda metric: metric[3])}
    same = {key: _stored(value)[0] for key, value in last.items() if not math.isnan(value)}
    read = {key: value for key, value in found.data.metrics.items() if not math.isnan(value)}
    if (read, found.data.params, found.data.tags, found.info.status, found.info.end_time) != (
        same,
        run.params,
        run.tags | {"mlflow.runName": run.name},
        run.status,
        run.end_time,
    ):
        raise StoreError(
            "The installed mlflow has other tables than this was written for, and reads other values back: nothing is "
            'exported. Install one that is known to fit: pip install "lrbench[mlflow]"'
        )


def _tags(row: dict) -> dict[str, str]:
    """Everything that is neither param nor metric, as texts; one that is too long ends in …."""
    return {name: _cut(str(row[name])) for name in TAGS if row[name] is not None}


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


def _num_cut(row: dict) -> int:
    return sum(len(str(row[name])) > MOST_CHARACTERS for name in TAGS if row[name] is not None)
