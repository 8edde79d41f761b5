"""Fewer and larger pages for the process that trials are forked from: a fork copies its page tables, an end frees them.

The zygote holds 400 MB of its own after torch is loaded: 100,000 small pages, which each trial pays for at its start
and at its end. Its allocator is told at birth to ask for pages of 2 MiB (`lrbench.start`), and what does not come from
there, Python's own objects and what libraries keep, is moved into them later. Memory that a trial makes for itself lies
in small pages, as torch's does in any other process.
"""

import ctypes
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

_MADV_COLLAPSE = 25
_PR_SET_THP_DISABLE = 41
_PAGE_BYTES = 2 << 20
_PART_BYTES = 8 << 20
_MOST_THREADS = 4
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0 ")  # of no file: a library's data cannot be moved


def collapse() -> int:
    """Put this process's writable memory into large pages; return how many bytes were (madvise(2), MADV_COLLAPSE).

    On several cores, for the time goes into memory that is touched for the first time. A kernel before Linux 6.1 cannot
    and gives 0.
    """
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

    def move(part: tuple[int, int]) -> int:
        begin, length = part
        return length if madvise(begin, length, _MADV_COLLAPSE) == 0 else 0  # refused for a mapping that has gone since

    with ThreadPoolExecutor(min(_MOST_THREADS, len(os.sched_getaffinity(0)))) as threads:
        return sum(threads.map(move, list(_parts())))


def _parts() -> Iterator[tuple[int, int]]:
    """Yield address and length of what can be moved, in whole large pages."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        mappings = [_MAPPING.match(line) for line in maps]
    for mapping in filter(None, mappings):
        begin = -(-int(mapping[1], 16) // _PAGE_BYTES) * _PAGE_BYTES
        end = int(mapping[2], 16) // _PAGE_BYTES * _PAGE_BYTES
        for part in range(begin, end, _PART_BYTES):
            yield part, min(_PART_BYTES, end - part)


def stop_asking() -> None:
    """Give this process and those that it starts small pages from here on, whatever its allocator asks for (prctl(2)).

    NumPy asks too, for arrays of 4 MiB and more, and goes without.
    """
    ctypes.CDLL(None).prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)
