"""A study's folder when things go wrong: writers killed anywhere, torn files, full disks, two runners."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lrbench import store
from lrbench.errors import InputError, StoreError
from lrbench.store import Writer, load, locked, scan, write_study_record
from lrbench.tests.helpers.rows import make_row, trial_id

NUM_ROWS = 5


@pytest.fixture
def folder(tmp_path):
    """An empty study's folder."""
    new_study(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Fold after 2 rows and merge 2 parts, so that a few rows go through everything."""
    monkeypatch.setattr(store, "FOLD_ROWS", 2)
    monkeypatch.setattr(store, "TIER", 2)


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


# ------------------------------------------------------------------------------------------- killed between two steps


class Killed(BaseException):
    """The process ended here: nothing below catches this, as nothing catches kill -9."""


class KilledAt:
    """Let the first `steps` calls that change the disk through, and be killed at the next."""

    CALLS = ((os, "write"), (os, "fsync"), (os, "replace"), (os, "ftruncate"), (Path, "unlink"))

    def __init__(self, monkeypatch, steps: int):
        self._left = steps
        for owner, name in self.CALLS:
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, call):
        def counted(*arguments, **keywords):
            if self._left == 0:
                raise Killed
            self._left -= 1
            return call(*arguments, **keywords)

        return counted


def test_a_writer_killed_between_any_two_steps_loses_nothing(folder, monkeypatch):
    """Whatever the last step was, the folder reads as all that was committed, and the next run completes it.

    Every call that changes the disk is a place to be killed at: in the journal, in a fold, in a merge, in the last
    compaction. Each is tried, from the first to the one after the last.
    """
    deaths = 0
    for steps in range(1000):
        shutil.rmtree(folder)
        new_study(folder)
        committed: list[int] = []
        with monkeypatch.context() as patch:
            KilledAt(patch, steps)
            try:
                write_all(folder, committed)
            except Killed:
                deaths += 1
            else:
                break
        found = positions(folder)
        assert found[: len(committed)] == committed, steps
        assert len(found) <= len(committed) + 1, steps  # the row that was being written may be there, whole
        assert sorted(scan(folder)) == sorted(trial_id(n) for n in found), steps
        write_all(folder, [])
        assert positions(folder) == list(range(NUM_ROWS)), steps
        assert [path.suffix for path in (folder / "trials").iterdir()] == [".parquet"], steps
    assert deaths > 30
    assert committed == list(range(NUM_ROWS))


# -------------------------------------------------------------------------------------------------- killed by a signal

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


def test_a_writer_killed_at_random_moments_loses_nothing(folder):
    """Six writers in turn, each killed by signal 9 within its first rows: every row that one told of is there."""
    moments = random.Random(2)
    told: set[int] = set()
    for _ in range(6):
        with start_writer(folder, 400) as writer:
            told.add(int(writer.stdout.readline()))  # it is at work
            time.sleep(moments.random() * 0.05)
            writer.kill()
            told |= {int(line) for line in writer.stdout.read().splitlines()}
        found = positions(folder)
        assert told <= set(found)
        assert len(found) == len(set(found)) <= len(told) + 6
        assert set(scan(folder)) == {trial_id(n) for n in found}
    assert len(told) > 6
    with start_writer(folder, len(found) + 1) as writer:
        writer.stdout.read()
    assert writer.returncode == 0
    assert positions(folder) == list(range(len(found) + 1))


def test_a_reader_beside_a_writer_always_sees_what_was_committed(folder):
    """Reading takes no lock: while another process commits, folds and merges, no committed row is ever missing."""
    with start_writer(folder, 150) as writer:
        num_committed, num_reads = 0, 0
        told = iter(writer.stdout.readline, "")
        for line in told:
            num_committed = int(line) + 1
            if num_committed % 5 == 0:
                assert len(scan(folder)) >= num_committed
                num_reads += 1
                if num_committed % 50 == 0:
                    assert positions(folder)[:num_committed] == list(range(num_committed))
    assert writer.returncode == 0
    assert num_reads == 30
    assert positions(folder) == list(range(150))


def test_a_fold_in_the_middle_of_a_reading_hides_no_row(folder, monkeypatch):
    """A journal that becomes a part after the reader listed the parts, or the journals, is still read once."""
    with locked(folder), Writer(folder) as writer:
        writer.commit(make_row(0))
        listdir, calls = os.listdir, []

        def fold_in_between(path):
            names = listdir(path)
            calls.append(path)
            if len(calls) == 1:
                writer.fold()
            return names

        monkeypatch.setattr(os, "listdir", fold_in_between)
        assert scan(folder) == {trial_id(0): ("completed", 0)}
        assert len(calls) > 1


def test_a_listing_that_shows_neither_name_hides_no_row(folder, monkeypatch):
    """A folder listed while a journal becomes a part may show neither: that list is not believed."""
    with locked(folder), Writer(folder) as writer:
        writer.commit(make_row(0))
        listdir, calls = os.listdir, []

        def torn(path):
            calls.append(path)
            if len(calls) > 1:
                return listdir(path)
            writer.fold()
            return []

        monkeypatch.setattr(os, "listdir", torn)
        assert scan(folder) == {trial_id(0): ("completed", 0)}


# ---------------------------------------------------------------------------------------------------------- torn files


@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.98])
def test_a_torn_line_is_no_row(folder, kept):
    """A journal whose last line was cut off reads as the rows before it; the trial can be run again."""
    with locked(folder), Writer(folder) as writer:
        writer.commit(make_row(0))
    journal = folder / "trials" / "journal-000000.jsonl"
    line = journal.read_bytes()
    with open(journal, "ab") as file:
        file.write(line.replace(trial_id(0).encode(), trial_id(1).encode())[: int(len(line) * kept)])
    assert positions(folder) == [0]
    write_all(folder, [])
    assert positions(folder) == list(range(NUM_ROWS))


def test_a_line_that_was_changed_is_no_row(folder):
    """A journal line whose bytes do not fit their checksum is left out; those around it stay."""
    store.FOLD_ROWS = 10
    with locked(folder), Writer(folder) as writer:
        for n in range(3):
            writer.commit(make_row(n))
    journal = folder / "trials" / "journal-000000.jsonl"
    data = bytearray(journal.read_bytes())
    middle = data.index(trial_id(1).encode())
    data[middle] ^= 1
    journal.write_bytes(data)
    assert positions(folder) == [0, 2]


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "middle"])
def test_a_damaged_part_is_one_clear_error(folder, damage):
    """A part that was damaged at rest is named, with what to do; it is not skipped in silence."""
    write_all(folder, [])
    (part,) = (folder / "trials").iterdir()
    data = part.read_bytes()
    changed = {
        "cut": data[: len(data) // 2],
        "empty": b"",
        "text": b"not parquet at all, but long enough to hold a footer",
        "middle": data[:100] + bytes(len(data) - 200) + data[-100:],
    }
    part.write_bytes(changed[damage])
    for read in (scan, load):
        with pytest.raises(InputError) as caught:
            read(folder)
        assert str(part) in str(caught.value)
        assert "run the study again" in str(caught.value)


def test_files_that_are_not_ours_are_left_alone(folder):
    """Notes, hidden files and other parquet files in the folder are neither read nor removed; our strays are."""
    trials = folder / "trials"
    trials.mkdir()
    for name in ("notes.txt", ".hidden", "part-1.parquet", "journal.jsonl"):
        (trials / name).write_text("mine")
    (trials / ".part-000000-000000.parquet.tmp").write_text("left by a writer that was killed")
    write_all(folder, [])
    assert positions(folder) == list(range(NUM_ROWS))
    assert sorted(path.name for path in trials.iterdir()) == [
        ".hidden",
        "journal.jsonl",
        "notes.txt",
        "part-000000-000002.parquet",
        "part-1.parquet",
    ]


# ---------------------------------------------------------------------------------------------------------- full disks


def fill_up(folder: Path, first: int = 0, afterwards=lambda writer, count: None) -> int:
    """Commit rows from `first` on until the disk is full, then call `afterwards`; return how many were committed."""
    committed = []

    def fill() -> None:
        with locked(folder), Writer(folder) as writer:
            try:
                for n in range(first, 10_000):
                    writer.commit(make_row(n, train_loss_steps=[0.1234567] * 200))
                    committed.append(n)
            finally:
                afterwards(writer, len(committed))

    with pytest.raises(StoreError, match="Every row committed before is safe"):
        fill()
    return len(committed)


def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path, monkeypatch):
    """On a file system of 300 kB the writer says what happened; all rows are there, and it goes on once there is room.

    The place where the disk is full moves: between rows, in a row, in a fold, in a merge.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mounting a small tmpfs needs root: {mounted.stderr.strip()}")
    try:
        for taken in range(0, 60_000, 11_000):
            folder = disk / str(taken)
            new_study(folder)
            (disk / "ballast").write_bytes(bytes(taken))
            count = fill_up(folder)
            assert count > 3
            assert positions(folder)[:count] == list(range(count))
            fill_up(folder, first=1_000)  # still full: the next run says so too
            assert positions(folder)[:count] == list(range(count))
            (disk / "ballast").unlink()
            for stray in (folder / "trials").glob(".*.tmp"):
                pytest.fail(f"{stray} takes room that nobody has")
            shutil.move(folder, tmp_path / str(taken))
            with locked(tmp_path / str(taken)), Writer(tmp_path / str(taken)) as writer:
                writer.compact()
            assert positions(tmp_path / str(taken))[:count] == list(range(count))
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_quota_is_a_clear_error_and_loses_nothing(folder):
    """Where a file may not grow (a quota, `ulimit -f`), the row that does not fit is refused and no other is lost.

    The writer itself can go on once there is room: what was written of the refused row is gone.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    store.FOLD_ROWS = 10_000
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))

    def with_room_again(writer: Writer, count: int) -> None:
        assert positions(folder) == list(range(count))
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        writer.commit(make_row(count))

    try:
        count = fill_up(folder, afterwards=with_room_again)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert count > 3
    assert positions(folder) == list(range(count + 1))
    write_all(folder, [])
    assert positions(folder) == list(range(count + 1))


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    """--out at a file, or below one, is refused with the reason."""
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="cannot be written"), locked(place):
            pass


# --------------------------------------------------------------------------------------------------------------- locks


def test_a_second_writer_is_refused_by_name(folder):
    """The lock says who holds the folder, and is free again afterwards."""
    with locked(folder):
        with pytest.raises(InputError, match=f"process {os.getpid()} on ") as caught, locked(folder):
            pass
        assert "--out DIR" in str(caught.value)
    with locked(folder):
        pass


def test_a_dead_holder_keeps_no_lock(folder):
    """A writer that was killed by signal 9 leaves its lock file behind and the folder free."""
    with start_writer(folder, 100_000) as writer:
        writer.stdout.readline()
        with pytest.raises(InputError, match=f"process {writer.pid} "), locked(folder):
            pass
        writer.kill()
        writer.wait()
        assert (folder / "lock").exists()
        with locked(folder):
            pass


def test_threads_of_one_process_exclude_each_other_too(folder):
    """Two runs started in one Python process on one folder: one has the lock, the other is refused."""
    refused = []

    def second() -> None:
        try:
            with locked(folder):
                pass
        except InputError as error:
            refused.append(error)

    with locked(folder):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_the_journal_is_lines_that_people_can_read(folder):
    """A journal line is JSON, a tab, JSON, a tab, a checksum: readable when all else fails."""
    with locked(folder), Writer(folder) as writer:
        writer.commit(make_row(5))
    flat, deep, checksum = (folder / "trials" / "journal-000000.jsonl").read_text().rstrip("\n").split("\t")
    assert json.loads(flat)["trial_id"] == trial_id(5)
    assert json.loads(deep)["predictions"] == [5, 2, 3]
    assert len(checksum) == 8
