"""How far two tensors are apart, in units in the last place (ULPs) and in value. Bits in, numbers out; no torch."""

from dataclasses import dataclass

DTYPES = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far two tensors of equal shape and type are apart.

    ULPs count the floating-point numbers of their type from one value to the other (0.0 and -0.0 are one apart); a pair
    of which one is not a number counts as differing and has no distance. max_abs and relative_l2 (the norm of the
    difference by that of A; 0 by 0 is 0) are of the finite values.
    """

    num_values: int
    num_differ: int
    max_ulp: int
    median_ulp: float
    max_abs: float
    relative_l2: float

    @property
    def sentence(self) -> str:
        """Say it."""
        return (
            f"{self.num_differ:,} of {self.num_values:,} values differ, by at most {self.max_ulp:,} ulp "
            f"(median of those {self.median_ulp:g}), {self.max_abs:.3g} in value, {self.relative_l2:.3g} relative (L2)"
        )


def distance(bits_a, bits_b, dtype: str) -> Distance:
    """Return the distance of two arrays of the unsigned integers that are the bits of float16/32/64 or bfloat16.

    >>> import numpy
    >>> one, next_to_it = numpy.array([1.0], "f4").view("u4"), numpy.array([1 + 2**-23], "f4").view("u4")
    >>> distance(one, next_to_it, "float32").max_ulp
    1
    """
    import numpy

    a, b = (_values(bits, dtype) for bits in (bits_a, bits_b))
    finite = numpy.isfinite(a) & numpy.isfinite(b)
    differ = bits_a != bits_b
    steps = ulps(bits_a, bits_b)[differ & ~(numpy.isnan(a) | numpy.isnan(b))]
    with numpy.errstate(over="ignore"):  # two of float64's largest numbers are infinitely far apart
        gap, norm = a[finite] - b[finite], float(numpy.linalg.norm(a[finite]))
        apart = float(numpy.linalg.norm(gap))
    return Distance(
        num_values=int(differ.size),
        num_differ=int(differ.sum()),
        max_ulp=int(steps.max()) if steps.size else 0,
        median_ulp=float(numpy.median(steps)) if steps.size else 0.0,
        max_abs=float(numpy.abs(gap).max()) if gap.size else 0.0,
        relative_l2=apart / norm if norm else (float("inf") if apart else 0.0),
    )


def ulps(bits_a, bits_b):
    """Return for each two values how many numbers of their type lie between them, the second counted: int64.

    0 means equal bits and nothing else. For 64 bits capped at 2**63 - 1. What it says of a pair of which one is not a
    number means nothing: leave those out.

    >>> import numpy
    >>> a, b = numpy.array([0.0, 2**-149], "f4").view("u4"), numpy.array([-0.0, -(2**-149)], "f4").view("u4")
    >>> ulps(a, b).tolist()
    [1, 3]
    """
    import numpy

    return numpy.abs(_ordered(bits_a) - _ordered(bits_b)) if bits_a.dtype.itemsize < 8 else _apart(bits_a, bits_b)


def _ordered(bits):
    """Return whole numbers in the order of the floating-point numbers, neighbours being one apart."""
    import numpy

    size = bits.dtype.itemsize * 8
    magnitude = (bits & ((1 << (size - 1)) - 1)).astype(numpy.int64)
    return numpy.where(bits >> (size - 1), -magnitude - 1, magnitude)


def _apart(bits_a, bits_b):
    """The same for 64 bits, where the difference of ordered numbers can overflow: capped at 2**63 - 1."""
    import numpy

    a, b = (_ordered(bits) for bits in (bits_a, bits_b))
    apart = numpy.maximum(a, b).astype(numpy.uint64) - numpy.minimum(a, b).astype(numpy.uint64)
    return numpy.minimum(apart, numpy.uint64(2**63 - 1)).astype(numpy.int64)


def _values(bits, dtype: str):
    import numpy

    if dtype == "bfloat16":
        bits, dtype = bits.astype(numpy.uint32) << 16, "float32"
    with numpy.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one: a NaN it stays
        return bits.view(dtype).astype(numpy.float64)
