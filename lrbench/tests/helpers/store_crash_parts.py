"""What the tests of store crash share."""

import subprocess
import sys
from pathlib import Path

from lrbench.store import Writer, load, locked, scan, write_study_record
from lrbench.tests.helpers.rows import make_row, trial_id

NUM_ROWS = 5


def new_study(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    write_study_record(folder, {"study": {"name": "rows"}, "places": [], "num_trials": NUM_ROWS, "schema_version": 1})


def positions(folder: Path) -> list[int]:
    return load(folder, ["position"])["position"].tolist()


def write_all(folder: Path, committed: list[int]) -> None:
    """Write what is not there yet of NUM_ROWS rows and make one file of them, as a runner does."""
    with locked(folder):
        seen = scan(folder)
        with Writer(folder) as writer:
            for n in range(NUM_ROWS):
                if trial_id(n) not in seen:
                    writer.commit(make_row(n))
                    committed.append(n)
            writer.compact()


WRITER = """
import sys
from pathlib import Path
from lrbench import store
from lrbench.tests.helpers.rows import make_row, trial_id
store.FOLD_ROWS, store.TIER = 5, 2
folder = Path(sys.argv[1])
with store.locked(folder):
    seen = store.scan(folder)
    with store.Writer(folder) as writer:
        for n in range(int(sys.argv[2])):
            if trial_id(n) not in seen:
                writer.commit(make_row(n))
                print(n, flush=True)
        writer.compact()
"""


def start_writer(folder: Path, num_rows: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(num_rows)], stdout=subprocess.PIPE, text=True
    )
