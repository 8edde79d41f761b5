"""Torn lines, damaged parts, a full disk and a second writer: what is whole is read, the rest is told."""

import json
import os
import resource
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from lrbench import store
from lrbench.errors import InputError, StoreError
from lrbench.store import Writer, load, locked, scan
from lrbench.tests.helpers.rows import make_row, trial_id
from lrbench.tests.helpers.store_crash_parts import NUM_ROWS, new_study, positions, start_writer, write_all


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
