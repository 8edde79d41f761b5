"""Schedulers after, upon and beside each other: by hand, against torch, nested, with metrics and momentum."""

from functools import partial

import pytest
import torch
from torch import nn, optim
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    SequentialLR,
    StepLR,
)

from lrbench import schedules
from lrbench.schedulers import (
    InverseSqrtLR,
    LinearDecayLR,
    PerGroupLR,
    ProductLR,
    SequenceLR,
    WarmupLR,
)
from lrbench.tests.helpers.courses import (
    CYCLES,
    HALVES,
    HOLD,
    course,
    group_rates,
    nested,
    rates,
    sgd,
    torchs_nested,
)

# --- composition: by hand, and against torch ---


def test_a_sequence_hands_over_at_its_milestones():
    """Child i is in force from milestones[i-1] on and begins there at its own step 0, from the base rate."""
    parts = [partial(ConstantLR, factor=0.5, total_iters=9), partial(StepLR, step_size=2), InverseSqrtLR]
    found = group_rates(SequenceLR(sgd(1.0, 0.1), parts, milestones=[2, 5]), 9)
    by_hand = [0.5, 0.5, 1, 1, 0.1, 1, 0.5**0.5, 3**-0.5, 0.5]
    assert found == [pytest.approx([factor, 0.1 * factor], rel=1e-12) for factor in by_hand]


@pytest.mark.parametrize(
    ("milestones", "by_hand"),
    [
        ([0, 3], [1, 1, 1, 0.25, 0.25]),  # the first never begins
        ([2, 2], [0.5, 0.5, 0.25, 0.25, 0.25]),  # the second never does
        ([9, 10], [0.5, 0.5, 0.5, 0.5, 0.5]),
    ],
)
def test_a_phase_of_no_steps_is_left_out(milestones, by_hand):
    """A milestone at 0, equal milestones, milestones that are not reached."""
    parts = [partial(ConstantLR, factor=factor, total_iters=99) for factor in (0.5, 1, 0.25)]
    assert rates(SequenceLR(sgd(1.0), parts, milestones), 5) == by_hand


FLAT = [
    [partial(ConstantLR, factor=0.1, total_iters=20), partial(ExponentialLR, gamma=0.9)],
    [partial(LinearLR, start_factor=0.1, total_iters=4), partial(CosineAnnealingLR, T_max=9)],
    [partial(ExponentialLR, gamma=0.9), partial(MultiStepLR, milestones=[2, 3])],
    [partial(PolynomialLR, total_iters=4, power=2), partial(CosineAnnealingWarmRestarts, T_0=3)],
    [partial(LambdaLR, lr_lambda=[schedules.inverse_sqrt] * 2), partial(StepLR, step_size=2)],
]


@pytest.mark.parametrize("parts", FLAT)
def test_a_flat_sequence_is_torchs(parts):
    """Where torch's SequentialLR is right (flat, from the beginning), SequenceLR gives its rates."""
    optimizer = sgd(1.0, 0.1)
    torchs = SequentialLR(optimizer, [part(optimizer) for part in parts], milestones=[4])
    torchs, ours = group_rates(torchs, 12), group_rates(SequenceLR(sgd(1.0, 0.1), parts, milestones=[4]), 12)
    assert ours == [pytest.approx(values, rel=1e-12) for values in torchs]


PRODUCTS = [
    [partial(ConstantLR, factor=0.1, total_iters=3), partial(ExponentialLR, gamma=0.9)],
    [partial(StepLR, step_size=2), partial(MultiStepLR, milestones=[3, 5], gamma=0.5)],
    [partial(LinearLR, total_iters=4), partial(PolynomialLR, total_iters=14), partial(ExponentialLR, gamma=0.8)],
    [partial(MultiplicativeLR, lr_lambda=lambda epoch: 0.95), partial(CosineAnnealingLR, T_max=12)],
]


@pytest.mark.parametrize("parts", PRODUCTS)
def test_a_product_is_torchs_chain(parts):
    """Where torch's ChainedScheduler is right (multiplicative children), ProductLR gives its rates."""
    optimizer = sgd(1.0, 0.1)
    torchs = ChainedScheduler([part(optimizer) for part in parts], optimizer=optimizer)
    torchs, ours = group_rates(torchs, 10), group_rates(ProductLR(sgd(1.0, 0.1), parts), 10)
    assert ours == [pytest.approx(values, rel=1e-12, abs=1e-15) for values in torchs]


def test_a_product_multiplies_what_torchs_chain_cannot():
    """Closed-form children, which put their own rate over each other in a chain, multiply: 1/√(t+1) · (1 - t/4)."""
    parts = [InverseSqrtLR, partial(LinearDecayLR, total_steps=4)]
    assert rates(ProductLR(sgd(0.5), parts), 5) == pytest.approx([0.5, 0.375 * 0.5**0.5, 0.25 * 3**-0.5, 0.0625, 0])


def test_a_sequence_in_a_sequence_keeps_its_time_and_torchs_does_not():
    """pytorch#196243: around a SequentialLR another one with nothing else in it moves it a step ahead; here not."""
    by_hand = [0.05, 0.05, 0.02, 0.02]
    assert rates(nested(sgd(0.1)), 4) == pytest.approx(by_hand)
    assert rates(SequenceLR(sgd(0.1), [nested], []), 4) == pytest.approx(by_hand)
    assert rates(SequenceLR(sgd(0.1), [partial(SequenceLR, schedulers=[nested], milestones=[])], []), 4) == (
        pytest.approx(by_hand)
    )
    assert rates(SequenceLR(sgd(0.1), [torchs_nested], []), 4) == pytest.approx(by_hand)
    optimizer = sgd(0.1)
    assert rates(torchs_nested(optimizer), 4) == pytest.approx(by_hand)
    optimizer = sgd(0.1)
    with pytest.warns(UserWarning, match="before `optimizer"):
        around = SequentialLR(optimizer, [torchs_nested(optimizer)], milestones=[])
    assert rates(around, 4) == pytest.approx([0.05, 0.02, 0.02, 0.02])


def test_a_nested_sequence_begins_at_its_milestone():
    """The inner one's milestones count from where it begins: 0.1 for three steps, 0.5 for two, then 0.2."""
    parts = [partial(ConstantLR, factor=0.1, total_iters=99), nested]
    by_hand = [0.1, 0.1, 0.1, 0.5, 0.5, 0.2, 0.2]
    assert rates(SequenceLR(sgd(1.0), parts, [3]), 7) == pytest.approx(by_hand)
    optimizer = sgd(1.0)
    torchs = SequentialLR(optimizer, [ConstantLR(optimizer, 0.1, 99), torchs_nested(optimizer)], [3])
    with pytest.raises(NotImplementedError):  # torch starts the inner one by a method that it does not have
        rates(torchs, 7)


def test_a_composition_in_a_composition_multiplies_and_follows():
    """(0.5, 0.5, 0.2 …) · 0.9^t, then from step 4 on 1/√(t-3) for one group and a tenth for the other."""
    first = partial(ProductLR, schedulers=[nested, partial(ExponentialLR, gamma=0.9)])
    second = partial(PerGroupLR, schedulers=[InverseSqrtLR, partial(ConstantLR, factor=0.1, total_iters=99)])
    found = group_rates(SequenceLR(sgd(1.0, 0.1), [first, second], [4]), 8)
    by_hand = [0.5, 0.45, 0.2 * 0.81, 0.2 * 0.729]
    assert found[:4] == [pytest.approx([factor, 0.1 * factor]) for factor in by_hand]
    assert found[4:] == [pytest.approx([factor, 0.01]) for factor in (1, 2**-0.5, 3**-0.5, 0.5)]


def test_ours_in_torchs_sequential_keep_their_time():
    """A SequenceLR inside torch's own SequentialLR is right as well, first or later."""
    optimizer = sgd(0.1)
    assert rates(SequentialLR(optimizer, [nested(optimizer)], []), 4) == pytest.approx([0.05, 0.05, 0.02, 0.02])
    optimizer = sgd(0.1)
    around = SequentialLR(optimizer, [ConstantLR(optimizer, 0.1, 99), nested(optimizer)], [2])
    assert rates(around, 6) == pytest.approx([0.01, 0.01, 0.05, 0.05, 0.02, 0.02])


def test_a_sequence_begins_anywhere_by_last_epoch_and_torchs_does_not():
    """pytorch#162591: 0.1 for three steps, then 0.9^t. Resumed after epoch 3, epoch 4 has 0.9; torch starts over."""
    parts = [partial(ConstantLR, factor=0.1, total_iters=20), partial(ExponentialLR, gamma=0.9)]
    by_hand = [0.1, 0.1, 0.1, 1, 0.9, 0.81, 0.729]
    assert rates(SequenceLR(sgd(1.0), parts, [3]), 7) == pytest.approx(by_hand)
    for last_epoch in range(6):
        optimizer = sgd(0.5)
        optimizer.param_groups[0]["initial_lr"] = 1.0
        ours = SequenceLR(optimizer, parts, [3], last_epoch=last_epoch)
        assert ours.last_epoch == last_epoch + 1
        assert rates(ours, 6 - last_epoch) == pytest.approx(by_hand[last_epoch + 1 :])
    optimizer = sgd(0.9)
    optimizer.param_groups[0]["initial_lr"] = 1.0
    torchs = SequentialLR(optimizer, [part(optimizer) for part in parts], [3], last_epoch=3)
    assert torchs.get_last_lr() == pytest.approx([0.1])


@pytest.mark.parametrize("cls", [ProductLR, PerGroupLR])
def test_the_other_compositions_begin_anywhere_too(cls):
    """last_epoch = k stands where k + 1 steps bring it, recursive children included."""
    parts = [partial(ExponentialLR, gamma=0.9), partial(StepLR, step_size=3)]
    whole = group_rates(cls(sgd(1.0, 0.1), parts), 8)
    optimizer = sgd(0.5, 0.5)
    for group, lr in zip(optimizer.param_groups, (1.0, 0.1), strict=True):
        group["initial_lr"] = lr
    assert group_rates(cls(optimizer, parts, last_epoch=3), 4) == whole[4:]


def test_last_epoch_needs_the_base_rates_as_in_torch():
    """Without initial_lr in the groups nobody knows the base rate: torch's KeyError."""
    with pytest.raises(KeyError, match="initial_lr"):
        ProductLR(sgd(1.0), [InverseSqrtLR], last_epoch=3)


def test_each_group_has_its_own_scheduler():
    """schedulers[i] drives group i from its base rate and leaves the others alone; cyclic ones bring their own rate."""
    parts = [
        partial(ExponentialLR, gamma=0.5),
        partial(LinearDecayLR, total_steps=4),
        partial(CyclicLR, base_lr=0.2, max_lr=0.6, step_size_up=2, cycle_momentum=False),
    ]
    found = group_rates(PerGroupLR(sgd(1.0, 0.1, 7.0), parts), 5)
    by_hand = [[1, 0.1, 0.2], [0.5, 0.075, 0.4], [0.25, 0.05, 0.6], [0.125, 0.025, 0.4], [0.0625, 0, 0.2]]
    assert found == [pytest.approx(values, abs=1e-15) for values in by_hand]


# --- metrics ---


def test_plateau_follows_a_warmup_which_torch_refuses():
    """It sees the metrics of its own phase alone: the first after its milestone sets the baseline, two bad ones cut."""
    parts = [partial(LinearLR, start_factor=0.25, total_iters=3), HALVES]
    metrics = [0.1, 0.1, 0.1, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0]  # the low ones are from before its time
    found = rates(SequenceLR(sgd(1.0), parts, [3]), 9, metrics)
    assert found == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 0.5, 0.5, 0.25])


def test_plateau_multiplies_and_stands_beside():
    """In a product its cuts multiply; per group they are the group's own; and it is the plateau of torch alone."""
    metrics = [1.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    alone = rates(HALVES(sgd(1.0)), 6, metrics)
    assert alone == [1, 1, 1, 0.5, 0.5, 0.25]
    product = ProductLR(sgd(1.0), [partial(ExponentialLR, gamma=0.9), HALVES])
    assert rates(product, 6, metrics) == pytest.approx([cut * 0.9**t for t, cut in enumerate(alone)])
    assert rates(PerGroupLR(sgd(1.0), [HALVES]), 6, metrics) == alone
    deep = ProductLR(sgd(1.0), [partial(SequenceLR, schedulers=[HALVES, InverseSqrtLR], milestones=[99])])
    assert rates(deep, 6, metrics) == alone


def test_a_metric_is_asked_for_only_where_it_is_needed():
    """Before plateau's first step a metric may be missing; then it raises, says so, and has moved nothing."""
    scheduler = SequenceLR(sgd(1.0), [partial(ConstantLR, factor=0.5, total_iters=9), HALVES, InverseSqrtLR], [2, 4])
    wanted = []
    for _ in range(6):
        scheduler.optimizer.step()
        wanted.append(scheduler.wants_metrics)
        if scheduler.wants_metrics:
            before = scheduler.state_dict()
            with pytest.raises(ValueError, match=r"SequenceLR has a ReduceLROnPlateau to move: call step\(metric\)"):
                scheduler.step()
            assert scheduler.state_dict() == before
        scheduler.step(torch.tensor(1.0))
    assert wanted == [False, False, True, False, False, False]


def test_last_epoch_cannot_stand_for_metrics():
    """What plateau has seen is not in a number of epochs: build without last_epoch and load the state."""
    optimizer = sgd(1.0)
    optimizer.param_groups[0]["initial_lr"] = 1.0
    with pytest.raises(ValueError, match=r"last_epoch = 2 does not tell what metrics .* call load_state_dict"):
        ProductLR(optimizer, [HALVES], last_epoch=2)


# --- momentum ---


@pytest.mark.parametrize(
    ("optimizer", "momenta"),
    [
        (partial(sgd, 1.0, momentum=0.6), lambda group: group["momentum"]),
        (
            lambda: optim.Adam([nn.Parameter(torch.zeros(1))], lr=1.0, betas=(0.6, 0.99)),
            lambda group: group["betas"][0],
        ),
    ],
    ids=["momentum", "betas"],
)
def test_a_child_that_cycles_momentum_does_so_in_its_own_time(optimizer, momenta):
    """Momentum is the optimizer's own before and after the phase, and the child's within it."""
    optimizer = optimizer()
    constant = partial(ConstantLR, factor=1.0)
    scheduler = SequenceLR(optimizer, [constant, CYCLES, constant], milestones=[2, 6])
    found = []
    for _ in range(8):
        found.append(momenta(optimizer.param_groups[0]))
        optimizer.step()
        scheduler.step()
    assert found == pytest.approx([0.6, 0.6, 0.9, 0.85, 0.8, 0.85, 0.6, 0.6])
    if "betas" in optimizer.param_groups[0]:
        assert optimizer.param_groups[0]["betas"][1] == 0.99


def test_one_group_may_cycle_and_a_product_takes_the_cyclers_momentum():
    """Per group, only that group's momentum moves; in a product it is the one cycling child's."""
    scheduler = PerGroupLR(sgd(1.0, 1.0, momentum=0.6), [partial(ConstantLR, factor=1.0), CYCLES])
    assert [[m for _, m, _ in groups] for groups in course(scheduler, 3)] == [
        pytest.approx(values) for values in ([0.6, 0.9], [0.6, 0.85], [0.6, 0.8])
    ]
    scheduler = ProductLR(sgd(1.0, momentum=0.6), [partial(ConstantLR, factor=1.0), CYCLES])
    assert [groups[0][1] for groups in course(scheduler, 3)] == pytest.approx([0.9, 0.85, 0.8])


def test_momentum_is_left_alone_where_nobody_cycles_it():
    """What a user does to momentum by hand stays, if no child was asked to cycle it."""
    optimizer = sgd(1.0, momentum=0.6)
    scheduler = SequenceLR(optimizer, [partial(CYCLES, cycle_momentum=False)], [])
    optimizer.param_groups[0]["momentum"] = 0.7
    assert [groups[0][1] for groups in course(scheduler, 3)] == [0.7, 0.7, 0.7]


# --- what a composition refuses ---

REFUSED = [
    (ValueError, lambda o: SequenceLR(o, [], []), "0 schedulers and 0 milestones"),
    (ValueError, lambda o: SequenceLR(o, [HOLD], [3]), "1 schedulers and 1 milestones; .* for each but the first"),
    (ValueError, lambda o: SequenceLR(o, [HOLD] * 3, [3, 2]), r"milestones \[3, 2\] are steps, in order, 0 or more"),
    (ValueError, lambda o: SequenceLR(o, [HOLD] * 2, [-1]), r"milestones \[-1\]"),
    (ValueError, lambda o: ProductLR(o, []), "at least one"),
    (ValueError, lambda o: PerGroupLR(o, [HOLD]), "1 schedulers for 2 parameter groups"),
    (ValueError, lambda o: ProductLR(o, [CYCLES, CYCLES]), "cycle_momentum=False to all but one"),
    (TypeError, lambda o: ProductLR(o, [HOLD(o)]), r"schedulers\[0\] is a ConstantLR, .*: write lambda o: ConstantLR"),
    (TypeError, lambda o: ProductLR(o, [HOLD, 3]), r"ProductLR: schedulers\[1\] is a int, not a function"),
    (TypeError, lambda o: ProductLR(o, [lambda shadow: None]), "returned a NoneType, not an LRScheduler"),
    (TypeError, lambda o: ProductLR(o, [lambda s: WarmupLR(HOLD(s), "linear", num_steps=3)]), "returned a WarmupLR"),
    (ValueError, lambda o: ProductLR(o, [lambda shadow: HOLD(o)]), "built its ConstantLR on another optimizer"),
]


@pytest.mark.parametrize(("error", "build", "sentence"), REFUSED)
def test_a_composition_refuses_what_it_cannot_do(error, build, sentence):
    """Each mistake is refused when it is built, with a sentence that says what was found."""
    with pytest.raises(error, match=sentence):
        build(sgd(1.0, 0.1, momentum=0.9))


def test_a_product_refuses_a_base_rate_of_zero():
    """Nothing is a multiple of 0: of two children it cannot be said what they make of it together; of one it can."""
    with pytest.raises(ValueError, match=r"the base rates are \[1.0, 0.0\]"):
        ProductLR(sgd(1.0, 0.0), [HOLD, HOLD])
    assert group_rates(ProductLR(sgd(1.0, 0.0), [InverseSqrtLR]), 1) == [[1.0, 0.0]]


def test_a_composition_warns_of_the_order_as_torch_does():
    """Stepped before the optimizer, the first rate is lost: torch's own warning, once, and none for the children."""
    scheduler = SequenceLR(sgd(1.0), [nested], [])
    with pytest.warns(UserWarning, match=r"lr_scheduler.step\(\)` before `optimizer.step\(\)`") as caught:
        scheduler.step()
    assert len(caught) == 1
