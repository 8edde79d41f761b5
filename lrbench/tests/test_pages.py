"""Large pages for the process that trials are forked from; asked of real processes."""

import platform
import subprocess
import sys

import pytest

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
