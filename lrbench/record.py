"""The columns of a row: what was asked, what was in force, what was seen, where. No torch here.

`COLUMNS` is the one list; the arrow schema, the column table of results/README.md and the check of every row come from
it. Types are arrow's names. A null means "does not apply here" (a GPU's clock on a CPU) or "was not reached".

History of the schema
  1  2026-11  the first
  2  2026-11  digests at steps, gradients, optimizer, order and losses; a sample of the weights; the accuracy of each
              class; repeats of one batch; forgotten seeds; poke_ulps
  3  2026-11  what part a trial has in a study that tunes or looks: tuning, look; seconds to each epoch's end
"""

import json
from dataclasses import dataclass
from typing import Any

SCHEMA_VERSION = 3
PRINTED = "\n--- printed by the trial ---\n"  # stands in `error` before what the user's code had printed
STATUSES = ("completed", "diverged", "out_of_memory", "timed_out", "crashed")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: arrow type, unit ("" where there is none) and meaning. `group` says who fills it."""

    name: str
    type: str
    unit: str
    meaning: str
    group: str

    @property
    def nested(self) -> bool:
        """Lists are kept apart from the flat columns: reading many rows leaves them out unless they are asked for."""
        return self.type.startswith("list")


def _columns(group: str, text: str) -> list[Column]:
    rows = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    return [Column(name=n, type=t, unit=u, meaning=m, group=group) for n, t, u, m in rows]


COLUMNS: list[Column] = [
    *_columns(
        "identity",
        """
        schema_version | int32  | | version of this table of columns
        trial_id       | string | | hash of what the trial is: its factors, seeds and replicate
        condition_id   | string | | hash of its factors without seeds and replicate
        study          | string | | name of the study that ran it
        block          | int32  | | the random block it belongs to; a block holds every condition once
        position       | int32  | | its place in the planned order of the whole study, from 0
        attempt        | int32  | | 0, and one more each time a failed trial was run again
        tuning         | string | | in a study with [tune]: selection, default, tuned, or "default and tuned"; else null
        look           | int32  | | in a study with [until]: the look that its seed was added for, from 1; else null
        trial          | string | JSON | the whole description; lrbench.Trial(**json.loads(trial)) is the trial
        """,
    ),
    *_columns(
        "asked",
        """
        workload                 | string  | | the workload's name, or model and data
        epochs                   | int32   | epochs | passes over the training images
        batch_size               | int32   | images | images in one optimizer step
        base_lr                  | float64 | | the optimizer's lr, which the scheduler starts from
        optimizer                | string  | | the torch.optim class as a call, without lr
        optimizer_name           | string  | | its class
        scheduler                | string  | | the lr_scheduler class as a call; 30% is a share of the budget
        scheduler_name           | string  | | its class
        scheduler_interval       | string  | | stepped once per "epoch" or per optimizer "step"
        scheduler_monitor        | string  | | the metric that ReduceLROnPlateau watches
        warmup                   | string  | JSON | the warm-up multiplier, or "off"
        clip_grad_norm           | float64 | | largest gradient norm; null: off
        clip_grad_value          | float64 | | largest gradient element; null: off
        cudnn_benchmark          | bool    | | torch.backends.cudnn.benchmark
        cudnn_deterministic      | bool    | | torch.backends.cudnn.deterministic
        deterministic_algorithms | string  | | torch.use_deterministic_algorithms: off, warn, strict
        cudnn_fp32_precision     | string  | | cudnn.conv.fp32_precision: tf32, ieee
        matmul_fp32_precision    | string  | | torch.backends.cuda.matmul.fp32_precision: ieee, tf32
        precision                | string  | | fp32, or autocast to bf16 or fp16 (fp16 with a GradScaler)
        channels_last            | bool    | | memory format of model and images
        poke_ulps                | int32   | ulps | how far one weight was moved before training; null: not recorded
        compile                  | string  | | torch.compile's mode, or off
        num_threads              | int32   | threads | torch.set_num_threads
        device                   | string  | | cpu, cuda or cuda:N
        seed                     | int64   | | decides the four streams below unless they are given
        seed_init                | int64   | | initial weights
        seed_order               | int64   | | order of the images
        seed_augmentation        | int64   | | crops and flips
        seed_dropout             | int64   | | dropout masks
        replicate                | int32   | | the same trial again in a new process
        """,
    ),
    *_columns(
        "in force",
        """
        effective_cudnn_enabled            | bool   | | torch.backends.cudnn.enabled, read back after training
        effective_cudnn_benchmark          | bool   | | read back after training
        effective_cudnn_deterministic      | bool   | | read back after training
        effective_deterministic_algorithms | string | | read back after training
        effective_cudnn_fp32_precision     | string | | read back after training
        effective_matmul_fp32_precision    | string | | read back after training
        effective_num_threads              | int32  | threads | read back after training
        effective_device                   | string | | where the weights were when training ended
        flags_held                         | bool   | | every flag asked for was in force before and after training
        cudnn_flags_inert                  | bool   | | true on a CPU: the cudnn_ flags can change nothing
        packed                             | bool   | | shared its device with other trials: not for throughput
        executor                           | string | | process: a fresh process for the trial; inline: the runner's own
        cores                              | string | | the CPU cores that the process was pinned to
        environment                        | string | JSON | environment variables that change speed or bits
        """,
    ),
    *_columns(
        "where",
        """
        started_at            | string  | UTC | when the process began with the trial, ISO 8601
        hostname              | string  | | of the machine
        os                    | string  | | kernel and machine
        cpu_model             | string  | | as the kernel names it
        num_cores             | int32   | cores | that the machine has
        load_average          | float64 | processes | over the last minute, when the trial began
        gpu_name              | string  | | of the device that was used
        gpu_uuid              | string  | | of the device that was used
        driver_version        | string  | | of the NVIDIA driver
        gpu_sm_clock_start_mhz | int32  | MHz | before training
        gpu_sm_clock_end_mhz  | int32   | MHz | after training
        gpu_memory_clock_mhz  | int32   | MHz | after training
        gpu_temperature_celsius | int32 | °C | after training
        gpu_throttle_reasons  | string  | | clock event reasons after training, as NVML names them; "none"
        gpu_other_processes   | int32   | processes | other processes on the device after training
        python_version        | string  | | of the interpreter
        torch_version         | string  | | of torch
        torchvision_version   | string  | | of torchvision
        numpy_version         | string  | | of NumPy
        lrbench_version       | string  | | of this package
        cuda_version          | string  | | that torch was built with
        cudnn_version         | string  | | that torch loaded
        git_commit            | string  | | of the folder the study was started in
        git_dirty             | bool    | | whether that folder had uncommitted changes
        data_sha256           | string  | | of the staged images and labels
        """,
    ),
    *_columns(
        "outcome",
        """
        status                | string  | | completed, diverged, out_of_memory, timed_out or crashed
        error                 | string  | | what went wrong, with the end of the traceback
        stage                 | string  | | how far it came: start, flags, data, build, train, evaluate, done
        num_resumes           | int32   | | how often a new process went on from its checkpoint; its speed is then null
        resumed_at_step       | int32   | steps | training steps that the last such process had not to do again
        """,
    ),
    *_columns(
        "time",
        """
        total_seconds         | float64 | s | from the trial's start in its process to its end
        build_seconds         | float64 | s | model, optimizer and scheduler
        first_step_seconds    | float64 | s | the first optimizer step, with every search and lazy start in it
        settle_seconds        | float64 | s | the steps after the first and before the steady state
        train_seconds         | float64 | s | all steps; validation and probing off the clock
        evaluate_seconds      | float64 | s | validation and test passes
        step_seconds_median   | float64 | s | of one step in the steady state
        step_seconds_p95      | float64 | s | 95th percentile of one step in the steady state
        samples_per_second    | float64 | images/s | in the steady state
        steps_per_epoch       | int32   | steps | optimizer steps in an epoch
        num_steps             | int32   | steps | training steps done
        num_optimizer_steps   | int32   | steps | of these, not skipped by the GradScaler
        num_steady_steps      | int32   | steps | steps that samples_per_second is taken over
        """,
    ),
    *_columns(
        "resources",
        """
        peak_memory_mib       | float64 | MiB | CUDA: largest allocation; CPU: largest resident set of the process
        private_memory_mib    | float64 | MiB | memory at the end that no other process shares; null below one second
        energy_joules         | float64 | J | the device's energy counter over training (NVML)
        num_parameters        | int64   | | of the model
        """,
    ),
    *_columns(
        "quality",
        """
        final_accuracy        | float64 | fraction | right predictions on the test images, measured once at the end
        final_loss            | float64 | nats | mean loss on the test images
        final_val_accuracy    | float64 | fraction | on the held-out tenth of the training images, last epoch
        final_val_loss        | float64 | nats | on the held-out tenth of the training images, last epoch
        final_train_loss      | float64 | nats | mean over the steps of the last epoch
        """,
    ),
    *_columns(
        "plan",
        """
        lr_plan               | string  | | "as planned", or what happened to the applied rates instead
        lr_plan_note          | string  | | the same in a sentence, with what is odd about the plan itself
        lr_plan_max_relative_error | float64 | | largest difference between a rate applied and its closed form
        lr_plan_bit_equal     | bool    | | every rate applied equals its closed form to the bit
        """,
    ),
    *_columns(
        "bits",
        """
        weights_sha256        | string  | | of every parameter and buffer after training, by name, shape and type
        logits_sha256         | string  | | of probe_logits
        predictions_sha256    | string  | | of predictions
        applied_lr_sha256     | string  | | of applied_lr
        gradients_sha256      | string  | | of the gradients of the last training step, as the optimizer saw them
        optimizer_sha256      | string  | | of what the optimizer keeps for each parameter, after training
        order_sha256          | string  | | of the order of the images in every epoch
        losses_sha256         | string  | | of train_loss_steps
        python_rng_used       | bool    | | the trial drew from Python's random, which torch.manual_seed does not seed
        numpy_rng_used        | bool    | | the trial drew from NumPy's global generator, which it does not seed either
        evaluation_rng_used   | bool    | | validation drew from torch's generators, so training depends on it
        kernel_fingerprint    | string  | | sha256 of the sorted CUDA kernel names of one step, with their counts
        """,
    ),
    *_columns(
        "repeats",
        """
        num_repeats                | int32 | | of one batch after training in the same process; null: not asked for
        forward_repeats_identical  | int32 | | of these, with the logits of the first, bit for bit; evaluation mode
        backward_repeats_identical | int32 | | of these, with the gradients of the first; training mode
        forward_samples_per_second | float64 | images/s | median of the forwards, without gradients
        """,
    ),
    *_columns(
        "curves",
        """
        train_loss_curve      | list<float64> | nats | mean training loss of each epoch
        val_loss_curve        | list<float64> | nats | after each epoch
        val_accuracy_curve    | list<float64> | fraction | after each epoch
        train_seconds_curve   | list<float64> | s | training so far, after each epoch; validation off the clock
        train_loss_steps      | list<float32> | nats | at each training step
        applied_lr            | list<list<float64>> | | for each parameter group, the rate at each optimizer step
        class_accuracy        | list<float64> | fraction | right predictions in each class of test images; NaN: none
        predictions           | list<int32> | | the predicted class of each test image
        probe_logits          | list<float32> | | logits of a fixed batch of test images, row after row
        kernel_names          | list<string> | | "count × name" of each CUDA kernel in one step
        weights_sample        | list<float32> | | up to 1,024 weights, evenly spaced over all parameters, after training
        """,
    ),
    *_columns(
        "steps",
        """
        digest_steps          | list<int32>  | steps | training steps done when each of these digests was taken
        order_xxh3            | list<string> | | xxh3_128 of the numbers of the step's images
        images_xxh3           | list<string> | | of the batch as the model saw it
        rng_xxh3              | list<string> | | of torch's random state before the forward, CPU and CUDA
        lr_xxh3               | list<string> | | of the rates in force
        loss_xxh3             | list<string> | | of the loss
        gradients_xxh3        | list<string> | | of the gradients as the optimizer saw them
        weights_xxh3          | list<string> | | of the weights and buffers after the step
        optimizer_xxh3        | list<string> | | of what the optimizer keeps, after the step
        """,
    ),
]
NAMES = [column.name for column in COLUMNS]
BY_NAME = {column.name: column for column in COLUMNS}
NESTED = [column.name for column in COLUMNS if column.nested]
FLAT = [column.name for column in COLUMNS if not column.nested]
# read as pandas categoricals: factors and other texts with few values
CATEGORICAL = [
    column.name
    for column in COLUMNS
    if column.type == "string"
    and column.name not in {"trial_id", "trial", "error", "started_at", "lr_plan_note"}
    and not column.name.endswith("sha256")
]
_PYTHON = {
    "bool": bool,
    "string": str,
    "int32": int,
    "int64": int,
    "float32": (float, int),
    "float64": (float, int),
}
_LARGEST = {"int32": 2**31 - 1, "int64": 2**63 - 1}


def arrow_schema(names: list[str] | None = None):
    """Return the pyarrow schema of all columns, or of those named."""
    import pyarrow as pa

    def arrow_type(text: str):
        if text.startswith("list<"):
            return pa.list_(arrow_type(text[5:-1]))
        return {"bool": pa.bool_, "string": pa.string}.get(text, getattr(pa, text, None))()

    return pa.schema([pa.field(name, arrow_type(BY_NAME[name].type)) for name in names or NAMES])


def check_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with every column in order, absent ones as None. Raises ValueError for what is no column.

    A value of another type raises TypeError, a number or text that parquet cannot hold ValueError: a row is written by
    this package alone, so each is a fault of ours, and one that must not reach the journal, which would never fold.
    """
    unknown = row.keys() - BY_NAME.keys()
    if unknown:
        raise ValueError(f"no such columns: {', '.join(sorted(unknown))}")
    for name, value in row.items():
        column = BY_NAME[name]
        if value is None:
            continue
        allowed = list if column.nested else _PYTHON[column.type]
        if not isinstance(value, allowed) or (isinstance(value, bool) and column.type != "bool"):
            raise TypeError(f"{name} is {column.type}, found {type(value).__name__}: {value!r:.80}")
        if column.type in _LARGEST and not -_LARGEST[column.type] - 1 <= value <= _LARGEST[column.type]:
            raise ValueError(f"{name} is {column.type}, found {value}")
        if column.type == "string":
            value.encode()  # UnicodeEncodeError is a ValueError
    return {name: row.get(name) for name in NAMES}


def trial_columns(trial) -> dict:
    """Return the columns that the description alone decides."""
    return {
        "schema_version": SCHEMA_VERSION,
        "trial_id": trial.trial_id,
        "condition_id": trial.condition_id,
        "trial": json.dumps(trial.content, sort_keys=True),
        **trial.labels(),
    }


def column_table() -> str:
    """Return the table of results/README.md: every column with its type, unit and meaning."""
    lines = []
    for group in dict.fromkeys(column.group for column in COLUMNS):
        lines += [f"### {group.capitalize()}", "", "| column | type | unit | meaning |", "|---|---|---|---|"]
        for c in COLUMNS:
            if c.group == group:
                lines.append(f"| `{c.name}` | `{c.type}` | {c.unit} | {c.meaning} |")
        lines.append("")
    return "\n".join(lines)


def with_column_table(text: str) -> str:
    """Return a Markdown text with the present column table between its markers. Raises ValueError without them."""
    before, begin, rest = text.partition("<!-- columns -->\n")
    _, end, after = rest.partition("<!-- end of columns -->")
    if not end:
        raise ValueError("no <!-- columns --> line with an <!-- end of columns --> after it")
    return f"{before}{begin}\n{column_table()}{end}{after}"


if __name__ == "__main__":  # python -m lrbench.record results/README.md: write the table anew
    import sys
    from pathlib import Path

    for name in sys.argv[1:]:
        Path(name).write_text(with_column_table(Path(name).read_text(encoding="utf-8")), encoding="utf-8")
