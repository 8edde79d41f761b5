"""What the process of a trial holds of the machine: memory of its own, and the cores it may use."""


def private_memory_mib() -> float:
    """Return the memory of this process that no other shares: not the pages it has from the forkserver."""
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_")) / 1024


def format_cores(cores: set[int]) -> str:
    """Return core numbers as ranges.

    >>> format_cores({0, 1, 2, 5})
    '0-2,5'
    """
    ranges: list[list[int]] = []
    for core in sorted(cores):
        if ranges and core == ranges[-1][1] + 1:
            ranges[-1][1] = core
        else:
            ranges.append([core, core])
    return ",".join(f"{a}-{b}" if a < b else f"{a}" for a, b in ranges)
