"""A warm-up around any scheduler: its factors, its two clocks, and what it refuses."""

from functools import partial

import pytest
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from lrbench import schedules
from lrbench.schedulers import (
    SequenceLR,
    WarmupLR,
    WarmupStableDecayLR,
)
from lrbench.tests.helpers.courses import (
    advance,
    group_rates,
    nested,
    rates,
    sgd,
)


@pytest.mark.parametrize(
    ("kind", "arguments", "factors"),
    [
        ("linear", {"num_steps": 4}, [0.25, 0.5, 0.75, 1, 1]),
        ("constant", {"num_steps": 2, "factor": 0.1}, [0.1, 0.1, 1, 1, 1]),
        ("exponential", {"num_steps": 1}, [0.6321205588285577, 0.8646647167633873, 0.9502129316321360]),
        ("untuned_linear", {"beta2": 0.5}, [0.25, 0.5, 0.75, 1, 1]),
        ("untuned_exponential", {"beta2": 0.5}, [0.3934693402873666, 0.6321205588285577]),
    ],
)
def test_a_warmup_multiplies_by_its_kind(kind, arguments, factors):
    """Around a scheduler that does nothing the rates are the factors, group by group, from the very first step on."""
    warmup = WarmupLR(ConstantLR(sgd(1.0, 0.1), factor=1.0), kind, **arguments)
    assert group_rates(warmup, len(factors)) == [pytest.approx([factor, 0.1 * factor]) for factor in factors]


AROUND = [
    partial(ExponentialLR, gamma=0.9),
    partial(CosineAnnealingLR, T_max=9),
    partial(MultiStepLR, milestones=[2, 5]),
    partial(OneCycleLR, max_lr=1.0, total_steps=12, cycle_momentum=False),
    partial(WarmupStableDecayLR, total_steps=10, decay_steps=4),
    partial(ReduceLROnPlateau, factor=0.5, patience=0, threshold=0.0),
    lambda o: ChainedScheduler([ExponentialLR(o, 0.9), StepLR(o, 3)], optimizer=o),
    lambda o: SequentialLR(o, [LinearLR(o), ExponentialLR(o, 0.9)], [3]),
    partial(SequenceLR, schedulers=[partial(LinearLR, total_iters=3), nested], milestones=[3]),
]


@pytest.mark.parametrize("build", AROUND)
def test_the_scheduler_within_sees_its_own_rates_alone(build):
    """During and after the warm-up the rate is the factor times the rate of the scheduler run alone, to the bit."""
    alone, warm = rates(build(sgd(1.0)), 10), rates(WarmupLR(build(sgd(1.0)), "linear", num_steps=6), 10)
    assert warm == [schedules.linear_warmup(step, num_steps=6) * rate for step, rate in enumerate(alone)]
    assert len(set(alone)) > 2


def test_the_two_clocks_of_a_warmup_are_apart():
    """Three optimizer steps an epoch: the warm-up moves at each, the scheduler at the epoch's end."""
    warmup = WarmupLR(ExponentialLR(sgd(1.0), gamma=0.5), "linear", num_steps=4)
    found = []
    for _ in range(2):
        for _ in range(3):
            found.append(warmup.get_last_lr()[0])
            warmup.optimizer.step()
            warmup.step()
        warmup.step_scheduler()
    assert found == [0.25, 0.5, 0.75, 0.5, 0.5, 0.5]
    assert warmup.scheduler.get_last_lr() == [0.25]


def test_a_scheduler_that_refuses_its_step_leaves_the_rates():
    """OneCycleLR raises past its end; the warmed-up rate in the optimizer is still in force then."""
    warmup = WarmupLR(OneCycleLR(sgd(1.0), max_lr=1.0, total_steps=2, cycle_momentum=False), "linear", num_steps=9)
    for _ in range(2):
        advance(warmup, 0.0)
    before = warmup.get_last_lr()
    with pytest.raises(ValueError, match="Tried to step 3 times"):
        warmup.step_scheduler()
    assert warmup.get_last_lr() == before


BAD_WARMUPS = [
    (ValueError, ("cosine",), {}, "kind = 'cosine' is no warm-up: linear, exponential, constant, untuned_linear"),
    (ValueError, ("linear",), {}, "kind = 'linear' takes num_steps; nothing was given"),
    (ValueError, ("linear",), {"num_steps": 4, "beta2": 0.9}, "takes num_steps; num_steps and beta2 was given"),
    (ValueError, ("constant",), {"num_steps": 4}, "kind = 'constant' takes num_steps and factor"),
    (ValueError, ("linear",), {"num_steps": 0}, "num_steps = 0 is the length"),
    (ValueError, ("untuned_linear",), {"beta2": 1.0}, "beta2 = 1.0"),
]


@pytest.mark.parametrize(("error", "arguments", "named", "sentence"), BAD_WARMUPS)
def test_a_warmup_refuses_what_it_cannot_mean(error, arguments, named, sentence):
    """Each kind has its own arguments, all of them needed; the optimizer is left as it was."""
    scheduler = ConstantLR(sgd(1.0), factor=1.0)
    with pytest.raises(error, match=sentence):
        WarmupLR(scheduler, *arguments, **named)
    assert scheduler.optimizer.param_groups[0]["lr"] == 1.0


def test_a_warmup_goes_around_a_scheduler_alone():
    """An optimizer, or a warm-up, in a scheduler's place is said to be one."""
    with pytest.raises(TypeError, match="goes around an LRScheduler, and this is a SGD"):
        WarmupLR(sgd(1.0), "linear", num_steps=4)
