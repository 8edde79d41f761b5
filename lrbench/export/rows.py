"""A study's rows as arrow tables and plain values, a batch at a time: what every export is written from.

What this does *not* do: know any format.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from lrbench.record import FLAT, arrow_schema
from lrbench.store import load

BATCH = 200
# the nested columns that are curves: what the tools with a time axis are given
EPOCHS = ("train_loss_curve", "val_loss_curve", "val_accuracy_curve", "train_seconds_curve")
STEPS = ("train_loss_steps", "applied_lr")


def read_table(folder: Path, nested: tuple[str, ...]):
    """Return the folder's trials as a pyarrow.Table: every flat column, and the nested ones that are named."""
    import pyarrow as pa

    names = [*FLAT, *nested]
    frame = load(folder, columns=names)
    return pa.Table.from_pandas(frame, schema=arrow_schema(names), preserve_index=False)


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
