"""An export holds what the rows hold, as CSV files, TensorBoard events or an MLflow store."""

import json
import math
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from csv import DictReader
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.tests.simulate import Truth, simulate_stages, study_of, write_study
from lrbench.export import NEEDS, export, installed, mlflow_runs
from lrbench.record import BY_NAME, FLAT, NESTED, arrow_schema
from lrbench.store import load, read_study_record, write_study_record
from lrbench.tests.helpers.export_parts import SCHEDULERS, digests

NUM_TRIALS, NUM_EPOCHS, NUM_STEPS = 12, 4, 80  # 2 schedulers x 3 seeds x 2 replicates, one of them diverged


RUN_TABLES = ("tags", "params", "metrics", "latest_metrics")


def needs(to: str):
    missing = [name for name in NEEDS[to] if not installed(name)]
    return pytest.mark.skipif(bool(missing), reason=f'{", ".join(missing)} not installed: pip install "lrbench[{to}]"')


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A study with one failed trial, written through the store."""
    made = study_of(grid={"seed": "0-2", "scheduler": SCHEDULERS})
    return write_study(tmp_path_factory.mktemp("study") / "s", made, Truth(failures={5: "diverged"}))


@pytest.fixture(scope="module")
def csv(study, tmp_path_factory) -> Path:
    return export(study, "csv", tmp_path_factory.mktemp("csv") / "out").folder


def test_the_flat_file_is_the_rows(study, csv):
    """trials.csv read by pandas is lrbench.load's table: every flat column, equal values, nulls empty."""
    import pandas as pd

    texts = {name: str for name in FLAT if BY_NAME[name].type == "string"}
    found, rows = pd.read_csv(csv / "trials.csv", dtype=texts), load(study)
    assert list(found.columns) == FLAT
    assert len(found) == NUM_TRIALS
    for name in FLAT:
        here, there = found[name], rows[name].astype(object)
        assert list(here.isna()) == list(there.isna()), name
        assert [x for x in here.astype(object) if x == x] == [x for x in there if x == x and x is not None], name
    assert b",," in (csv / "trials.csv").read_bytes()


@pytest.mark.parametrize(
    ("name", "column", "heading", "place", "num_rows"),
    [
        ("curves.csv", "val_accuracy_curve", "val_accuracy", "epoch", 11 * NUM_EPOCHS),
        ("curves.csv", "train_loss_curve", "train_loss", "epoch", 11 * NUM_EPOCHS),
        ("steps.csv", "train_loss_steps", "train_loss", "step", 11 * NUM_STEPS),
    ],
)
def test_a_curve_in_long_form_is_the_list(study, csv, name, column, heading, place, num_rows):
    """The lists of all trials, one under the other, each value at its place from 1; a failed trial has none."""
    import pandas as pd

    found = pd.read_csv(csv / name)
    assert len(found) == num_rows
    rows = load(study, ["trial_id", "scheduler", "seed", "replicate", column])
    for row in rows[rows[column].notna()].itertuples():
        part = found[found["trial_id"] == row.trial_id]
        assert part[heading].tolist() == pytest.approx(getattr(row, column).tolist(), rel=1e-7)
        assert part[place].tolist() == list(range(1, len(part) + 1))
        assert set(part["scheduler"]) == {row.scheduler}
        assert (set(part["seed"]), set(part["replicate"])) == ({row.seed}, {row.replicate})


def test_the_rates_stand_by_group_and_step(study, csv):
    """applied_lr.csv has a row for each parameter group and optimizer step, the value bit for bit."""
    with open(csv / "applied_lr.csv", encoding="utf-8", newline="") as file:
        found = list(DictReader(file))
    assert len(found) == 11 * NUM_STEPS
    rows = load(study, ["trial_id", "applied_lr"])
    for row in rows[rows["applied_lr"].notna()].itertuples():
        part = [line for line in found if line["trial_id"] == row.trial_id]
        assert [float(line["lr"]) for line in part] == row.applied_lr[0].tolist()
        assert {line["group"] for line in part} == {"0"}
        assert [int(line["optimizer_step"]) for line in part] == list(range(1, NUM_STEPS + 1))


def test_lists_of_other_lengths_stay_in_their_rows():
    """Two groups of rates, a curve that an old row lacks, a list that ends early: each value keeps its place."""
    from lrbench.export.csv_files import LONG, long_table

    keys = {"scheduler": "S", "seed": 0, "replicate": 0}
    rows = [
        {"trial_id": "a", "applied_lr": [[1.0, 2.0], [3.0, 4.0]], "val_loss_curve": [0.5, 0.4], **keys},
        {"trial_id": "b", **keys},
        {"trial_id": "c", "applied_lr": [[5.0]], "val_loss_curve": [0.1], "train_seconds_curve": [7.0, 8.0], **keys},
    ]
    batch = pa.Table.from_pylist(rows, schema=arrow_schema())
    files = {long.name: long_table(batch, long).to_pylist() for long in LONG}
    rates = [(r["trial_id"], r["group"], r["optimizer_step"], r["lr"]) for r in files["applied_lr.csv"]]
    assert rates == [("a", 0, 1, 1.0), ("a", 0, 2, 2.0), ("a", 1, 1, 3.0), ("a", 1, 2, 4.0), ("c", 0, 1, 5.0)]
    curves = [(r["trial_id"], r["epoch"], r["val_loss"], r["train_seconds"]) for r in files["curves.csv"]]
    assert curves == [("a", 1, 0.5, None), ("a", 2, 0.4, None), ("c", 1, 0.1, 7.0), ("c", 2, None, 8.0)]
    assert files["digests.csv"] == []


@pytest.fixture(scope="module")
def alike(tmp_path_factory) -> Path:
    """A tuned study with two arms of one class: its rows share scheduler names, seeds and replicates."""
    schedulers = [{"name": "ConstantLR", "factor": 1.0}, {"name": "ConstantLR", "factor": 1.0, "total_iters": 2}]
    tune = {"seeds": "1000-1001", "base_lr": [0.05, 0.1]}
    made = study_of(grid={"seed": "0-1", "scheduler": schedulers}, replicates=1, tune=tune)
    rows, record = simulate_stages(made, Truth())
    folder = tmp_path_factory.mktemp("alike") / "s"
    (folder / "trials").mkdir(parents=True)
    table = pa.Table.from_pandas(rows, schema=arrow_schema(), preserve_index=False)
    pq.write_table(table, folder / "trials" / "part-000000-000000.parquet")
    write_study_record(folder, record)
    return folder


def test_every_row_in_long_form_names_its_trial(alike, tmp_path):
    """Base rate and tuning stand beside scheduler, seed and replicate: without its id no trial is taken for another."""
    import pandas as pd

    found = pd.read_csv(export(alike, "csv", tmp_path / "out").folder / "curves.csv")
    labels = ["scheduler", "seed", "replicate", "base_lr", "tuning"]
    assert list(found.columns[:6]) == ["trial_id", *labels]
    assert found.duplicated(["scheduler", "seed", "replicate", "epoch"]).any()
    assert not found.duplicated([*labels, "epoch"]).any()
    assert {"selection", "default"} <= set(found["tuning"])


def test_a_runs_name_says_every_factor_that_varies(alike):
    """Names without their ids are all different: arguments of a class with two arms, base rate and tuning are said."""
    from lrbench.export.event_files import run_names
    from lrbench.export.rows import read_table

    names = run_names(read_table(alike, ()), read_study_record(alike))
    told = [name.rpartition("-")[0] for name in names.values()]
    assert len(set(told)) == len(load(alike))
    assert "ConstantLR_factor=1.0_total_iters=2-base_lr=0.05-tuning=selection-seed=1001-replicate=0" in told


def test_every_list_is_in_a_file_or_named_as_left_out(study, tmp_path):
    """No nested column is lost in silence: it stands in a file in long form, or among what the command says it left."""
    from lrbench.export.csv_files import LONG

    held = {name for long in LONG for name in (*long.columns, long.at)}
    (note,) = export(study, "csv", tmp_path / "out").notes
    assert {name for name in NESTED if name not in held} == {"predictions", "probe_logits", "weights_sample"}
    assert all(name in note for name in NESTED if name not in held)


@needs("tensorboard")
def test_tensorboard_reads_what_the_rows_hold(study, tmp_path):
    """TensorBoard's own reader finds a run a trial, with each curve at its steps, final values, time and parameters."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    out = export(study, "tensorboard", tmp_path / "out").folder
    runs = sorted(path for path in out.iterdir() if path.is_dir())
    rows = load(study, [*FLAT, "train_loss_steps", "val_accuracy_curve", "applied_lr"])
    assert len(runs) == NUM_TRIALS
    for row in rows.itertuples():
        (run,) = [path for path in runs if path.name.endswith(row.trial_id[:8])]
        assert run.name.startswith(f"{row.scheduler_name}-seed={row.seed}-replicate={row.replicate}-")
        read = EventAccumulator(str(run), size_guidance={"scalars": 0})
        read.Reload()
        plugin = read.SummaryMetadata("_hparams_/session_end_info").plugin_data.content
        ended = plugin_data_pb2.HParamsPluginData.FromString(plugin).session_end_info
        assert ended.status == (1 if row.status == "completed" else 2)
        plugin = read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        asked = plugin_data_pb2.HParamsPluginData.FromString(plugin).session_start_info.hparams
        assert asked["scheduler"].string_value == row.scheduler
        assert asked["seed"].number_value == row.seed
        assert asked["cudnn_benchmark"].bool_value is False
        if row.status != "completed":
            assert read.Tags()["scalars"] == []
            continue
        rates = read.Scalars("lr/group_0")
        assert [event.step for event in rates] == list(range(1, NUM_STEPS + 1))
        assert [event.value for event in rates] == pytest.approx(row.applied_lr[0].tolist(), rel=1e-6)
        assert rates[-1].wall_time - read.FirstEventTimestamp() == pytest.approx(row.train_seconds, abs=1e-6)
        accuracy = read.Scalars("val/accuracy")
        assert [event.step for event in accuracy] == [20, 40, 60, 80]
        assert [event.value for event in accuracy] == pytest.approx(row.val_accuracy_curve.tolist(), rel=1e-6)
        assert len(read.Scalars("train/loss")) == NUM_STEPS
        assert read.Scalars("final/accuracy")[0].value == pytest.approx(row.final_accuracy, rel=1e-6)


@needs("tensorboard")
def test_the_same_rows_give_the_same_event_files(study, tmp_path):
    """Two exports of one study are equal to the byte: no time, host or random name of the export is in them."""
    one, two = (digests(export(study, "tensorboard", tmp_path / name).folder) for name in ("a", "b"))
    assert one == two


# no connection may leave the machine while this runs
OFFLINE = """
import socket, sys
def refuse(self, address):
    if self.family != socket.AF_UNIX:
        raise AssertionError(f"asked the network for {address}")
socket.socket.connect = socket.socket.connect_ex = refuse
from lrbench.export import export_command
sys.exit(export_command(__import__("pathlib").Path(sys.argv[1]), "mlflow", __import__("pathlib").Path(sys.argv[2])))
"""


@pytest.mark.slow
@needs("mlflow")
def test_mlflow_reads_what_the_rows_hold(study, tmp_path):
    """MLflow's own client finds a run a trial, with params, metrics, curves, tags, times and how it ended; the export
    asks nothing of the network, prints no log line, and leaves no folder of MLflow's where it was started."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(study), str(tmp_path / "out")],
        cwd=elsewhere,
        env={**os.environ, "HOME": str(elsewhere / "home"), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(elsewhere.iterdir()) == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["export.json", "mlflow.db"]
    check = subprocess.run(
        [sys.executable, "-c", READ_MLFLOW, str(tmp_path / "out" / "mlflow.db")],
        cwd=elsewhere,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    runs = json.loads(check.stdout)
    rows = load(study, [*FLAT, "val_accuracy_curve"])
    assert len(runs) == NUM_TRIALS
    for row in rows.itertuples():
        run = runs[row.trial_id]
        good = row.status == "completed"
        assert run["status"] == ("FINISHED" if good else "FAILED")
        assert run["params"]["scheduler"] == row.scheduler
        assert run["params"]["seed"] == str(row.seed)
        assert run["tags"]["status"] == row.status
        assert run["curve"] == ([[e + 1, v] for e, v in enumerate(row.val_accuracy_curve)] if good else [])
        if good:
            assert run["metrics"]["final_accuracy"] == row.final_accuracy
            assert run["metrics"]["samples_per_second"] == row.samples_per_second
            assert run["seconds"] == pytest.approx(row.total_seconds, abs=2e-3)
        else:
            assert "final_accuracy" not in run["metrics"]
            assert run["tags"]["error"] == "it was diverged (planted)"


READ_MLFLOW = """
import json, sys
from mlflow.tracking import MlflowClient
client = MlflowClient(tracking_uri=f"sqlite:///{sys.argv[1]}")
(experiment,) = [e for e in client.search_experiments() if e.name == "simulated"]
found = {}
for run in client.search_runs([experiment.experiment_id], max_results=1000):
    curve = [[m.step, m.value] for m in client.get_metric_history(run.info.run_id, "val_accuracy")]
    found[run.data.tags["trial_id"]] = {
        "status": run.info.status, "params": run.data.params, "tags": run.data.tags, "metrics": run.data.metrics,
        "curve": sorted(curve), "seconds": (run.info.end_time - run.info.start_time) / 1000,
    }
print(json.dumps(found))
"""


@pytest.mark.slow
@needs("mlflow")
@pytest.mark.filterwarnings("ignore")  # of mlflow's own use of sqlalchemy
def test_mlflow_holds_what_its_own_client_would_have_written(study, tmp_path, monkeypatch):
    """All but the first run are written into MLflow's tables: row for row they are those that its client writes."""
    ways = {}
    for name in ("tables", "client"):
        if name == "client":
            monkeypatch.setattr(mlflow_runs, "_BY_CLIENT", 1_000)
        export(study, "mlflow", tmp_path / name)
        with closing(sqlite3.connect(tmp_path / name / "mlflow.db")) as database:
            database.row_factory = sqlite3.Row
            tables = {t: list(map(dict, database.execute(f"SELECT * FROM {t}"))) for t in ("runs", *RUN_TABLES)}
        names = {run["run_uuid"]: run["name"] for run in tables["runs"]}
        for row in (row for rows in tables.values() for row in rows):
            run_id = row.pop("run_uuid")
            row["run"] = names[run_id]
            if "artifact_uri" in row:
                row["artifact_uri"] = row["artifact_uri"].replace(run_id, "ID").replace(f"/{name}/", "/out/")
        ways[name] = {table: sorted(map(repr, rows)) for table, rows in tables.items()}
    assert ways["tables"] == ways["client"]
    assert all(len(ways["tables"][table]) > NUM_TRIALS for table in RUN_TABLES)


@needs("mlflow")
@pytest.mark.filterwarnings("ignore")  # of mlflow's own use of sqlalchemy
@pytest.mark.parametrize(
    ("value", "stored"), [(0.5, (0.5, False)), (math.nan, (0.0, True)), (-math.inf, (-sys.float_info.max, False))]
)
def test_mlflow_has_neither_nan_nor_infinity_in_its_tables(value, stored):
    """What MLflow's own store makes of a value is what is written."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    assert mlflow_runs._stored(value) == stored
    assert SqlAlchemyStore.sanitize_metric_value(None, value) == stored[::-1]  # it reads nothing of the store
