"""Large pages for the process that trials are forked from; asked of real processes."""

import platform
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from lrbench.executors import Job, open_executor
from lrbench.factors import Trial
from lrbench.start import LARGE_PAGES, Zygote, large_pages_are_ours_to_ask
from lrbench.tests.helpers.commands import wait_until
from lrbench.tests.helpers.studies import RECIPE, SMALL, USERS

KERNEL = tuple(int(part) for part in platform.release().split(".")[:2]) if sys.platform == "linux" else (0, 0)
PROGRAM = """
import os, re
from lrbench.executors.pages import collapse

def huge_kib():
    with open("/proc/self/smaps_rollup") as file:
        return int(re.search(r"AnonHugePages: +([0-9]+) kB", file.read())[1])

pattern = bytes(range(256))
held = bytearray(pattern * (4 * 16_384))  # 16 MiB
before, num_bytes, after = huge_kib(), collapse(), huge_kib()
child = os.fork()
if child == 0:
    held[:] = bytes(len(held))
    os._exit(0)
os.waitpid(child, 0)
print(num_bytes >= 12 * 2**20, after - before >= 12 * 2**10, held == pattern * (4 * 16_384))
"""


@pytest.mark.skipif(KERNEL < (6, 1), reason="the kernel has no MADV_COLLAPSE before Linux 6.1")
def test_memory_lies_in_large_pages_and_is_what_it_was():
    """16 MiB that a process holds are in pages of 2 MiB after the call, and what a fork writes stays its own."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]


given_when_asked = pytest.mark.skipif(
    not large_pages_are_ours_to_ask() or platform.libc_ver()[0] != "glibc",
    reason="needs glibc, and large pages for those who ask: /sys/kernel/mm/transparent_hugepage/enabled is [madvise]",
)


def printed_by_a_trial() -> tuple[str, int]:
    """Run one trial that looks at its memory; return what it printed, and the MiB of its zygote in large pages."""
    trial = Trial(**RECIPE, workload={"model": f"{USERS}:Pages", **SMALL})
    with Zygote() as zygote, closing(open_executor("process", [trial], None, zygote=zygote)) as executor:
        running = executor.start(Job(trial=trial, cores=(), gpu=None, data_root=None, columns={}))
        ended = wait_until("the trial's end", lambda: next(iter(executor.wait(0.1)), None))
        assert ended.row["status"] == "completed", ended.row["error"]
        assert ended is running
        rollup = Path(f"/proc/{zygote.process.pid}/smaps_rollup").read_text()
        return ended.output, int(re.search(r"AnonHugePages: +([0-9]+) kB", rollup)[1]) // 1024


@given_when_asked
def test_the_zygote_has_large_pages_and_its_trials_know_nothing_of_them():
    """What is loaded once lies in large pages from birth; a trial's own memory does not, nor its environment tell."""
    printed, zygote_mib = printed_by_a_trial()
    assert printed == "large_mib=0 GLIBC_TUNABLES=None"
    assert zygote_mib >= 32


@given_when_asked
@pytest.mark.parametrize(("tunables", "large_mib"), [(LARGE_PAGES, 64), ("glibc.malloc.check=0", 0)])
def test_what_the_user_says_of_pages_holds(monkeypatch, tunables, large_mib):
    """GLIBC_TUNABLES set by the user, with large pages or without, is what a trial has."""
    monkeypatch.setenv("GLIBC_TUNABLES", tunables)
    printed, _ = printed_by_a_trial()
    found, kept = re.fullmatch(r"large_mib=([0-9]+) GLIBC_TUNABLES=(.+)", printed).groups()
    assert kept == tunables
    assert large_mib - 4 <= int(found) <= large_mib + 4


def test_who_speaks_of_large_pages_is_left_alone(monkeypatch):
    """With torch's own switch for large pages, or with glibc's tunables, set to anything, lrbench asks for nothing."""
    for name in ("GLIBC_TUNABLES", "THP_MEM_ALLOC_ENABLE"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "0")
            assert not large_pages_are_ours_to_ask()
