"""What `lrbench claims` leaves behind: two parquet tables, each replaced whole.

    DIR/claims.parquet     one row a claim: the statement, what was expected, the verdict, and where it was seen
    DIR/evidence.parquet   the rows that the verdicts stand on; `id` is the claim's, `row` counts within it

    select id, verdict, seen from 'results/claims/claims.parquet'                          -- DuckDB
    pandas.read_parquet("results/claims/evidence.parquet").query("id == 'S5'").dropna(axis=1, how="all")

Evidence is flat: a column means the same for every claim and is null where it says nothing. Types are arrow's names.
What this does *not* do: run claims, or show them.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lrbench.errors import InputError, StoreError


def _columns(text: str) -> dict[str, tuple[str, str]]:
    rows = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    return {name: (kind, meaning) for name, kind, meaning in rows}


CLAIMS = _columns(
    """
    id              | string  | S1 … of the catalogue
    area            | string  | its first letter
    statement       | string  | what is said; the verdict is of this
    where           | string  | what it takes: C a CPU, G one CUDA GPU, G2 two
    kind            | string  | E exact, S statistical, P profiler or log
    expected        | string  | the hypothesis
    source          | string  | where the statement or the hypothesis comes from
    gate            | bool    | whether its failure fails the command
    gate_result     | string  | no gate, passed, failed, not tested
    verdict         | string  | supported, refuted, equivalent within margin, inconclusive, not testable here
    seen            | string  | a sentence of what was seen
    num_evidence    | int64   | rows of evidence
    device          | string  | cpu or cuda: where trials ran that could run on either
    started_at      | string  | ISO 8601, UTC
    seconds         | float64 | how long it took
    torch_version   | string  |
    cuda_version    | string  | of the build of torch
    python_version  | string  |
    lrbench_version | string  |
    cpu_model       | string  |
    gpus            | string  | names, joined by commas
    os              | string  |
    git_commit      | string  | of the folder that the command was run in
    git_dirty       | bool    |
    """
)
EVIDENCE = _columns(
    """
    id                    | string  | the claim's
    row                   | int64   | from 0, in the order in which the claim gave it
    scheduler             | string  | a call, or a class
    what                  | string  | which case of the claim
    item                  | string  | what was left out
    interval              | string  | how the scheduler was stepped: epoch or step
    cell                  | string  | of the conformance matrix: yes; no: why; n/a: why
    past_end              | string  | rebounds, holds, raises, goes on falling, has no end
    status                | string  | how a trial ended
    differs               | string  | columns of two trials' rows that differ
    raises                | string  | the exception, "" for none
    note                  | string  |
    parameter_group       | int64   | from 0
    seed                  | int64   |
    num_steps             | int64   | scheduler steps that were compared
    step                  | int64   | where: the first step that differs (-1: none), or the one that is told
    k                     | int64   | last_epoch
    patience              | int64   |
    calls_per_epoch       | int64   | of step(metric)
    cut_after_call        | int64   | calls of step(metric) before the rate fell
    cut_in_epoch          | int64   | the epoch in which it fell, from 1
    num_tried             | int64   |
    num_right             | int64   |
    num_wrong             | int64   | steps at which get_lr() is not the applied rate
    num_wrong_get_last_lr | int64   | steps at which get_last_lr() is not
    num_bit_equal         | int64   | steps at which the rate equals the formula bit for bit
    num_trials            | int64   |
    num_courses           | int64   | distinct courses of applied rates
    num_weights           | int64   | distinct final weights
    num_pairs             | int64   | pairs of one trial and its repeat
    num_weights_differ    | int64   | pairs with other weights
    num_courses_differ    | int64   | pairs with other rates
    found                 | float64 | a rate
    wanted                | float64 | the rate that the statement or the plan says
    highest_after         | float64 | the highest rate past the end
    max_relative_error    | float64 |
    bit_equal             | bool    |
    skips_first           | bool    | the first rate of the plan is applied to no step
    warns                 | bool    | torch warned
    holds                 | bool    | this row agrees with the statement
    """
)
# What the later areas add; each block is of one module or two, and a column keeps its meaning across all of them.
EVIDENCE |= _columns(  # cuDNN flags and seeds (C), kernels and settings (V1 to V15)
    """
    num_processes         | int64   | fresh processes that were asked
    level                 | string  | of the setting that the row is about
    cudnn_benchmark       | bool    |
    cudnn_deterministic   | bool    |
    num_distinct          | int64   | distinct digests among num_tried
    num_plans             | int64   | distinct kernel fingerprints among num_processes
    num_kernels_first     | int64   | kernels that the first call ran, a search among them
    num_kernels           | int64   | kernels that a later call ran
    kernels               | string  | names of kernels that one ran and the other did not; "" for the same ones
    num_warnings          | int64   |
    num_blocks            | int64   | independent units that an interval stands on
    p                     | float64 | of "there is no effect"; null where bits are equal
    margin                | float64 | of equivalence
    """
)
EVIDENCE |= _columns(  # the suite's own gates (V6, V18 to V22), data and distribution (D)
    """
    fault                 | string  | what was planted
    module                | string  | in which it runs
    sentence              | string  | the answer as it is printed
    num_equal             | int64   | of num_pairs, equal bit for bit
    operator              | string  | as torch or the case calls it
    num_epochs            | int64   |
    num_tries             | int64   | comparisons that were made
    num_alarms            | int64   | of num_tries, in which a difference was found
    seen_rate             | float64 | share of the tries
    stated_rate           | float64 | that the method promises not to exceed
    allowed_rate          | float64 | stated_rate and the error of so many tries
    num_threads           | int64   |
    num_workers           | int64   | of a DataLoader
    world_size            | int64   | ranks
    bucket_cap_mb         | float64 | of DistributedDataParallel
    num_seeds             | int64   | that were derived
    num_collisions        | int64   | seeds that an earlier one had taken
    num_orders            | int64   | different orders of the images
    num_rows              | int64   | of a batch
    num_rows_differ       | int64   | of num_rows, in any bit
    max_ulp               | int64   | largest distance of two float32 numbers, in units in the last place
    max_relative_l2       | float64 | largest norm of a row's difference by the row's norm
    poke_churn            | float64 | share of test images classed otherwise after a poke of one ulp
    reseed_churn          | float64 | the same between two seeds
    """
)
EVIDENCE |= _columns(  # learning rates and spread (L4 to L12)
    """
    value                 | float64 | the statistic that `what` names
    low                   | float64 | lower end of its interval
    high                  | float64 | upper end of its interval
    detectable            | float64 | the smallest effect that would have been seen four times in five
    margin                | float64 | inside which the value counts as none
    holm_p                | float64 | p of the comparison, corrected for the number of comparisons
    other                 | string  | the scheduler that is compared with
    base_lr               | float64 |
    mean_accuracy         | float64 | over the runs
    accuracy_sd           | float64 | standard deviation over the runs
    predicted_sd          | float64 | of accuracy, as the formula that `what` names has it
    num_runs              | int64   | runs, or pairs of runs, that the value is of
    """
)
_ALLOWED = {"string": str, "bool": bool, "int64": int, "float64": float}


def read(path: Path, columns: dict) -> list[dict]:
    """Return the rows of a table, with the columns as they are now; none where there is no such file."""
    if not path.exists():
        return []
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} is no table of claims ({error}): name another folder, --out DIR") from None
    return [{name: row.get(name) for name in columns} for row in found]


def write(path: Path, rows: Iterable[dict[str, Any]], columns: dict) -> None:
    """Replace a table: it is on the disk whole before its name is. Raises StoreError where it cannot be written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([pa.field(name, getattr(pa, _ARROW.get(kind, kind))()) for name, (kind, _) in columns.items()])
    table = pa.Table.from_pylist([checked(row, columns) for row in rows], schema=schema)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error


_ARROW = {"bool": "bool_"}


def checked(row: dict[str, Any], columns: dict) -> dict[str, Any]:
    """Return a row with every column, absent ones as None. Raises TypeError for what is no column, or of another type.

    >>> checked({"a": 1}, {"a": ("int64", ""), "b": ("string", "")})
    {'a': 1, 'b': None}
    """
    for name, value in row.items():
        if name not in columns:
            raise TypeError(f"no such column: {name}")
        kind = columns[name][0]
        right = isinstance(value, _ALLOWED[kind]) and (kind == "bool" or not isinstance(value, bool))
        if value is not None and not right:
            raise TypeError(f"{name} is {kind}, found {type(value).__name__}: {value!r:.80}")
    return {name: row.get(name) for name in columns}
