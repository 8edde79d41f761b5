"""Choices that look random and never change: which images are held out, what synthetic images show.

What this does *not* do: anything that a seed decides (`lrbench.seeds`, and torch's generators in a trial).
"""

from hashlib import sha256

import numpy as np


def splitmix64(start: int, n: int) -> np.ndarray:
    """Return n uint64 numbers that look random (Steele, Lea and Flood 2014, doi 10.1145/2660193.2660195).

    The same on every machine; NumPy's own generators may change their streams from one version to the next.
    """
    z = np.uint64(start) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def fixed_bits(n: int, purpose: str) -> np.ndarray:
    """Return n fixed uint64 numbers, others for each purpose."""
    return splitmix64(int.from_bytes(sha256(f"lrbench/{purpose}".encode()).digest()[:8], "big"), n)


def fixed_permutation(n: int, purpose: str) -> np.ndarray:
    """Return a fixed permutation of range(n), int64."""
    return np.argsort(fixed_bits(n, purpose), kind="stable")
