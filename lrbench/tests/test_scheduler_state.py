"""lrbench's schedulers saved and loaded, pickled, and with rates that are tensors: to the bit, at every step."""

import io
import pickle
from functools import partial

import pytest
import torch
from torch import nn, optim
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
)

from lrbench.schedulers import (
    REXLR,
    CosineDecayLR,
    InverseSqrtLR,
    LinearDecayLR,
    PerGroupLR,
    ProductLR,
    SequenceLR,
    TanhDecayLR,
    WarmupLR,
    WarmupStableDecayLR,
)
from lrbench.tests.helpers.courses import (
    CYCLES,
    HALVES,
    HOLD,
    METRICS,
    advance,
    course,
    nested,
    rates,
    sgd,
    torchs_nested,
)

COURSES = {
    "wsd": partial(WarmupStableDecayLR, total_steps=10, decay_steps=4),
    "inverse_sqrt": InverseSqrtLR,
    "cosine": partial(CosineDecayLR, total_steps=10),
    "linear": partial(LinearDecayLR, total_steps=10),
    "rex": partial(REXLR, total_steps=10),
    "tanh": partial(TanhDecayLR, total_steps=10),
    "sequence": partial(SequenceLR, schedulers=[partial(LinearLR, total_iters=3), nested, HALVES], milestones=[3, 7]),
    "product": partial(ProductLR, schedulers=[partial(ExponentialLR, gamma=0.9), HALVES, nested]),
    "per group": partial(PerGroupLR, schedulers=[HALVES, partial(MultiStepLR, milestones=[2, 5])]),
    "momentum": partial(
        SequenceLR, schedulers=[HOLD, CYCLES, partial(OneCycleLR, max_lr=1, total_steps=9)], milestones=[2, 6]
    ),
    "deep": partial(
        SequenceLR,
        schedulers=[
            partial(ProductLR, schedulers=[nested, partial(CosineAnnealingLR, T_max=5)]),
            partial(PerGroupLR, schedulers=[partial(SequenceLR, schedulers=[HALVES, HOLD], milestones=[4]), HALVES]),
        ],
        milestones=[5],
    ),
    "torch inside": partial(
        SequenceLR, schedulers=[torchs_nested, partial(CosineAnnealingWarmRestarts, T_0=2)], milestones=[5]
    ),
    "warmup": lambda o: WarmupLR(ExponentialLR(o, 0.9), "linear", num_steps=5),
    "warmup of plateau": lambda o: WarmupLR(HALVES(o), "untuned_exponential", beta2=0.7),
    "warmup of a sequence": lambda o: WarmupLR(SequenceLR(o, [HOLD, nested], [3]), "constant", num_steps=5, factor=0.1),
}
NUM_STEPS = 12


def two_groups() -> optim.SGD:
    """Two groups with base rates and momentum of their own."""
    return sgd(0.3, 0.07, momentum=0.6)


def tensor_groups() -> optim.SGD:
    """The same, with rates that are tensors."""
    lrs = [torch.tensor(lr, dtype=torch.float64) for lr in (0.3, 0.07)]
    return optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs], momentum=0.6)


@pytest.mark.parametrize("name", COURSES)
def test_a_course_resumed_at_any_step_goes_on_to_the_bit(name):
    """Saved at any step, through bytes, and loaded into a new optimizer and scheduler: the same rates and momenta."""
    whole = course(COURSES[name](two_groups()), NUM_STEPS)
    assert len({str(seen) for seen in whole}) > 2
    first = COURSES[name](two_groups())
    for step in range(NUM_STEPS):
        file = io.BytesIO()
        torch.save({"optimizer": first.optimizer.state_dict(), "scheduler": first.state_dict()}, file)
        saved = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
        optimizer = two_groups()
        second = COURSES[name](optimizer)
        optimizer.load_state_dict(saved["optimizer"])
        second.load_state_dict(saved["scheduler"])
        assert course(second, NUM_STEPS - step, METRICS[step:]) == whole[step:]
        advance(first, METRICS[step])


@pytest.mark.parametrize("name", COURSES)
def test_a_state_is_a_copy(name):
    """What was saved does not change when the course goes on, nor when it is loaded."""
    scheduler = COURSES[name](two_groups())
    course(scheduler, 4)
    state = scheduler.state_dict()
    before = pickle.dumps(state)
    course(scheduler, 4)
    assert pickle.dumps(state) == before
    scheduler.load_state_dict(state)
    for metric in METRICS[:4]:
        advance(scheduler, metric)
    assert pickle.dumps(state) == before


@pytest.mark.parametrize("name", ["product", "warmup"])
def test_a_state_shares_nothing_with_its_scheduler(name):
    """Whoever edits a saved state edits that alone."""
    scheduler, untouched = COURSES[name](two_groups()), COURSES[name](two_groups())
    state = scheduler.state_dict()
    for inner in (state, state["scheduler"] if name == "warmup" else state["children"][0]["scheduler"]):
        for value in inner.values():
            if isinstance(value, list):
                value.clear()
    assert course(scheduler, 6) == course(untouched, 6)


@pytest.mark.parametrize("name", ["sequence", "product", "per group"])
def test_rates_that_are_tensors_are_given_out_as_copies(name):
    """Who changes what get_lr or get_last_lr returned changes no rate."""
    scheduler, untouched = (COURSES[name](tensor_groups()) for _ in range(2))
    for tensor in [*scheduler.get_lr(), *scheduler.get_last_lr()]:
        tensor.zero_()
    for each in (scheduler, untouched):
        advance(each, METRICS[0])
    assert course(scheduler, 8) == course(untouched, 8)


@pytest.mark.parametrize("name", COURSES)
def test_a_scheduler_goes_through_pickle_whole(name):
    """Pickled with its optimizer in the middle of the course, it goes on to the bit."""
    scheduler = COURSES[name](two_groups())
    course(scheduler, 4)
    other = pickle.loads(pickle.dumps(scheduler))
    assert course(other, 8) == course(scheduler, 8)


@pytest.mark.parametrize("name", COURSES)
def test_a_rate_that_is_a_tensor_stays_that_tensor(name):
    """An optimizer whose rate is a tensor keeps the very object, filled with the rates that a float would have."""
    optimizer = tensor_groups()
    tensors = [group["lr"] for group in optimizer.param_groups]
    found = course(COURSES[name](optimizer), NUM_STEPS)
    assert all(group["lr"] is tensor for group, tensor in zip(optimizer.param_groups, tensors, strict=True))
    floats = course(COURSES[name](two_groups()), NUM_STEPS)
    assert [[lr for lr, *_ in groups] for groups in found] == [
        pytest.approx([lr for lr, *_ in groups], rel=1e-9) for groups in floats
    ]


def test_a_state_of_another_composition_is_refused():
    """Loading what does not fit raises and says what fits."""
    scheduler = ProductLR(sgd(1.0), [HOLD, HOLD])
    with pytest.raises(
        ValueError, match=r"ProductLR has 2 schedulers, of \[1, 1\] .*; this is the state of 1, of \[2\]"
    ):
        scheduler.load_state_dict(ProductLR(sgd(1.0, 0.1), [HOLD]).state_dict())


def test_children_do_not_see_each_other_or_the_optimizer():
    """A second composite on one optimizer begins from the base rates, as if the first had never been."""
    optimizer = sgd(1.0)
    course(SequenceLR(optimizer, [partial(ConstantLR, factor=0.1, total_iters=99)], []), 3)
    optimizer.param_groups[0]["lr"] = 123.0
    assert rates(ProductLR(optimizer, [partial(ExponentialLR, gamma=0.5)]), 3) == [1, 0.5, 0.25]
