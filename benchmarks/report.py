"""What large studies cost to read: `python -m benchmarks.report` times the commands on rows with a known truth.

    report      the report of 2,000 and of 100,000 trials
    show        the table of 100,000
    compare     two folders of 100,000 trials each, half of which end with other weights
    csv         the export of 100,000 (of a few hundred MB of losses and rates, mostly)
    tensorboard, mlflow   the exports of 2,000

The rows are simulated (five schedulers, both cuDNN flags, two replicates, so many seeds that their number is reached;
ten rates from 20,000 on), and are written as a finished study's one part. What is timed is the whole command, in a
process of its own: on the clock, and in seconds of processors, which a busy machine lengthens less.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

from analysis.tests.simulate import Truth, simulated_rows, study_of
from lrbench.record import SCHEMA_VERSION, arrow_schema
from lrbench.store import write_study_record

SCHEDULERS = (
    {"name": "ConstantLR", "factor": 1.0},
    {"name": "StepLR", "step_size": "30%"},
    {"name": "MultiStepLR", "milestones": ["50%", "75%"]},
    {"name": "CosineAnnealingLR"},
    {"name": "ExponentialLR", "gamma": 0.9},
)
TRUTH = Truth(inert=False, identical=False, run_sd=0.003, benchmark_ratio=1.05, effects={"CosineAnnealingLR": 0.004})
PART_ROWS = 1_000


def study_with(num_rows: int):
    """Return a study of at least so many trials."""
    rates = [round(0.01 * number, 2) for number in range(1, 11)] if num_rows >= 20_000 else [0.1]
    each = len(SCHEDULERS) * len(rates) * 2 * 2 * 2
    grid = {
        "seed": f"0-{max(2, -(-num_rows // each)) - 1}",
        "cudnn_benchmark": [False, True],
        "cudnn_deterministic": [False, True],
        "scheduler": list(SCHEDULERS),
        "base_lr": rates,
    }
    return study_of(question="Which schedule, and what do the flags cost?", grid=grid)


def write(folder: Path, num_rows: int) -> int:
    """Write a finished study of at least so many trials, and return how many there are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    study = study_with(num_rows)
    rows = simulated_rows(study, TRUTH)
    (folder / "trials").mkdir(parents=True)
    with pq.ParquetWriter(folder / "trials" / "part-000000-000000.parquet", arrow_schema(), compression="zstd") as file:
        for first in range(0, len(rows), PART_ROWS):
            file.write_table(pa.Table.from_pylist(rows[first : first + PART_ROWS], schema=arrow_schema()))
    record = {"study": study.model_dump(mode="json"), "places": [], "num_trials": len(rows)}
    write_study_record(folder, {**record, "schema_version": SCHEMA_VERSION})
    return len(rows)


def write_elsewhere(folder: Path, other: Path) -> None:
    """Write the same study as another machine would have run it: 5 % faster, every second trial with other weights."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    shutil.copytree(folder, other)
    (part,) = (other / "trials").iterdir()
    table = pq.read_table(folder / "trials" / part.name)
    speed, weights = table["samples_per_second"], table["weights_sha256"]
    every_second = pa.array([number % 2 == 0 for number in range(len(table))])
    changed = {
        "hostname": pa.array(["elsewhere"] * len(table)),
        "samples_per_second": pc.multiply(speed, 1.05),
        "weights_sha256": pc.if_else(every_second, weights, pc.utf8_reverse(weights)),
    }
    for name, values in changed.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), values.cast(table.schema.field(at).type))
    pq.write_table(table, part, compression="zstd", row_group_size=PART_ROWS)


@contextmanager
def folders() -> Iterator:
    """Yield a function that gives the folder of so many trials, and makes it once."""
    with tempfile.TemporaryDirectory(prefix="lrbench-report-") as name:
        made: dict[int, Path] = {}

        def of(num_rows: int) -> Path:
            if num_rows not in made:
                made[num_rows] = Path(name) / f"study-{num_rows}"
                _apart(write, made[num_rows], num_rows)
            return made[num_rows]

        yield of


def _apart(make, *arguments) -> None:
    """Call it in a process that ends: a command's peak of memory counts that of the process it was started from."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        pool.submit(make, *arguments).result()


def measure(*arguments: str) -> str:
    """Run the command, and say what it took."""
    busy, began = os.getloadavg()[0], perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "lrbench", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = perf_counter() - began
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    cpu = used.ru_utime + used.ru_stime
    return (
        f"{seconds:.1f} s, {cpu:.1f} s of processors, {used.ru_maxrss / 1e3:,.0f} MB "
        f"(load {busy:.1f}, {os.cpu_count()} cores)"
    )


def figure_of(case: str, num_rows: int, of) -> str:
    """Return what a case took, in words."""
    folder = of(num_rows)
    if case == "report":
        took = measure("report", str(folder))
        return f"{took}, HTML {(folder / 'report' / 'report.html').stat().st_size / 1e6:.1f} MB"
    if case == "show":
        return measure("show", str(folder))
    if case == "compare":
        other = folder.with_name(f"{folder.name}-elsewhere")
        if not other.exists():
            _apart(write_elsewhere, folder, other)
        return measure("compare", str(folder), str(other), "--out", str(folder.with_name("page")))
    out = folder.with_name(f"{folder.name}-{case}")
    took = measure("export", str(folder), "--to", case, "--out", str(out))
    shutil.rmtree(out)
    return took


SIZES = {
    "report": (2_000, 100_000),
    "show": (100_000,),
    "compare": (100_000,),
    "csv": (100_000,),
    "tensorboard": (2_000,),
    "mlflow": (2_000,),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__.split("\n\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"{', '.join(SIZES)} [all]")
    parser.add_argument("--rows", type=int, nargs="+", help="trials [those above]")
    options = parser.parse_args()
    if unknown := set(options.cases) - set(SIZES):
        parser.error(f"found {', '.join(sorted(unknown))}; allowed: {', '.join(SIZES)}")
    with folders() as of:
        for case in options.cases or SIZES:
            for num_rows in options.rows or SIZES[case]:
                print(f"{case}, {num_rows:,} trials: {figure_of(case, num_rows, of)}", flush=True)


if __name__ == "__main__":
    main()
