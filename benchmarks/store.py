"""The store at 100,000 trials: `python -m benchmarks.store` fills a folder row by row and times what a user waits for.

Each row is committed as a run commits it: journal, parts, tiers. Half-way between two folds ("in the middle of a run")
and again after compaction, the flat columns are loaded and the folder is scanned for what is left to do. Rows are one
real trial's, with other ids and seeds; their nested columns are cut to eight values, which a flat load never reads.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import lrbench
from lrbench.record import FLAT
from lrbench.store import Writer, load, locked, scan, write_study_record

NESTED_VALUES = 8
HALF_A_FOLD = 500
REPEATS = 5


def real_row() -> dict:
    """Return the row of one short trial, its nested columns cut. Raises RuntimeError where the trial fails."""
    study = lrbench.read_study("benchmarks").with_levels(epochs=1)
    row = lrbench.run_trial(lrbench.trials(study, "cpu")[0])
    if row["status"] != "completed":
        raise RuntimeError(row["error"])
    cut = {name: value[:NESTED_VALUES] for name, value in row.items() if isinstance(value, list)}
    return {**row, **cut, "block": 0, "position": 0, "attempt": 0, "study": "benchmarks"}


def times(function: Callable[[], object]) -> list[float]:
    """Return the seconds that REPEATS calls take, each."""
    seconds = []
    for _ in range(REPEATS):
        began = perf_counter()
        function()
        seconds.append(perf_counter() - began)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="rows in the store [100000]")
    parser.add_argument("--beside", type=Path, default=Path("results"), help="folder to make it in [results]")
    options = parser.parse_args()
    row = real_row()
    options.beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.beside, prefix=".store-") as name, locked(folder := Path(name)):
        write_study_record(folder, {"study": {"name": "store"}, "places": [], "num_trials": options.rows})
        began = perf_counter()
        with Writer(folder) as writer:
            for number in range(options.rows):
                writer.commit(row | {"trial_id": f"{number:016x}", "seed": number, "position": number})
                if number % 10_000 == 0:
                    print(f"\r{number:,} rows", end="", flush=True)
                if number == options.rows - HALF_A_FOLD:
                    middle = {"load": times(lambda: load(folder, FLAT)), "scan": times(lambda: scan(folder))}
            print(f"\r{options.rows:,} rows committed in {perf_counter() - began:.0f} s")
            began = perf_counter()
            writer.compact()
            print(f"compacted in {perf_counter() - began:.1f} s")
        after = {"load": times(lambda: load(folder, FLAT)), "scan": times(lambda: scan(folder))}
        assert len(scan(folder)) == options.rows
    for text, key, wanted in (("flat columns loaded", "load", "≤ 1 s"), ("scan for a resume", "scan", "≤ 0.2 s")):
        for when, seen in (("in the middle of a run", middle), ("compacted", after)):
            spread = f"{median(seen[key]):.2f} s ({min(seen[key]):.2f} to {max(seen[key]):.2f}, n = {REPEATS})"
            print(f"{f'{text}, {when}':44} {spread:34} {wanted}")


if __name__ == "__main__":
    main()
