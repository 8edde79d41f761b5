"""A study's rows as arrow tables and plain values, a batch at a time: what every export is written from.

What this does *not* do: know any format.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from lrbench.factors import SEEDS
from lrbench.record import BY_NAME, FLAT, arrow_schema
from lrbench.store import load

BATCH = 200
# the nested columns that are curves: what the tools with a time axis are given
EPOCHS = ("train_loss_curve", "val_loss_curve", "val_accuracy_curve", "train_seconds_curve")
STEPS = ("train_loss_steps", "applied_lr")
ALWAYS = ("trial_id", "scheduler", "seed", "replicate")  # in the label of every trial, whatever varies
_FACTORS = tuple(
    name
    for name, column in BY_NAME.items()
    if column.group == "asked" and name not in (*ALWAYS, "scheduler_name", "scheduler_monitor", "optimizer_name")
)
# what a workload's recipe, a scheduler or the seed may bring with it: no label where it says nothing more
_BROUGHT_BY = dict.fromkeys(
    ("epochs", "batch_size", "base_lr", "optimizer", "scheduler_interval"), ("workload", "scheduler")
)
_BROUGHT_BY |= dict.fromkeys(SEEDS, ("seed",))


def read_table(folder: Path, nested: tuple[str, ...]):
    """Return the folder's trials as a pyarrow.Table: every flat column, and the nested ones that are named."""
    import pyarrow as pa

    names = [*FLAT, *nested]
    frame = load(folder, columns=names)
    return pa.Table.from_pandas(frame, schema=arrow_schema(names), preserve_index=False)


def label_names(table, record: dict) -> tuple[str, ...]:
    """Return the columns that, with scheduler, seed and replicate, tell a folder's trials apart.

    They are the study's grid, every other factor that varies in the rows, and `tuning` where a row has one.
    """
    held = {name: table.column(name).to_pylist() for name in ("scheduler", "seed", "tuning", *_FACTORS)}
    grid = record["study"].get("grid", {})

    def varies(name: str) -> bool:
        follows = any(
            len(set(zip(held[leader], held[name], strict=True))) == len(set(held[leader]))
            for leader in _BROUGHT_BY.get(name, ())
        )
        return len(set(held[name])) > 1 and not follows

    names = [name for name in _FACTORS if name in grid or varies(name)]
    return (*names, *(["tuning"] if any(held["tuning"]) else []))


def plain(table) -> Iterator[dict]:
    """Yield each row with plain Python values, null as None; a batch at a time is taken apart."""
    for start in range(0, len(table), BATCH):
        yield from table.slice(start, BATCH).to_pylist()


def started_seconds(row: dict) -> float:
    """Return when the trial began, in seconds since 1970; 0 where its process never came to tell."""
    return datetime.fromisoformat(row["started_at"]).timestamp() if row["started_at"] else 0.0


def seconds_at_epochs(row: dict) -> list[float]:
    """Return the seconds on the clock at each epoch's end; rows of before they were kept share the time out evenly."""
    known = row["train_seconds_curve"]
    num_epochs = len(row["val_accuracy_curve"] or row["train_loss_curve"] or [])
    if known and len(known) == num_epochs:
        return known
    whole = row["train_seconds"] or 0.0
    return [whole * (epoch + 1) / num_epochs for epoch in range(num_epochs)]
