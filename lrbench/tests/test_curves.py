"""The planned rates of every scheduler, by hand, as trained, resumed, and where torch would get them wrong."""

import pytest
import torch

from lrbench.calls import class_names
from lrbench.errors import InputError
from lrbench.factors import check_level
from lrbench.levels import Warmup
from lrbench.shares import resolve_share
from lrbench.tests.helpers.calls import EVERY_ARGUMENT
from lrbench.tests.helpers.studies import DIGITS, USERS
from lrbench.trial.curves import planned_lr
from lrbench.trial.optim import build_optimizer, build_scheduler, warmup_length

LINEAR = Warmup(kind="linear", steps=4)
OPEN_LOOP = [name for name in EVERY_ARGUMENT if name != "ReduceLROnPlateau"]
RESUMABLE = [name for name in OPEN_LOOP if name != "ChainedScheduler"]  # which has no last_epoch


def planned(call, *, base_lr=1.0, epochs=8, steps_per_epoch=1, interval="epoch", warmup="off", optimizer="SGD"):
    """The planned rates of a typed call, group by group."""
    return planned_lr(
        scheduler={**check_level("scheduler", call), "interval": interval},
        optimizer={"name": optimizer},
        base_lr=base_lr,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        warmup=warmup,
    )


BY_HAND = [
    # nested to any depth, and with ReduceLROnPlateau inside: built by lrbench, since torch's own is wrong or refuses
    (
        "SequentialLR([ConstantLR(0.1), SequentialLR([ConstantLR(1.0), StepLR(1, 0.5)], [2])], [3])",
        [[0.1] * 3 + [1, 1, 1, 0.5, 0.25]],
    ),
    (
        "SequentialLR([ChainedScheduler([StepLR(1, 0.5), StepLR(2, 0.5)]), ConstantLR(0.1, 9)], [5])",
        [[1, 0.5, 0.125, 0.0625, 0.015625, 0.1, 0.1, 0.1]],
    ),
    (
        "ChainedScheduler([StepLR(4, 0.5), SequentialLR([ConstantLR(1.0), ConstantLR(0.1, 9)], [2])])",
        [[1, 1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05]],
    ),
    (
        "SequentialLR([ConstantLR(0.1), ReduceLROnPlateau(factor=0.5, patience=0)], [2])",
        [[0.1, 0.1, 1, 1, 0.5, 0.25, 0.125, 0.0625]],
    ),
    ("PerGroupLR([ConstantLR(1.0), StepLR(4, 0.1)])", [[1] * 8, [1] * 4 + [0.1] * 4]),
    # lrbench's own shapes, and the user's
    ("LinearDecayLR()", [[1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]]),
    ("WarmupStableDecayLR(decay_steps=50%, decay='linear')", [[1, 1, 1, 1, 1, 0.75, 0.5, 0.25]]),
    ("InverseSqrtLR(timescale=1)", [[(t + 1) ** -0.5 for t in range(8)]]),
    ("CosineDecayLR(total_steps=4, min_factor=0.5)", [[1, 0.9267766952966369, 0.75, 0.5732233047033631] + [0.5] * 4]),
    (f"{USERS}:halve", [[0.5**t for t in range(8)]]),
    (f"{USERS}:power(exponent=1)", [[1 / (t + 1) for t in range(8)]]),
    (f"{USERS}:Halving", [[0.5**t for t in range(8)]]),
    (f"{USERS}:made(factor=0.25)", [[0.25**t for t in range(8)]]),
    # the six that most studies compare, and the constant rate that they are compared with
    ("StepLR(2, gamma=0.5)", [[1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]]),
    ("MultiStepLR([1, 4], gamma=0.1)", [[1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01]]),
    ("MultiStepLR([25%, 75%], gamma=0.1)", [[1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01]]),
    ("ExponentialLR(0.5)", [[1, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125]]),
    ("CosineAnnealingLR(4)", [[1, 0.8535533906, 0.5, 0.1464466094, 0, 0.1464466094, 0.5, 0.8535533906]]),
    ("CosineAnnealingLR(2, eta_min=0.2)", [[1, 0.6, 0.2, 0.6, 1, 0.6, 0.2, 0.6]]),
    # the first call sets the best, the (patience + 1)th bad one cuts
    ("ReduceLROnPlateau(patience=2)", [[1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01]]),
    ("ReduceLROnPlateau(patience=0, factor=0.5, cooldown=1)", [[1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]]),
    (
        "ReduceLROnPlateau(mode=max, monitor=val_accuracy, patience=0, factor=0.5, min_lr=[0.3, 0])",
        [[1, 1, 0.5, 0.3, 0.3, 0.3, 0.3, 0.3], [1, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625]],
    ),
    (f"LambdaLR({USERS}:halve)", [[1, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125]]),
    (
        f"LambdaLR([{USERS}:halve, {USERS}:keep])",
        [[1, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125], [1] * 8],
    ),
    ("ConstantLR(1.0)", [[1] * 8]),
    # the others of torch
    ("ConstantLR(0.5, total_iters=2)", [[0.5, 0.5, 1, 1, 1, 1, 1, 1]]),
    ("LinearLR(0.25, total_iters=3)", [[0.25, 0.5, 0.75, 1, 1, 1, 1, 1]]),
    ("PolynomialLR(4, power=2)", [[1, 0.5625, 0.25, 0.0625, 0, 0, 0, 0]]),
    (f"MultiplicativeLR({USERS}:half)", [[1, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125]]),
    ("CyclicLR(0.1, [0.5, 0.9], step_size_up=2)", [[0.1, 0.3, 0.5, 0.3] * 2, [0.1, 0.5, 0.9, 0.5] * 2]),
    ("CosineAnnealingWarmRestarts(2, T_mult=2)", [[1, 0.5, 1, 0.8535533906, 0.5, 0.1464466094, 1, 0.9619397663]]),
    (
        "OneCycleLR(1, pct_start=0.5, anneal_strategy=linear, div_factor=10, final_div_factor=10)",
        [[0.1, 0.4, 0.7, 1, 0.7525, 0.505, 0.2575, 0.01]],
    ),
    ("SequentialLR([ConstantLR(0.1, 9), ExponentialLR(0.5)], [2])", [[0.1, 0.1, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125]]),
    (
        "ChainedScheduler([ConstantLR(0.5, total_iters=2), ExponentialLR(0.5)])",
        [[0.5, 0.25, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125]],
    ),
]


@pytest.mark.parametrize(("call", "rates"), BY_HAND, ids=[call for call, _ in BY_HAND])
def test_planned_rates_are_those_worked_out_by_hand(call, rates):
    """Eight epochs from a base rate of 1: each class's own formula, epoch by epoch, group by group."""
    for found, expected in zip(planned(call), rates, strict=True):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_every_class_of_torch_is_worked_out_by_hand():
    """BY_HAND leaves out no scheduler class of the installed torch."""
    assert {call.partition("(")[0] for call, _ in BY_HAND} >= set(class_names("scheduler"))


@pytest.mark.parametrize("interval", ["epoch", "step"])
@pytest.mark.parametrize("call", EVERY_ARGUMENT.values(), ids=EVERY_ARGUMENT)
def test_every_argument_of_every_class_can_be_previewed(call, interval):
    """With all arguments given, each class plans a rate for each step, finite and at least 0, and warns of nothing."""
    if interval == "step":
        call = call.replace("ReduceLROnPlateau(", "ReduceLROnPlateau(monitor=train_loss, ")
    (rates,) = planned(call, steps_per_epoch=3, interval=interval)
    assert len(rates) == 24
    assert min(rates) >= -1e-15


def test_a_schedule_stepped_per_step_moves_within_the_epoch():
    """interval = "step" steps after each optimizer step, and shares are of all steps: here 50% of 2 * 4."""
    assert planned("StepLR(50%, gamma=0.5)", epochs=2, steps_per_epoch=4, interval="step") == [[1] * 4 + [0.5] * 4]
    assert planned("ExponentialLR(0.5)", epochs=2, steps_per_epoch=2, interval="step") == [[1, 0.5, 0.25, 0.125]]
    assert planned("ExponentialLR(0.5)", epochs=2, steps_per_epoch=2) == [[1, 1, 0.5, 0.5]]


def test_a_warmup_multiplies_the_scheduled_rate_and_leaves_its_clock_alone():
    """Linear over 4 steps: 1/4, 2/4, 3/4, 4/4 of a rate that the schedule has halved after the second."""
    assert planned("StepLR(1, gamma=0.5)", epochs=3, steps_per_epoch=2, warmup=LINEAR) == [
        [0.25, 0.5, 0.375, 0.5, 0.25, 0.25]
    ]
    constant = Warmup(kind="constant", fraction=0.5, factor=0.25)
    assert planned("ConstantLR(1.0)", epochs=2, steps_per_epoch=2, warmup=constant) == [[0.25, 0.25, 1, 1]]


@pytest.mark.parametrize(
    ("share", "budget", "count"), [("30%", 100, 30), ("58%", 25, 15), ("29%", 50, 15), ("12.5%", 100, 13), ("1%", 8, 1)]
)
def test_shares_are_rounded_half_up_without_binary_error(share, budget, count):
    """58% of 25 is 14.5 and so 15, though 0.58 * 25 is a little less; a share is at least 1; so with a warm-up."""
    assert resolve_share(share, budget, 1) == count
    assert warmup_length(Warmup(kind="linear", fraction=float(share[:-1]) / 100), budget) == count


@pytest.mark.parametrize("optimizer", class_names("optimizer"))
def test_the_rates_do_not_depend_on_the_optimizer(optimizer):
    """Every optimizer of torch can carry a schedule in a preview, and the rates are the same."""
    assert planned("ExponentialLR(0.5)", epochs=3, optimizer=optimizer) == [[1, 0.5, 0.25]]


@pytest.mark.parametrize("name", RESUMABLE)
def test_last_epoch_goes_on_where_an_uninterrupted_schedule_would_be(name):
    """last_epoch = k gives, for every class, exactly the rates that follow k + 1 steps of the whole schedule."""
    call = EVERY_ARGUMENT[name].replace("100%", "12").replace("75%", "9").replace("25%", "3").replace("30%", "4")
    whole = planned(call, epochs=12)[0]
    for last_epoch in (0, 2, 3, 7):
        resumed = planned(call.replace("last_epoch=-1", f"last_epoch={last_epoch}"), epochs=3)
        assert resumed == [whole[last_epoch + 1 : last_epoch + 4]]


def test_a_resumed_scheduler_is_at_its_place_and_its_optimizer_too():
    """After last_epoch = 29 the scheduler counts 30, and its group has the rate of epoch 30 and the base rate."""
    optimizer = build_optimizer({"name": "SGD"}, [torch.zeros(1, requires_grad=True)], 0.05)
    scheduler = build_scheduler({"name": "StepLR", "step_size": 30, "last_epoch": 29}, optimizer, 100)
    assert scheduler.last_epoch == 30
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.005)
    assert optimizer.param_groups[0]["initial_lr"] == 0.05


@pytest.mark.parametrize("name", OPEN_LOOP)
def test_what_is_planned_is_what_training_applies(name, run):
    """A trial in its process applies, step for step and bit for bit, the rates that the preview of it plans."""
    interval = "step" if name in ("OneCycleLR", "SequentialLR", "MultiStepLR") else "epoch"
    scheduler = {**check_level("scheduler", EVERY_ARGUMENT[name]), "interval": interval}
    warmup = {"kind": "linear", "fraction": 0.3} if name == "CosineAnnealingLR" else "off"
    row = run(workload=DIGITS, epochs=4, base_lr=0.01, scheduler=scheduler, warmup=warmup)
    assert row["applied_lr"] == planned_lr(
        scheduler=scheduler,
        optimizer={"name": "SGD"},
        base_lr=0.01,
        epochs=4,
        steps_per_epoch=row["steps_per_epoch"],
        warmup="off" if warmup == "off" else Warmup(**warmup),
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("SequentialLR([StepLR(1, last_epoch=3), StepLR(1)], [2])", "last_epoch of StepLR belongs to SequentialLR"),
        ("SequentialLR([StepLR(1), StepLR(1), StepLR(1)], [4, 2])", "milestones [4, 2] do not rise"),
        ("SequentialLR([StepLR(1), StepLR(1)], [2, 4])", "ValueError: Sequential Schedulers expects"),
        ("OneCycleLR(1, epochs=2, steps_per_epoch=4)", "leave the two out"),
        ("OneCycleLR(1, pct_start=0.125)", "give another pct_start"),
        ("OneCycleLR(1, total_steps=3)", "in epoch 3: ValueError: Tried to step 4 times"),
        ("ConstantLR(0, total_iters=2)", "in epoch 1: ZeroDivisionError"),
        ("ExponentialLR(1e300)", "in epoch 2: its rate is inf"),
        (f"{USERS}:makes_nothing", "gives a int without step, state_dict, load_state_dict; allowed: an LRScheduler"),
        (f"{USERS}:two_arguments", "missing 1 required positional argument: 'epoch'"),
        (f"{USERS}:Halving(factr=2)", "unexpected keyword argument 'factr'"),
        (f"LambdaLR({USERS}:refuse)", "before the first step: ValueError: this schedule knows no steps"),
        (f"LambdaLR({USERS}:not_a_function)", "is a int, not a function of the step"),
        (f"LambdaLR({USERS}:havle)", "Did you mean 'halve'?"),
        (
            f"ChainedScheduler([LambdaLR([{USERS}:half, {USERS}:half]), CyclicLR(0.1, [1, 1, 1])])",
            "LambdaLR has 2 lr_lambda for 3 parameter groups",
        ),
    ],
)
def test_what_torch_gets_wrong_or_refuses_is_told_before_training(call, said):
    """What would stop a trial half-way, or plan other rates than it says, is an InputError with the reason."""
    with pytest.raises(InputError) as error:
        planned(call)
    assert said in str(error.value)
