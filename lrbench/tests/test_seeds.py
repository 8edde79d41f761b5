"""Streams of random numbers: named, reproducible for ever, and apart."""

from itertools import product

import pytest

from lrbench.seeds import STREAMS, derive_seed


@pytest.mark.parametrize(
    ("stream", "numbers", "first_8_bytes"),
    [  # of `printf lrbench/init/0 | sha256sum`, and so on
        ("init", (0,), 0x5432A459B5ADD645),
        ("order", (0, 1), 0x431CA96A6B274A3A),
        ("order", (1, 0), 0x8ADA096D2B671BDA),
    ],
)
def test_a_seed_never_changes(stream, numbers, first_8_bytes):
    """A derived seed is the hash that the docstring names, for ever: it decides the bits of every trial."""
    assert derive_seed(stream, *numbers) == first_8_bytes // 2


def test_no_two_streams_share_a_seed():
    """Neither (seed 0, epoch 1) and (seed 1, epoch 0) nor two streams of one seed fall together."""
    seeds = [derive_seed(stream, a, b) for stream, a, b in product(STREAMS, range(30), range(30))]
    assert len(set(seeds)) == len(seeds)


def test_every_seed_is_one_that_torch_and_parquet_hold():
    """Seeds lie in [0, 2**63): a signed 64-bit number everywhere."""
    assert all(0 <= derive_seed(stream, n) < 2**63 for stream, n in product(STREAMS, range(200)))
