"""The rows as CSV: one flat file, and one in long form for each kind of list. UTF-8, a null is an empty cell.

    trials.csv          a row a trial, every flat column
    curves.csv          a row an epoch
    steps.csv           a row a training step: the loss
    applied_lr.csv      a row a parameter group and optimizer step
    class_accuracy.csv  a row a class of test images
    digests.csv         a row a step at which digests were taken
    kernels.csv         a row a CUDA kernel of one step

At the left of every file in long form stands what tells its trials apart: the trial's id, scheduler, seed, replicate,
each factor that varies, and the tuning where there is one. What this does *not* do: write predictions, probe logits and
samples of the weights, which are arrays for programs.
"""

from dataclasses import dataclass
from pathlib import Path

from lrbench.export.rows import ALWAYS, BATCH, label_names, read_table
from lrbench.record import COLUMNS, FLAT, NESTED

EXCEL_ROWS = 1_048_576
LEFT_OUT = ("predictions", "probe_logits", "weights_sample")


@dataclass(frozen=True, kw_only=True)
class LongFile:
    """A file in long form: which list columns it holds under which headings, and what their places are called.

    Places count from `first`. A column that is named by `at` holds the places themselves.
    """

    name: str
    columns: dict[str, str]
    place: str
    first: int = 1
    at: str = ""


LONG = (
    LongFile(
        name="curves.csv",
        columns={
            "train_loss_curve": "train_loss",
            "val_loss_curve": "val_loss",
            "val_accuracy_curve": "val_accuracy",
            "train_seconds_curve": "train_seconds",
        },
        place="epoch",
    ),
    LongFile(name="steps.csv", columns={"train_loss_steps": "train_loss"}, place="step"),
    LongFile(name="applied_lr.csv", columns={"applied_lr": "lr"}, place="optimizer_step"),
    LongFile(name="class_accuracy.csv", columns={"class_accuracy": "accuracy"}, place="class", first=0),
    LongFile(
        name="digests.csv",
        columns={c.name: c.name for c in COLUMNS if c.group == "steps" and c.name != "digest_steps"},
        place="step",
        at="digest_steps",
    ),
    LongFile(name="kernels.csv", columns={"kernel_names": "kernel"}, place="kernel_number"),
)


def write(folder: Path, record: dict, scratch: Path, out: Path, say) -> tuple[int, list[str]]:
    """Write the files into `scratch`; return the number of trials, and notes."""
    from pyarrow.csv import CSVWriter

    from lrbench.export import told

    table = read_table(folder, tuple(name for name in NESTED if name not in LEFT_OUT))
    keys = (*ALWAYS, *label_names(table, record))
    num_rows: dict[str, int] = {}
    writers: dict[str, CSVWriter] = {}
    starts = range(0, max(1, len(table)), BATCH)
    try:
        for start in told(starts, len(starts), say, f"batches of {BATCH} trials"):
            batch = table.slice(start, BATCH)
            parts = {"trials.csv": batch.select(FLAT)} | {long.name: long_table(batch, long, keys) for long in LONG}
            for name, part in parts.items():
                if name not in writers and (len(part) or name == "trials.csv"):
                    writers[name] = CSVWriter(scratch / name, part.schema)
                if len(part):
                    writers[name].write_table(part)
                    num_rows[name] = num_rows.get(name, 0) + len(part)
    finally:
        for writer in writers.values():
            writer.close()
    notes = [f"left out: {', '.join(LEFT_OUT)}, arrays that lrbench.load(DIR, [COLUMN, …]) reads"]
    notes += [
        f"{name} has {rows:,} rows, and Excel shows {EXCEL_ROWS - 1:,} of them"
        for name, rows in num_rows.items()
        if rows >= EXCEL_ROWS
    ]
    return len(table), notes


def long_table(batch, long: LongFile, keys: tuple[str, ...] = ALWAYS):
    """Return a batch's lists in long form: keys, place, and a column for each list; shorter lists end in nulls."""
    import pyarrow as pa

    if long.name == "applied_lr.csv":
        return _rates(batch, keys)
    lists = [batch.column(name).combine_chunks() for name in (*long.columns, *([long.at] if long.at else []))]
    parents, places, values = _aligned(lists)
    found = dict(zip((*long.columns.values(), long.place), values, strict=False))
    if not long.at:
        found[long.place] = pa.array(places + long.first, pa.int64())
    return pa.table(_keys(batch, keys, parents) | {long.place: found[long.place]} | found)


def _rates(batch, keys: tuple[str, ...]):
    """One row a parameter group and optimizer step."""
    import pyarrow as pa
    import pyarrow.compute as pc

    groups = batch.column("applied_lr").combine_chunks()
    trials, group_numbers, (rates,) = _aligned([groups])
    parents, places, (values,) = _aligned([rates])
    of_trials = pc.take(pa.array(trials), pa.array(parents))
    return pa.table(
        _keys(batch, keys, of_trials)
        | {
            "group": pc.take(pa.array(group_numbers), pa.array(parents)),
            "optimizer_step": pa.array(places + 1, pa.int64()),
            "lr": values,
        }
    )


def _keys(batch, keys: tuple[str, ...], parents) -> dict:
    return {name: batch.column(name).combine_chunks().take(parents) for name in keys}


def _aligned(lists: list):
    """Take apart list arrays of one length: (row of each item, its place from 0, each list's items).

    A row has as many items as its longest list; the others are filled up with nulls.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    sizes = [pc.fill_null(pc.list_value_length(one), 0).to_numpy(zero_copy_only=False) for one in lists]
    most = np.max(sizes, axis=0).astype(np.int64)
    starts = np.cumsum(most) - most
    parents = np.repeat(np.arange(len(most)), most)
    places = np.arange(int(most.sum())) - np.repeat(starts, most)
    values = []
    for one, size in zip(lists, sizes, strict=True):
        offsets = np.cumsum(size) - size
        index = offsets[parents] + places if len(parents) else np.zeros(0, dtype=np.int64)
        beyond = places >= size[parents]
        values.append(pc.list_flatten(one).take(pa.array(index, pa.int64(), mask=beyond)))
    return parents, places, values
