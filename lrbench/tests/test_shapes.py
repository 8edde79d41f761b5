"""The schedulers that torch lacks: by hand, against torch, begun at any step, inside torch's own."""

from functools import partial

import pytest
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LambdaLR,
    LinearLR,
    SequentialLR,
)

from lrbench import schedules
from lrbench.schedulers import (
    REXLR,
    CosineDecayLR,
    InverseSqrtLR,
    LinearDecayLR,
    TanhDecayLR,
    WarmupStableDecayLR,
)
from lrbench.tests.helpers.courses import (
    group_rates,
    rates,
    sgd,
)

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
