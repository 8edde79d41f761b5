"""The schedulers that torch lacks, and composition: by hand, against torch, nested, pickled, resumed at any step."""

import io
import pickle
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
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from lrbench import schedules
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

METRICS = [1.0, 0.9, 0.95, 0.95, 0.8, 0.9, 0.9, 0.9, 0.7, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]


def sgd(*lrs: float, **arguments) -> optim.SGD:
    """An optimizer of one group for each rate."""
    return optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs or (1.0,)], **arguments)


def advance(scheduler: LRScheduler, metric: float) -> None:
    """One optimizer step, then one scheduler step; the metric goes to those who may want it."""
    scheduler.optimizer.step()
    if isinstance(scheduler, WarmupLR):
        scheduler.step()
        wants = isinstance(scheduler.scheduler, ReduceLROnPlateau)
        scheduler.step_scheduler(*([metric] if wants else []))
    elif isinstance(scheduler, ReduceLROnPlateau | SequenceLR | ProductLR | PerGroupLR):
        scheduler.step(metric)
    else:
        scheduler.step()


def in_force(optimizer: optim.Optimizer) -> list:
    """The rates and momenta in the optimizer's groups, as numbers."""
    return [(float(g["lr"]), g.get("momentum"), g.get("betas")) for g in optimizer.param_groups]


def course(scheduler, num_steps: int, metrics=METRICS) -> list:
    """What is in force at steps 0 … num_steps - 1."""
    seen = []
    for step in range(num_steps):
        seen.append(in_force(scheduler.optimizer))
        assert [float(lr) for lr in scheduler.get_last_lr()] == [lr for lr, *_ in seen[-1]]
        advance(scheduler, metrics[step])
    return seen


def rates(scheduler, num_steps: int, metrics=METRICS) -> list[float]:
    """The rate of the first group at steps 0 … num_steps - 1."""
    return [groups[0][0] for groups in course(scheduler, num_steps, metrics)]


def group_rates(scheduler, num_steps: int) -> list[list[float]]:
    """The rates of all groups at steps 0 … num_steps - 1."""
    return [[lr for lr, *_ in groups] for groups in course(scheduler, num_steps)]


# --- a class for each shape ---

SHAPES = [
    (partial(WarmupStableDecayLR, total_steps=6, decay_steps=4), [1, 1, 1, 0.5, 0.2928932188134525]),
    (partial(WarmupStableDecayLR, total_steps=6, decay_steps=4, decay="linear", min_factor=0.2), [1, 1, 1, 0.8, 0.6]),
    (InverseSqrtLR, [1, 0.7071067811865475, 0.5773502691896258, 0.5]),
    (partial(InverseSqrtLR, timescale=3), [1, 0.8660254037844387, 0.7745966692414834, 0.7071067811865475]),
    (partial(CosineDecayLR, total_steps=3), [1, 0.75, 0.25, 0, 0, 0]),
    (partial(LinearDecayLR, total_steps=4, min_factor=0.2), [1, 0.8, 0.6, 0.4, 0.2, 0.2]),
    (partial(REXLR, total_steps=4), [1, 6 / 7, 2 / 3, 0.4, 0, 0]),
    (partial(TanhDecayLR, total_steps=4, lower=-1, upper=1), [0.8807970779778824, 0.7310585786300049, 0.5]),
]


@pytest.mark.parametrize(("build", "factors"), SHAPES)
def test_a_shape_multiplies_the_base_rate_of_each_group(build, factors):
    """The rate at step t is the group's own base rate times the factor, worked out by hand."""
    found = group_rates(build(sgd(1.0, 0.1)), len(factors))
    assert found == [pytest.approx([factor, 0.1 * factor], rel=1e-12, abs=1e-15) for factor in factors]


@pytest.mark.parametrize(("build", "factors"), SHAPES)
def test_a_shape_begins_anywhere_by_last_epoch(build, factors):
    """last_epoch = k, with initial_lr set, stands where k + 1 steps bring it, whatever rate the optimizer had."""
    whole = rates(build(sgd(0.3)), 8)
    for last_epoch in range(7):
        optimizer = sgd(0.123)
        optimizer.param_groups[0]["initial_lr"] = 0.3
        assert rates(build(optimizer, last_epoch=last_epoch), 7 - last_epoch) == whole[last_epoch + 1 :]


def test_the_linear_decay_is_torchs_linear():
    """LinearDecayLR and LinearLR from 1 are the same line, held after its end too."""
    ours, torchs = LinearDecayLR(sgd(0.3), 7, min_factor=0.1), LinearLR(sgd(0.3), 1.0, 0.1, total_iters=7)
    assert rates(ours, 10) == pytest.approx(rates(torchs, 10), rel=1e-12)


def test_the_cosine_decay_is_torchs_up_to_its_end():
    """CosineDecayLR and CosineAnnealingLR agree up to T_max; then torch's climbs again and ours holds."""
    ours, torchs = CosineDecayLR(sgd(0.3), 7, min_factor=0.1), CosineAnnealingLR(sgd(0.3), 7, eta_min=0.03)
    ours, torchs = rates(ours, 12), rates(torchs, 12)
    assert ours[:8] == pytest.approx(torchs[:8], rel=1e-12)
    assert ours[8:] == [ours[7]] * 4
    assert torchs[8] > 1.2 * torchs[7]


def test_the_inverse_root_is_lambdas_to_the_bit():
    """A study that names the function in LambdaLR and a loop that has the class train alike."""
    lambdas = LambdaLR(sgd(0.3), schedules.inverse_sqrt)
    assert rates(InverseSqrtLR(sgd(0.3)), 12) == rates(lambdas, 12)


@pytest.mark.parametrize(("build", "factors"), SHAPES)
def test_a_shape_may_stand_in_torchs_sequential(build, factors):
    """torch's own SequentialLR starts it at its step 0 at the milestone, and first as well."""
    optimizer = sgd(1.0)
    sequential = SequentialLR(optimizer, [ConstantLR(optimizer, 0.5, 9), build(optimizer)], milestones=[2])
    assert rates(sequential, 5) == pytest.approx([0.5, 0.5, *factors[:3]], rel=1e-12)
    optimizer = sgd(1.0)
    sequential = SequentialLR(optimizer, [build(optimizer), ConstantLR(optimizer, 0.5, 9)], milestones=[2])
    assert rates(sequential, 4) == pytest.approx([*factors[:2], 0.5, 0.5], rel=1e-12)


BAD_SHAPES = [
    (WarmupStableDecayLR, (0, 1), "total_steps = 0"),
    (WarmupStableDecayLR, (5, 6), "decay_steps = 6 is a part of the 5 total_steps"),
    (WarmupStableDecayLR, (5, 2, "sqrt"), "decay = 'sqrt'"),
    (InverseSqrtLR, (0,), "timescale = 0"),
    (CosineDecayLR, (5, -0.1), "min_factor = -0.1"),
    (LinearDecayLR, (-1,), "total_steps = -1"),
    (REXLR, (5, 2.0), "min_factor = 2.0"),
    (TanhDecayLR, (5, 1.0, -1.0), "lower = 1.0 and upper = -1.0"),
]


@pytest.mark.parametrize(("cls", "arguments", "sentence"), BAD_SHAPES)
def test_a_shape_refuses_bad_arguments_before_it_touches_the_optimizer(cls, arguments, sentence):
    """ValueError with the function's sentence, and the optimizer's groups are as they were."""
    optimizer = sgd(0.1)
    with pytest.raises(ValueError, match=sentence):
        cls(optimizer, *arguments)
    assert "initial_lr" not in optimizer.param_groups[0]


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


def nested(optimizer: optim.Optimizer) -> SequenceLR:
    """0.5 for two steps, then 0.2."""
    return SequenceLR(
        optimizer, [partial(ConstantLR, factor=0.5, total_iters=99), partial(ConstantLR, factor=0.2)], [2]
    )


def torchs_nested(optimizer: optim.Optimizer) -> SequentialLR:
    """The same of torch's own."""
    parts = [ConstantLR(optimizer, factor=0.5, total_iters=99), ConstantLR(optimizer, factor=0.2)]
    return SequentialLR(optimizer, parts, milestones=[2])


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

HALVES = partial(ReduceLROnPlateau, factor=0.5, patience=1)


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

CYCLES = partial(CyclicLR, base_lr=0.1, max_lr=0.5, step_size_up=2, base_momentum=0.8, max_momentum=0.9)


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


# --- warm-up ---


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


# --- what a composition refuses ---

HOLD = partial(ConstantLR, factor=1.0)
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


# --- resume, pickling, tensors: everything above, at every step ---

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
