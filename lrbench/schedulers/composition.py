"""Schedulers after each other, upon each other, beside each other: right when nested, and right on resume.

torch's SequentialLR and ChainedScheduler let all their children write into one optimizer, where each reads what the
others left: that is why a nested one runs ahead (pytorch#196243), why `last_epoch` starts SequentialLR over
(pytorch#162591) and why ReduceLROnPlateau is not let in. Here every child drives an optimizer of its own, a *shadow*
with the same numbers and no weights, and the composite alone writes into the real one. A child is therefore given as a
function of the optimizer it is to drive:

    parts = [lambda o: ConstantLR(o, factor=0.1, total_iters=20), partial(ExponentialLR, gamma=0.9)]
    scheduler = SequenceLR(optimizer, parts, milestones=[20])

Every child begins from the base rates (`initial_lr`; of a fresh optimizer, `lr`). What else writes into the optimizer's
rates is written over at the next step. Where a child cycles momentum, the composite sets it; otherwise not. As with
every torch scheduler, load the optimizer's state after the scheduler is built. What this does *not* do: step by
anything but its own `step`, warm up (`lrbench.schedulers.warmup`), or take over parameter groups added later.
"""

import copy
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, SupportsFloat

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

Factory = Callable[[Optimizer], LRScheduler]
_NAMES_OF_WEIGHTS = ("params", "param_names")


class _Shadow(Optimizer):
    """The groups `indices` of an optimizer at their base rates, with every number of theirs and no weights."""

    _opt_called = True  # a shadow never steps, so torch must not warn that its scheduler stepped first

    def __init__(self, optimizer: Optimizer, indices: Sequence[int]) -> None:
        groups = []
        for index in indices:
            group = _numbers(optimizer.param_groups[index])
            # No initial_lr is passed on: CyclicLR, which brings its own base rate, would begin at this one instead.
            group["lr"] = group.pop("initial_lr", group["lr"])
            groups.append({**group, "params": [torch.nn.Parameter(torch.empty(0))]})
        super().__init__(groups, copy.deepcopy(optimizer.defaults))

    def step(self, closure: Callable | None = None) -> None:
        """Do nothing: there are no weights."""

    step._wrapped_by_lr_sched = True  # else torch's schedulers wrap it, and miss the wrapping once it was pickled


def _numbers(group: dict[str, Any]) -> dict[str, Any]:
    return {key: copy.deepcopy(value) for key, value in group.items() if key not in _NAMES_OF_WEIGHTS}


def _copy(rate: float | Tensor) -> float | Tensor:
    return rate.clone() if isinstance(rate, Tensor) else rate


def _cycles_momentum(scheduler: LRScheduler) -> bool:
    inner = [*getattr(scheduler, "children", ()), *getattr(scheduler, "_schedulers", ())]
    return getattr(scheduler, "cycle_momentum", False) or any(map(_cycles_momentum, inner))


class _Composite(LRScheduler):
    """Children on shadows: which of them move at a step, and which rates follow, is what the classes below add.

    `children` are the schedulers built. `_position` is the step they stand at: last_epoch, but for the moment in which
    torch takes the composite's first step (again, if it stands in torch's SequentialLR), when no child is to move.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[Factory], indices: list[Sequence[int]], last_epoch: int
    ) -> None:
        self.children = [
            self._built(optimizer, number, factory, its_groups)
            for number, (factory, its_groups) in enumerate(zip(schedulers, indices, strict=True))
        ]
        self._position = 0
        for _ in range(last_epoch + 1):
            if self.wants_metrics:
                raise ValueError(
                    f"last_epoch = {last_epoch} does not tell what metrics ReduceLROnPlateau has seen: "
                    f"build {type(self).__name__} without it, and call load_state_dict"
                )
            self._move(None)
        super().__init__(optimizer, last_epoch)

    def _built(self, optimizer: Optimizer, number: int, factory: Factory, indices: Sequence[int]) -> LRScheduler:
        which = f"{type(self).__name__}: schedulers[{number}]"
        if isinstance(factory, LRScheduler) or not callable(factory):
            kind = type(factory).__name__
            raise TypeError(f"{which} is a {kind}, not a function of the optimizer: write lambda o: {kind}(o, …)")
        shadow = _Shadow(optimizer, indices)
        child = factory(shadow)
        if not isinstance(child, LRScheduler):
            raise TypeError(f"{which} returned a {type(child).__name__}, not an LRScheduler")
        if child.optimizer is not shadow:
            raise ValueError(f"{which} built its {type(child).__name__} on another optimizer than the one it was given")
        return child

    def _movers(self) -> list[LRScheduler]:
        """Return the children that move when the composite does its next step."""
        raise NotImplementedError

    def _ruling_groups(self) -> list[dict[str, Any]]:
        """Return the shadows' groups whose momentum the optimizer's groups have now, one for each."""
        raise NotImplementedError

    @property
    def wants_metrics(self) -> bool:
        """Whether the next step needs a metric: a ReduceLROnPlateau, at any depth, is to move then."""
        return any(isinstance(c, ReduceLROnPlateau) or getattr(c, "wants_metrics", False) for c in self._movers())

    def _move(self, metrics: SupportsFloat | None) -> None:
        for child in self._movers():
            if isinstance(child, ReduceLROnPlateau | _Composite):
                child.step(metrics)
            else:
                child.step()
        self._position += 1

    def step(self, metrics: SupportsFloat | None = None) -> None:
        """Go one step on. Give the metric where a ReduceLROnPlateau may be active; at other steps it is not looked at.

        Raises ValueError, and changes nothing, where a metric is needed and none is given.
        """
        if self.last_epoch == self._position:
            if metrics is None and self.wants_metrics:
                raise ValueError(f"{type(self).__name__} has a ReduceLROnPlateau to move: call step(metric)")
            self._move(metrics)
        super().step()

    def _update_lr(self, epoch: int | None = None) -> None:
        super()._update_lr(epoch)
        if _cycles_momentum(self):
            for group, ruling in zip(self.optimizer.param_groups, self._ruling_groups(), strict=True):
                group.update({key: ruling[key] for key in ("momentum", "betas") if key in ruling})

    def get_lr(self) -> list[float | Tensor]:
        """Return the rates in force, one for each parameter group; unlike torch's recursive classes, at any moment."""
        return [_copy(group["lr"]) for group in self._ruling_groups()]

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes, as copies: the own counters, and each child's state and its shadow's groups."""
        state = {key: value for key, value in self.__dict__.items() if key not in ("optimizer", "children")}
        state["children"] = [
            {"scheduler": child.state_dict(), "groups": [_numbers(group) for group in child.optimizer.param_groups]}
            for child in self.children
        ]
        return copy.deepcopy(state)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Stand where the composite stood whose state this is. The dict is left as it is.

        Raises ValueError where it is the state of another number of schedulers or of parameter groups.
        """
        state = copy.deepcopy(state_dict)
        saved = state.pop("children")
        found, own = [len(s["groups"]) for s in saved], [len(c.optimizer.param_groups) for c in self.children]
        if found != own:
            raise ValueError(
                f"{type(self).__name__} has {len(own)} schedulers, of {own} parameter groups; "
                f"this is the state of {len(found)}, of {found}"
            )
        self.__dict__.update(state)
        for child, its in zip(self.children, saved, strict=True):
            child.load_state_dict(its["scheduler"])
            for group, numbers in zip(child.optimizer.param_groups, its["groups"], strict=True):
                group.update(numbers)


class SequenceLR(_Composite):
    """One scheduler after the other: child i is in force from milestones[i-1] on, and begins there at its own step 0.

    torch documents SequentialLR so, and this is the same wherever that is right: flat, and without last_epoch. It stays
    so when nested to any depth, with `last_epoch`, and with ReduceLROnPlateau, which sees the metrics of its own phase
    alone: `step(metric)`. Milestones count this scheduler's steps and do not fall; two equal ones leave a child out.

    >>> from functools import partial
    >>> from torch.optim.lr_scheduler import ConstantLR, ExponentialLR
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> parts = [partial(ConstantLR, factor=0.1, total_iters=9), partial(ExponentialLR, gamma=0.5)]
    >>> scheduler = SequenceLR(optimizer, parts, milestones=[2])
    >>> rates = []
    >>> for _ in range(5):
    ...     rates.append(scheduler.get_last_lr())
    ...     optimizer.step()
    ...     scheduler.step()
    >>> rates
    [[0.1], [0.1], [1.0], [0.5], [0.25]]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[Factory], milestones: list[int], last_epoch: int = -1
    ) -> None:
        if len(schedulers) < 1 or len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequenceLR: {len(schedulers)} schedulers and {len(milestones)} milestones; "
                "give at least one scheduler, and a milestone for each but the first"
            )
        if list(milestones) != sorted(milestones) or any(milestone < 0 for milestone in milestones):
            raise ValueError(f"SequenceLR: milestones {list(milestones)} are steps, in order, 0 or more")
        self.milestones = list(milestones)
        every = range(len(optimizer.param_groups))
        super().__init__(optimizer, schedulers, [every] * len(schedulers), last_epoch)

    def _movers(self) -> list[LRScheduler]:
        active = bisect_right(self.milestones, self._position + 1)
        begins = active > 0 and self.milestones[active - 1] == self._position + 1
        return [] if begins else [self.children[active]]

    def _ruling_groups(self) -> list[dict[str, Any]]:
        return self.children[bisect_right(self.milestones, self._position)].optimizer.param_groups


class ProductLR(_Composite):
    """Schedulers upon each other: the rate is the base rate times the product of what each child makes of it.

    A child's multiplier is its own rate, alone from the base rate, by the base rate. Where torch's ChainedScheduler is
    right (multiplicative children, not nested in SequentialLR) it gives the same but for rounding; here any child will
    do, ReduceLROnPlateau too: `step(metric)`. One child alone is that child, to the bit. A base rate of 0 has no
    multipliers and is refused, and so are two children that cycle momentum.

    >>> from functools import partial
    >>> from torch.optim.lr_scheduler import ExponentialLR, StepLR
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> scheduler = ProductLR(optimizer, [partial(ExponentialLR, gamma=0.5), partial(StepLR, step_size=2, gamma=0.1)])
    >>> rates = []
    >>> for _ in range(4):
    ...     rates.append(scheduler.get_last_lr())
    ...     optimizer.step()
    ...     scheduler.step()
    >>> rates
    [[1.0], [0.5], [0.025], [0.0125]]
    """

    def __init__(self, optimizer: Optimizer, schedulers: list[Factory], last_epoch: int = -1) -> None:
        if len(schedulers) < 1:
            raise ValueError("ProductLR: give at least one scheduler")
        base_lrs = [group.get("initial_lr", group["lr"]) for group in optimizer.param_groups]
        if len(schedulers) > 1 and 0 in base_lrs:
            raise ValueError(
                f"ProductLR: the base rates are {base_lrs}, and nothing is a multiple of 0: freeze otherwise"
            )
        super().__init__(optimizer, schedulers, [range(len(base_lrs))] * len(schedulers), last_epoch)
        if sum(map(_cycles_momentum, self.children)) > 1:
            raise ValueError(
                "ProductLR: two of the schedulers cycle momentum: give cycle_momentum=False to all but one"
            )

    def _movers(self) -> list[LRScheduler]:
        return self.children

    def _ruling_groups(self) -> list[dict[str, Any]]:
        return next(filter(_cycles_momentum, self.children), self.children[0]).optimizer.param_groups

    def get_lr(self) -> list[float | Tensor]:
        """Return the rates in force, one for each parameter group: first child · Π (other child / base)."""
        rates = [_copy(group["lr"]) for group in self.children[0].optimizer.param_groups]
        for child in self.children[1:]:
            own = [group["lr"] for group in child.optimizer.param_groups]
            rates = [rate * (lr / base) for rate, lr, base in zip(rates, own, self.base_lrs, strict=True)]
        return rates


class PerGroupLR(_Composite):
    """Schedulers beside each other: schedulers[i] drives parameter group i, and knows of no other.

    Each sees an optimizer of one group: a per-group list in its arguments has one entry. All move at every step; all
    ReduceLROnPlateau see the same metric: `step(metric)`.

    >>> from functools import partial
    >>> from torch.optim.lr_scheduler import ConstantLR, ExponentialLR
    >>> body, head = {"params": [torch.nn.Parameter(torch.zeros(1))]}, {"params": [torch.nn.Parameter(torch.zeros(1))]}
    >>> optimizer = torch.optim.SGD([{**body, "lr": 0.1}, {**head, "lr": 1.0}])
    >>> scheduler = PerGroupLR(optimizer, [partial(ConstantLR, factor=1.0), partial(ExponentialLR, gamma=0.5)])
    >>> rates = []
    >>> for _ in range(3):
    ...     rates.append(scheduler.get_last_lr())
    ...     optimizer.step()
    ...     scheduler.step()
    >>> rates
    [[0.1, 1.0], [0.1, 0.5], [0.1, 0.25]]
    """

    def __init__(self, optimizer: Optimizer, schedulers: list[Factory], last_epoch: int = -1) -> None:
        num_groups = len(optimizer.param_groups)
        if len(schedulers) != num_groups:
            raise ValueError(
                f"PerGroupLR: {len(schedulers)} schedulers for {num_groups} parameter groups: one for each"
            )
        super().__init__(optimizer, schedulers, [[index] for index in range(num_groups)], last_epoch)

    def _movers(self) -> list[LRScheduler]:
        return self.children

    def _ruling_groups(self) -> list[dict[str, Any]]:
        return [child.optimizer.param_groups[0] for child in self.children]
