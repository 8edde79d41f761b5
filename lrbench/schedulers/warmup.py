"""A warm-up around any scheduler, ReduceLROnPlateau included: the scheduled rate times a factor of the optimizer step.

The two clocks are apart: `step` after each optimizer step, `step_scheduler` where the scheduler itself is to move, be
that after an epoch, an optimizer step or an evaluation. The scheduler never meets a warmed-up rate: its own is put back
into the optimizer while it moves, so recursive ones and those that cut the rate they find go on as if there were no
warm-up. What this does *not* do: delay the scheduler, which runs on underneath, or stand inside a composition.
"""

import copy
from typing import Any, Literal

from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from lrbench import schedules

_KINDS = {
    "linear": (schedules.linear_warmup, ("num_steps",)),
    "exponential": (schedules.exponential_warmup, ("num_steps",)),
    "constant": (schedules.constant_warmup, ("num_steps", "factor")),
    "untuned_linear": (schedules.untuned_linear_warmup, ("beta2",)),
    "untuned_exponential": (schedules.untuned_exponential_warmup, ("beta2",)),
}


class WarmupLR:
    """Multiply the rates of `scheduler` by a warm-up factor, which is a function of the optimizer steps taken.

    linear and exponential take num_steps, constant takes num_steps and factor, the untuned ones take beta2 (Adam's
    second; Ma and Yarats, arXiv 1910.04209); the formulas are those of lrbench.schedules. Build it after the scheduler
    and before the first optimizer step. Another argument, or a bad one, raises ValueError.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.8)
    >>> plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    >>> warmup = WarmupLR(plateau, "linear", num_steps=4)
    >>> for loss in (1.0, 2.0, 1.5):  # epochs of two optimizer steps; plateau halves its rate after the second
    ...     for _ in range(2):
    ...         print(f"{warmup.get_last_lr()[0]:.1f}")
    ...         optimizer.step()
    ...         warmup.step()
    ...     warmup.step_scheduler(loss)
    0.2
    0.4
    0.6
    0.8
    0.4
    0.4
    """

    def __init__(
        self,
        scheduler: LRScheduler,
        kind: Literal["linear", "exponential", "constant", "untuned_linear", "untuned_exponential"],
        *,
        num_steps: int | None = None,
        factor: float | None = None,
        beta2: float | None = None,
    ) -> None:
        if not isinstance(scheduler, LRScheduler):
            raise TypeError(f"WarmupLR goes around an LRScheduler, and this is a {type(scheduler).__name__}")
        if kind not in _KINDS:
            raise ValueError(f"kind = {kind!r} is no warm-up: {', '.join(_KINDS)}")
        given = {"num_steps": num_steps, "factor": factor, "beta2": beta2}
        self.arguments = {name: value for name, value in given.items() if value is not None}
        if tuple(self.arguments) != _KINDS[kind][1]:
            wanted, found = " and ".join(_KINDS[kind][1]), " and ".join(self.arguments) or "nothing"
            raise ValueError(f"kind = {kind!r} takes {wanted}; {found} was given")
        self.kind = kind
        self.scheduler = scheduler
        self.num_steps_taken = 0
        self.factor(0)  # raises ValueError for bad arguments, before the optimizer is touched
        self._scheduled = self.get_last_lr()
        self._apply()

    @property
    def optimizer(self):
        """The optimizer that the scheduler drives."""
        return self.scheduler.optimizer

    def factor(self, step: int) -> float:
        """Return the warm-up's multiplier at 0-based optimizer step `step`."""
        return _KINDS[self.kind][0](step, **self.arguments)

    def step(self) -> None:
        """Go one optimizer step on. Call it after each optimizer step, and not where AMP has skipped one."""
        self.num_steps_taken += 1
        self._apply()

    def step_scheduler(self, *metrics) -> None:
        """Let the scheduler do its step, from its own rate; `metrics` are passed on to it (ReduceLROnPlateau)."""
        self._write(self._scheduled)
        try:
            self.scheduler.step(*metrics)
        finally:  # a scheduler that refuses its step leaves the rates as they were
            self._scheduled = self.get_last_lr()
            self._apply()

    def get_last_lr(self) -> list[float | Tensor]:
        """Return the rates in the optimizer, warm-up and all, one for each parameter group. Tensors are copies."""
        return [copy.deepcopy(group["lr"]) for group in self.optimizer.param_groups]

    def _apply(self) -> None:
        factor = self.factor(self.num_steps_taken)
        self._write([rate * factor for rate in self._scheduled])

    def _write(self, rates: list[float | Tensor]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            if isinstance(group["lr"], Tensor):  # the tensor itself stays: a captured graph holds on to it
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes, the scheduler's state included, as copies."""
        state = {key: value for key, value in self.__dict__.items() if key != "scheduler"}
        return copy.deepcopy({**state, "scheduler": self.scheduler.state_dict()})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Stand where the warm-up and its scheduler stood whose state this is. The dict is left as it is."""
        state = copy.deepcopy(state_dict)
        self.scheduler.load_state_dict(state.pop("scheduler"))
        self.__dict__.update(state)
