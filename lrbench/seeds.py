"""One seed, one stream for each source of randomness, derived by hashing.

Adding (seed + 1, seed + epoch) makes streams collide: torch's DistributedSampler gives (seed 0, epoch 1) and
(seed 1, epoch 0) the same order. A hash of the names and numbers does not.
"""

from hashlib import sha256

STREAMS = ("init", "order", "augmentation", "dropout")


def derive_seed(stream: str, *numbers: int) -> int:
    """Return a seed in [0, 2**63) for a named stream and any numbers (seed, epoch, …).

    The first 8 bytes of sha256("lrbench/stream/n1/n2"), without the sign bit. Pure: the same on every machine and
    Python version. torch's generator on the CPU reads the low 32 bits of a seed alone (`manual_seed(1)` and
    `manual_seed(1 + 2**32)` draw the same), so that among a million seeds about a hundred pairs meet there by chance.

    >>> derive_seed("init", 0) == derive_seed("init", 0), derive_seed("order", 0, 1) == derive_seed("order", 1, 0)
    (True, False)
    """
    text = "/".join(["lrbench", stream, *(str(int(number)) for number in numbers)])
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1
