"""Schedules that torch lacks, as pure functions: a multiplier of the base rate for each step. No torch here.

Each takes the number of steps taken so far (0 at the first) and returns what the base rate is multiplied with.
`lrbench.schedulers` has a torch class for each. One without further arguments may be named in a study as it is, like a
function of your own: `{ name = "LambdaLR", lr_lambda = "lrbench.schedules:inverse_sqrt" }`.

Let T = total_steps. Each decay is min_factor + (1 - min_factor) · f(min(step / T, 1)): it is 1 at step 0 (tanh:
nearly), has its last value at step T and keeps it from there on. So the last of T steps, which is step T - 1, still has
a rate above the last value, as in torch's CosineAnnealingLR. Bad arguments raise ValueError. What this module does
*not* do: know an optimizer, a base rate, an epoch or a parameter group.
"""

import math
from typing import Literal


def _share_taken(step: int, total_steps: int, min_factor: float) -> float:
    """Return min(step / total_steps, 1), once all three are what they should be. The comparisons refuse NaN too."""
    if not step >= 0:
        raise ValueError(f"step = {step} is a number of steps taken: 0 or more")
    if not total_steps >= 1:
        raise ValueError(f"total_steps = {total_steps} is the length of the schedule in steps: 1 or more")
    if not 0 <= min_factor <= 1:
        raise ValueError(f"min_factor = {min_factor} is the last multiplier of the base rate: from 0 to 1")
    return min(step / total_steps, 1.0)


def cosine_decay(step: int, *, total_steps: int, min_factor: float = 0.0) -> float:
    """Return min_factor + (1 - min_factor) · (1 + cos(π · step / T)) / 2: half a wave from 1 down to min_factor.

    torch's CosineAnnealingLR climbs again after T_max; this one holds min_factor. Source: Loshchilov and Hutter,
    arXiv 1608.03983, equation 5, one period.

    >>> [round(cosine_decay(t, total_steps=4), 3) for t in (0, 1, 2, 4, 6)]
    [1.0, 0.854, 0.5, 0.0, 0.0]
    """
    share = _share_taken(step, total_steps, min_factor)
    return min_factor + (1 - min_factor) * (1 + math.cos(math.pi * share)) / 2


def linear_decay(step: int, *, total_steps: int, min_factor: float = 0.0) -> float:
    """Return min_factor + (1 - min_factor) · (1 - step / T): a straight line, to zero unless min_factor is given.

    Sources: Defazio et al., arXiv 2310.07831, and Bergsma et al., arXiv 2502.15938, who both recommend it to zero.

    >>> [linear_decay(t, total_steps=4) for t in (0, 1, 2, 4, 6)]
    [1.0, 0.75, 0.5, 0.0, 0.0]
    """
    return min_factor + (1 - min_factor) * (1 - _share_taken(step, total_steps, min_factor))


def rex(step: int, *, total_steps: int, min_factor: float = 0.0) -> float:
    """Return min_factor + (1 - min_factor) · z / (1/2 + z/2), z = 1 - step / T: above the line, steep at the end.

    Source: the reflected exponential (REX) of Chen, Wolfe and Kyrillidis, arXiv 2107.04197, which samples it at every
    step and has no min_factor (0 here).

    >>> [round(rex(t, total_steps=4), 3) for t in (0, 1, 2, 3, 4, 6)]
    [1.0, 0.857, 0.667, 0.4, 0.0, 0.0]
    """
    left = 1 - _share_taken(step, total_steps, min_factor)
    return min_factor + (1 - min_factor) * left / (0.5 + 0.5 * left)


def tanh_decay(
    step: int, *, total_steps: int, lower: float = -6.0, upper: float = 3.0, min_factor: float = 0.0
) -> float:
    """Return min_factor + (1 - min_factor) · (1 - tanh(lower + (upper - lower) · step / T)) / 2: high, a fall, low.

    It falls fastest where the argument of tanh is 0, at step T · lower / (lower - upper). Neither end is exact: with
    the default bounds it begins 6e-6 below 1 and ends at 0.0025 of the way above min_factor. Source: hyperbolic-tangent
    decay of Hsueh, Li and Wu, arXiv 1806.01593; the bounds -6 and 3 are theirs.

    >>> [round(tanh_decay(t, total_steps=9), 4) for t in (0, 5, 6, 7, 9, 12)]
    [1.0, 0.8808, 0.5, 0.1192, 0.0025, 0.0025]
    """
    if not -math.inf < lower < upper < math.inf:
        raise ValueError(f"lower = {lower} and upper = {upper} are bounds of tanh's argument: finite, lower first")
    at = lower + (upper - lower) * _share_taken(step, total_steps, min_factor)
    return min_factor + (1 - min_factor) * (1 - math.tanh(at)) / 2


def warmup_stable_decay(
    step: int,
    *,
    total_steps: int,
    decay_steps: int,
    decay: Literal["linear", "cosine", "1-sqrt"] = "1-sqrt",
    min_factor: float = 0.0,
) -> float:
    """Return 1 up to step T - decay_steps, then fall to min_factor at T. Its warm-up is a WarmupLR around it.

    With x = the share of the decay that is over: linear 1 - x, cosine (1 + cos(π · x)) / 2, 1-sqrt 1 - √x, each times
    1 - min_factor, plus min_factor. decay_steps = T decays from the first step on; at least one step decays (for none
    there is ConstantLR(factor=1)). Sources: Hu et al. (MiniCPM), arXiv 2404.06395, for the three phases; Hägele et al.,
    arXiv 2405.18392, for 1-sqrt.

    >>> [round(warmup_stable_decay(t, total_steps=10, decay_steps=4), 3) for t in (0, 6, 7, 8, 10, 12)]
    [1.0, 1.0, 0.5, 0.293, 0.0, 0.0]
    """
    _share_taken(step, total_steps, min_factor)
    if not 1 <= decay_steps <= total_steps:
        raise ValueError(
            f"decay_steps = {decay_steps} is a part of the {total_steps} total_steps: from 1 to {total_steps}"
        )
    x = min(max(step - (total_steps - decay_steps), 0) / decay_steps, 1.0)
    if decay == "linear":
        shape = 1 - x
    elif decay == "cosine":
        shape = (1 + math.cos(math.pi * x)) / 2
    elif decay == "1-sqrt":
        shape = 1 - math.sqrt(x)
    else:
        raise ValueError(f'decay = {decay!r} is no shape of the decay: "linear", "cosine" or "1-sqrt"')
    return min_factor + (1 - min_factor) * shape


def inverse_sqrt(step: int, *, timescale: int = 1) -> float:
    """Return 1 / √(1 + step / timescale): it never ends, and is one half at step 3 · timescale.

    Source: the decay of Vaswani et al., arXiv 1706.03762, equation 3, moved to begin at 1 and without its warm-up. With
    timescale = their warm-up steps W and step counted from the end of the warm-up it is theirs exactly: √(W / t).

    >>> inverse_sqrt(0), inverse_sqrt(3), inverse_sqrt(300, timescale=100)
    (1.0, 0.5, 0.5)
    """
    if not step >= 0:
        raise ValueError(f"step = {step} is a number of steps taken: 0 or more")
    if not timescale >= 1:
        raise ValueError(f"timescale = {timescale} is a number of steps: 1 or more")
    return (1 + step / timescale) ** -0.5


def linear_warmup(step: int, *, num_steps: int) -> float:
    """Return min(1, (step + 1) / num_steps): never 0, and 1 from step num_steps - 1 on.

    Source: Ma and Yarats, arXiv 1910.04209; their t is step + 1.

    >>> [linear_warmup(t, num_steps=4) for t in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    _check_warmup(step, num_steps)
    return min(1.0, (step + 1) / num_steps)


def exponential_warmup(step: int, *, num_steps: int) -> float:
    """Return 1 - exp(-(step + 1) / num_steps): 63 % after num_steps steps, 95 % after three times as many.

    num_steps is its time constant, not its end: it nears 1 for ever. Source: Ma and Yarats, arXiv 1910.04209.

    >>> [round(exponential_warmup(t, num_steps=4), 3) for t in (0, 3, 11)]
    [0.221, 0.632, 0.95]
    """
    _check_warmup(step, num_steps)
    return -math.expm1(-(step + 1) / num_steps)


def constant_warmup(step: int, *, num_steps: int, factor: float) -> float:
    """Return `factor` at the first num_steps steps, then 1. A factor of 0 freezes these steps.

    Source: the constant warm-up of Goyal et al., arXiv 1706.02677.

    >>> [constant_warmup(t, num_steps=2, factor=0.1) for t in range(4)]
    [0.1, 0.1, 1.0, 1.0]
    """
    _check_warmup(step, num_steps)
    if not 0 <= factor <= 1:
        raise ValueError(f"factor = {factor} is what the rate is multiplied with meanwhile: from 0 to 1")
    return factor if step < num_steps else 1.0


def untuned_linear_warmup(step: int, *, beta2: float) -> float:
    """Return min(1, (step + 1) · (1 - beta2) / 2): linear over 2 / (1 - beta2) steps, which are not rounded.

    beta2 is Adam's second; 0.999 makes it 2000 steps. Source: Ma and Yarats, arXiv 1910.04209: the one rule that they
    recommend. (The package pytorch_warmup rounds 2 / (1 - beta2) down to whole steps.)

    >>> [untuned_linear_warmup(t, beta2=0.75) for t in (0, 3, 7, 8)]
    [0.125, 0.5, 1.0, 1.0]
    """
    _check_beta2(step, beta2)
    return min(1.0, (step + 1) * (1 - beta2) / 2)


def untuned_exponential_warmup(step: int, *, beta2: float) -> float:
    """Return 1 - exp(-(step + 1) · (1 - beta2)): exponential with the time constant 1 / (1 - beta2).

    Source: Ma and Yarats, arXiv 1910.04209.

    >>> [round(untuned_exponential_warmup(t, beta2=0.75), 3) for t in (0, 3, 11)]
    [0.221, 0.632, 0.95]
    """
    _check_beta2(step, beta2)
    return -math.expm1(-(step + 1) * (1 - beta2))


def _check_warmup(step: int, num_steps: int) -> None:
    if not step >= 0:
        raise ValueError(f"step = {step} is a number of optimizer steps taken: 0 or more")
    if not num_steps >= 1:
        raise ValueError(f"num_steps = {num_steps} is the length of the warm-up in optimizer steps: 1 or more")


def _check_beta2(step: int, beta2: float) -> None:
    if not step >= 0:
        raise ValueError(f"step = {step} is a number of optimizer steps taken: 0 or more")
    if not 0 <= beta2 < 1:
        raise ValueError(f"beta2 = {beta2} is Adam's second beta: at least 0 and below 1")
