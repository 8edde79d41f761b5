"""A torch LRScheduler for each decay of `lrbench.schedules`: the base rate times a pure function of the step.

The only thing that changes is torch's own counter, last_epoch, so the rate at a step does not depend on how the
scheduler came there: uninterrupted, by load_state_dict or by `last_epoch=`. As with every torch scheduler, load the
optimizer's state after the scheduler is built. They may stand in torch's SequentialLR. In ChainedScheduler they put
their own rate over that of the schedulers before them, as LambdaLR does: ProductLR multiplies. A rate that is a tensor
stays that tensor. Bad arguments raise ValueError. What this does *not* do: hold a formula; those are in
`lrbench.schedules`.
"""

from typing import Literal

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lrbench import schedules


class _ShapeLR(LRScheduler):
    """The rate of each parameter group is its base rate times `factor(last_epoch)`."""

    def __init__(self, optimizer: Optimizer, last_epoch: int) -> None:
        self.factor(0)  # raises ValueError for bad arguments, before torch has touched the optimizer
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Return the multiplier of the base rates after `step` scheduler steps."""
        raise NotImplementedError

    def get_lr(self) -> list[float | Tensor]:
        """Return the rates in force, one for each parameter group; unlike torch's recursive classes, at any moment."""
        factor = self.factor(self.last_epoch)
        return [base_lr * factor for base_lr in self.base_lrs]


class WarmupStableDecayLR(_ShapeLR):
    """Hold the base rate, then let it fall over the last `decay_steps` of `total_steps` to min_factor of it.

    For its warm-up put a WarmupLR around it. Formula and sources: lrbench.schedules.warmup_stable_decay.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    >>> scheduler = WarmupStableDecayLR(optimizer, total_steps=10, decay_steps=4)
    >>> [round(0.5 * scheduler.factor(step), 3) for step in (0, 6, 7, 8, 10, 12)]
    [0.5, 0.5, 0.25, 0.146, 0.0, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        decay_steps: int,
        decay: Literal["linear", "cosine", "1-sqrt"] = "1-sqrt",
        min_factor: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_steps = total_steps
        self.decay_steps = decay_steps
        self.decay = decay
        self.min_factor = min_factor
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Return lrbench.schedules.warmup_stable_decay(step)."""
        return schedules.warmup_stable_decay(
            step,
            total_steps=self.total_steps,
            decay_steps=self.decay_steps,
            decay=self.decay,
            min_factor=self.min_factor,
        )


class InverseSqrtLR(_ShapeLR):
    """Divide the base rate by √(1 + step / timescale), without end. See lrbench.schedules.inverse_sqrt."""

    def __init__(self, optimizer: Optimizer, timescale: int = 1, last_epoch: int = -1) -> None:
        self.timescale = timescale
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Return lrbench.schedules.inverse_sqrt(step)."""
        return schedules.inverse_sqrt(step, timescale=self.timescale)


class CosineDecayLR(_ShapeLR):
    """Half a cosine from the base rate to min_factor of it, held from there on. See lrbench.schedules.cosine_decay.

    torch's CosineAnnealingLR(T_max, eta_min) is the same curve up to T_max, in rates instead of factors; it then climbs
    again.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, min_factor: float = 0.0, last_epoch: int = -1) -> None:
        self.total_steps = total_steps
        self.min_factor = min_factor
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Return lrbench.schedules.cosine_decay(step)."""
        return schedules.cosine_decay(step, total_steps=self.total_steps, min_factor=self.min_factor)


class LinearDecayLR(_ShapeLR):
    """A straight line from the base rate to min_factor of it (0: linear to zero), held from there on.

    torch's LinearLR(1.0, min_factor, total_iters) is the same line. Sources: lrbench.schedules.linear_decay.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, min_factor: float = 0.0, last_epoch: int = -1) -> None:
        self.total_steps = total_steps
        self.min_factor = min_factor
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Return lrbench.schedules.linear_decay(step)."""
        return schedules.linear_decay(step, total_steps=self.total_steps, min_factor=self.min_factor)


class REXLR(_ShapeLR):
    """The reflected exponential: above the line all the way, and steep at the end. See lrbench.schedules.rex."""

    def __init__(self, optimizer: Optimizer, total_steps: int, min_factor: float = 0.0, last_epoch: int = -1) -> None:
        self.total_steps = total_steps
        self.min_factor = min_factor
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Return lrbench.schedules.rex(step)."""
        return schedules.rex(step, total_steps=self.total_steps, min_factor=self.min_factor)


class TanhDecayLR(_ShapeLR):
    """A high shoulder, a fall, a low shoulder; neither end is exact. See lrbench.schedules.tanh_decay."""

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        lower: float = -6.0,
        upper: float = 3.0,
        min_factor: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_steps = total_steps
        self.lower = lower
        self.upper = upper
        self.min_factor = min_factor
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Return lrbench.schedules.tanh_decay(step)."""
        return schedules.tanh_decay(
            step, total_steps=self.total_steps, lower=self.lower, upper=self.upper, min_factor=self.min_factor
        )
