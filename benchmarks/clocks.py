"""Timers for pytest-benchmark, given to a benchmark by its marker: `@pytest.mark.benchmark(timer=…)`.

A timer is a function without arguments that returns seconds; pytest-benchmark calls it before and after each round.
"""

from time import perf_counter

_replayed_seconds = 0.0


def synchronised() -> float:
    """Return seconds, once the GPU has done what it was given; on a machine without CUDA, simply seconds.

    The host's clock, not CUDA events: those are float32 milliseconds, which over a long round lose the digits that
    matter. CUDA is left untouched where this process has not used it.
    """
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return perf_counter()


def replayed() -> float:
    """Return the seconds that `replay` has put on this clock: it stands still in between."""
    return _replayed_seconds


def replay(seconds: float) -> None:
    """Let the clock `replayed` run on by what another clock saw.

    Trials are measured in processes of their own, in the random blocks of their study. pytest-benchmark runs the rounds
    of one condition after the other, which drift of the machine would turn into a difference between conditions.
    """
    global _replayed_seconds
    _replayed_seconds += seconds
