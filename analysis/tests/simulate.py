"""Rows of a study with a known truth: what the statistics are proved on.

The factors, conditions and blocks are those of a real study file (`lrbench.study`), and every row passes
`lrbench.record.check_row`; only the outcomes are drawn from the truth given here instead of being trained for.
What this does *not* do: train.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.rows.conditions import CUDNN_FLAGS
from lrbench import store
from lrbench.record import CATEGORICAL, arrow_schema, check_row, trial_columns
from lrbench.study import blocks, parse_study

NUM_TEST = 360
NUM_CLASSES = 10
STEPS_PER_EPOCH = 20


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is so in a simulated world. SDs of speed are those of its logarithm; those of accuracy are fractions.

    `effects` go by a scheduler's class or by its call. `best_lr` is the base_lr that suits a class best; a tenth or ten
    times of it costs `tenfold_loss`, and half as far away a quarter of that. Beyond `diverges_above` a class diverges.
    """

    samples_per_second: float = 20_000.0
    benchmark_ratio: float = 1.0
    deterministic_ratio: float = 1.0
    speed_sd: float = 0.01
    first_step_seconds: float = 0.01
    benchmark_search_seconds: float = 0.0
    accuracy: float = 0.95
    seed_sd: float = 0.005
    run_sd: float = 0.0
    effects: Mapping[str, float] = field(default_factory=dict)
    identical: bool = True
    identical_if_deterministic: bool = True
    inert: bool = True
    failures: Mapping[int, str] = field(default_factory=dict)
    best_lr: Mapping[str, float] = field(default_factory=dict)
    tenfold_loss: float = 0.04
    diverges_above: Mapping[str, float] = field(default_factory=dict)


def study_of(**document):
    """Return a real study: `grid`, `fixed` and `replicates` as in a study file, digits-cnn unless told otherwise."""
    document = {"question": "What is so?", "replicates": 2, "fixed": {}, "grid": {"seed": "0-4"}, **document}
    plain = {
        name: value for name, value in {"workload": "digits-cnn", "epochs": 4}.items() if name not in document["grid"]
    }
    document["fixed"] = {**plain, **document["fixed"]}
    return parse_study(document, "simulated", source="simulated")


def simulate(study, truth: Truth = Truth(), seed: int = 0) -> pd.DataFrame:
    """Return rows as `lrbench.store.load` gives them, nested columns included, drawn with this seed."""
    return frame(simulated_rows(study, truth, seed))


def simulate_stages(study, truth: Truth = Truth(), seed: int = 0) -> tuple[pd.DataFrame, dict]:
    """Return rows and study.json of a study with [tune] or [until], its stages decided by `lrbench.stages`."""
    rows, record = staged_rows(study, truth, seed)
    return frame(rows), record


def staged_rows(study, truth: Truth = Truth(), seed: int = 0) -> tuple[list[dict], dict]:
    """Return the same, the rows as the runner hands them to the store."""
    from lrbench.stages import Stages

    rng, device = np.random.default_rng(seed), "cpu" if truth.inert else "cuda"
    rows, seed_effects = {}, {}
    stages = Stages(study, device, lambda: frame(list(rows.values())))
    started = datetime(2026, 11, 20, 8, tzinfo=UTC)
    while True:
        columns = stages.columns()
        for position, (block, trial) in enumerate(stages.plan):
            if trial.trial_id not in rows:
                row = _asked(trial, block, position) | _place(truth, started + timedelta(seconds=2 * position))
                row |= _outcome(trial, truth, rng, seed_effects, position)
                rows[trial.trial_id] = check_row(row | columns.get(trial.trial_id, {}))
        if not stages.advance(rows):
            break
    columns = stages.columns()
    done = [row | columns.get(trial_id, {}) for trial_id, row in rows.items()]
    record = {"study": study.model_dump(mode="json"), "places": [], "num_trials": len(done), "schema_version": 3}
    return done, record | stages.record()


def write_study(folder: Path, study, truth: Truth = Truth(), num_planned: int = 0) -> Path:
    """Write a study's folder through the real store, and return it. `num_planned` 0: as many as there are rows."""
    rows = simulated_rows(study, truth)
    with store.locked(folder):
        writer = store.Writer(folder)
        for row in rows:
            writer.commit(row)
        writer.close()
    record = {"study": study.model_dump(mode="json"), "places": [], "num_trials": num_planned or len(rows)}
    store.write_study_record(folder, {**record, "schema_version": 1})
    return folder


def simulated_rows(study, truth: Truth = Truth(), seed: int = 0) -> list[dict]:
    """Return the rows as the runner hands them to the store, in the planned order."""
    rng = np.random.default_rng(seed)
    device = "cpu" if truth.inert else "cuda"
    seed_effects: dict = {}
    rows, position = [], 0
    started = datetime(2026, 11, 20, 8, tzinfo=UTC)
    for block, trials in blocks(study, device):
        for trial in trials:
            row = _asked(trial, block, position) | _place(truth, started + timedelta(seconds=2 * position))
            rows.append(check_row(row | _outcome(trial, truth, rng, seed_effects, position)))
            position += 1
    return rows


def frame(rows: list[dict]) -> pd.DataFrame:
    """Return rows as a DataFrame with the types that the store gives."""
    import pyarrow as pa

    table = pa.Table.from_pylist(rows, schema=arrow_schema())
    for index, name in enumerate(table.column_names):
        if name in CATEGORICAL:
            table = table.set_column(index, name, table.column(name).dictionary_encode())
    return table.to_pandas()


def applied_lr(trial) -> list[float]:
    """Return a plausible rate at each step; what matters is that it depends on the schedule alone."""
    name, epochs = trial.scheduler["name"], trial.epochs
    shape = {
        "ConstantLR": lambda t: trial.scheduler.get("factor", 1.0),
        "StepLR": lambda t: 0.1 ** int(t * 3),
        "MultiStepLR": lambda t: 0.1 ** (int(t >= 0.5) + int(t >= 0.75)),
        "ExponentialLR": lambda t: 0.9 ** (t * epochs),
        "CosineAnnealingLR": lambda t: (1 + math.cos(math.pi * t)) / 2,
        "ReduceLROnPlateau": lambda t: 0.3 ** int(t * 2),
    }.get(name, lambda t: 1 - t)
    return [trial.base_lr * shape(epoch / epochs) for epoch in range(epochs) for _ in range(STEPS_PER_EPOCH)]


def _asked(trial, block: int, position: int) -> dict:
    return {
        **trial_columns(trial),
        "study": "simulated",
        "block": block,
        "position": position,
        "attempt": 0,
    }


def _place(truth: Truth, started: datetime) -> dict:
    gpu = {} if truth.inert else {"gpu_name": "Simulated GPU", "driver_version": "580.1", "cudnn_version": "9.1"}
    return {
        "started_at": started.isoformat(timespec="milliseconds"),
        "hostname": "simulated",
        "os": "Linux 6.1 x86_64",
        "cpu_model": "Simulated CPU",
        "num_cores": 2,
        "load_average": 1.0,
        "python_version": "3.11.7",
        "torch_version": "2.15.0",
        "torchvision_version": "0.29.2",
        "numpy_version": "2.4.6",
        "lrbench_version": "0.1.0",
        "cuda_version": "13.2",
        "git_commit": "0" * 40,
        "git_dirty": False,
        "data_sha256": "d" * 64,
        "environment": "{}",
        "cores": "0",
        **gpu,
    }


def _outcome(trial, truth: Truth, rng, seed_effects: dict, position: int) -> dict:
    status = truth.failures.get(position, "completed")
    if trial.base_lr > truth.diverges_above.get(trial.scheduler["name"], math.inf):
        status = "diverged"
    if status != "completed":
        return {"status": status, "error": f"it was {status} (planted)", "stage": "train", "packed": False}
    ratio = (truth.benchmark_ratio if trial.cudnn_benchmark else 1.0) * (
        truth.deterministic_ratio if trial.cudnn_deterministic else 1.0
    )
    speed = truth.samples_per_second * ratio * math.exp(rng.normal(0, truth.speed_sd))
    step = trial.batch_size / speed
    search = truth.benchmark_search_seconds if trial.cudnn_benchmark else 0.0
    seeds = (trial.seed, trial.seed_init, trial.seed_order)
    seed_effect = seed_effects.setdefault(seeds, rng.normal(0, truth.seed_sd))
    same = truth.identical or (truth.identical_if_deterministic and trial.cudnn_deterministic)
    noise = 0.0 if same else rng.normal(0, truth.run_sd)
    mean = truth.accuracy + truth.effects.get(trial.scheduler["name"], 0.0) + seed_effect
    mean += truth.effects.get(trial.labels()["scheduler"], 0.0) - _lost_by_rate(trial, truth)
    accuracy = round(min(1.0, max(0.0, mean + noise)) * NUM_TEST) / NUM_TEST
    return {
        "status": "completed",
        "stage": "done",
        "packed": False,
        "flags_held": True,
        "cudnn_flags_inert": truth.inert,
        "effective_device": trial.device,
        "first_step_seconds": truth.first_step_seconds + search + abs(rng.normal(0, 1e-4)),
        "settle_seconds": step * 5,
        "train_seconds": step * trial.epochs * STEPS_PER_EPOCH,
        "train_seconds_curve": [step * (epoch + 1) * STEPS_PER_EPOCH for epoch in range(trial.epochs)],
        "total_seconds": step * trial.epochs * STEPS_PER_EPOCH + 1.0,
        "step_seconds_median": step,
        "step_seconds_p95": step * 1.2,
        "samples_per_second": speed,
        "steps_per_epoch": STEPS_PER_EPOCH,
        "num_steps": trial.epochs * STEPS_PER_EPOCH,
        "num_optimizer_steps": trial.epochs * STEPS_PER_EPOCH,
        "num_steady_steps": 50,
        "peak_memory_mib": 80.0,
        "num_parameters": 10_000,
        **_quality(trial, accuracy, same, truth.inert, rng),
    }


def _lost_by_rate(trial, truth: Truth) -> float:
    if trial.scheduler["name"] not in truth.best_lr:
        return 0.0
    best = truth.best_lr[trial.scheduler["name"]]
    return truth.tenfold_loss * math.log10(trial.base_lr / best) ** 2


def _quality(trial, accuracy: float, same: bool, inert: bool, rng) -> dict:
    shared = CUDNN_FLAGS if inert else ()  # on a CPU the flags change no bit
    condition = {name: value for name, value in trial.condition.items() if name not in shared}
    own = {**condition, **{name: getattr(trial, name) for name in ("seed", "seed_init", "seed_order")}}
    digest = sha256(json.dumps([own, accuracy, "" if same else rng.random()], sort_keys=True).encode()).digest()
    stream = np.random.default_rng(list(digest))
    wrong = stream.permutation(NUM_TEST)[: round((1 - accuracy) * NUM_TEST)]
    predictions = np.arange(NUM_TEST) % NUM_CLASSES
    predictions[wrong] = (predictions[wrong] + 1 + stream.integers(0, NUM_CLASSES - 1, len(wrong))) % NUM_CLASSES
    rates = applied_lr(trial)
    curve = [accuracy * (1 - 0.5 ** (epoch + 1)) for epoch in range(trial.epochs)]
    return {
        "final_accuracy": accuracy,
        "final_loss": 2 * (1 - accuracy) + 0.01,
        "final_val_accuracy": accuracy,
        "final_val_loss": 2 * (1 - accuracy),
        "final_train_loss": 1 - accuracy,
        "weights_sha256": digest.hex(),
        "logits_sha256": digest.hex(),
        "predictions_sha256": sha256(predictions.tobytes()).hexdigest(),
        "applied_lr_sha256": sha256(json.dumps(rates).encode()).hexdigest(),
        "train_loss_curve": [1 - value for value in curve],
        "val_loss_curve": [1.1 - value for value in curve],
        "val_accuracy_curve": curve,
        "train_loss_steps": [1.0] * (trial.epochs * STEPS_PER_EPOCH),
        "applied_lr": [rates],
        "predictions": predictions.tolist(),
        "probe_logits": stream.normal(size=64).astype(np.float32).tolist(),
    }
