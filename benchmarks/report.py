"""The report of a large study: `python -m benchmarks.report` makes rows with a known truth and times `lrbench report`.

The rows are simulated (five schedulers, both cuDNN flags, two replicates, so many seeds that their number is reached;
ten rates from 20,000 on), and are written as a finished study's one part. What is timed is the whole command, in a
process of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000, 100_000], help="trials [2000 100000]")
    options = parser.parse_args()
    for num_rows in options.rows:
        with tempfile.TemporaryDirectory(prefix="lrbench-report-") as name:
            num_trials = write(folder := Path(name) / "study", num_rows)
            busy = os.getloadavg()[0]
            began = perf_counter()
            subprocess.run([sys.executable, "-m", "lrbench", "report", str(folder)], check=True, capture_output=True)
            seconds = perf_counter() - began
            page = (folder / "report" / "report.html").stat().st_size / 1e6
            print(
                f"{num_trials:,} trials: {seconds:.1f} s, HTML {page:.1f} MB (load {busy:.1f}, {os.cpu_count()} cores)"
            )


if __name__ == "__main__":
    main()
