"""A writer that is killed, at any step, loses nothing that was committed, and hides nothing from a reader."""

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from lrbench import store
from lrbench.store import Writer, locked, scan
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
