"""The rate that was applied at each optimizer step, in real trials, against values by hand.

The model of these trials has two scalar parameters, a and b, whose gradients are 1, so that SGD lowers them by exactly
the rate at each step: the probe logits, which are a and b, prove that what was recorded is what was applied. A trial
has 4 epochs of 2 steps.
"""

from math import cos, pi

import pytest

from lrbench.calls import class_names
from lrbench.tests.helpers.studies import SMALL, USERS

SLOPE = {"model": f"{USERS}:Bias", "loss": f"{USERS}:slope", **SMALL}
LAMBDA = f"{USERS}:halve"

# scheduler → the rate in each of 4 epochs from base_lr 0.1
EACH_EPOCH = [
    ({"name": "ConstantLR", "factor": 1.0}, [0.1, 0.1, 0.1, 0.1]),
    ({"name": "ConstantLR", "factor": 0.5, "total_iters": 2}, [0.05, 0.05, 0.1, 0.1]),
    ({"name": "ConstantLR", "factor": 0.5, "total_iters": "25%"}, [0.05, 0.1, 0.1, 0.1]),
    ({"name": "StepLR", "step_size": 2}, [0.1, 0.1, 0.01, 0.01]),
    ({"name": "StepLR", "step_size": "50%", "gamma": 0.5}, [0.1, 0.1, 0.05, 0.05]),
    ({"name": "StepLR", "step_size": 1, "gamma": 0.5}, [0.1, 0.05, 0.025, 0.0125]),
    ({"name": "MultiStepLR", "milestones": [1, 3], "gamma": 0.5}, [0.1, 0.05, 0.05, 0.025]),
    ({"name": "MultiStepLR", "milestones": ["25%", "75%"], "gamma": 0.5}, [0.1, 0.05, 0.05, 0.025]),
    ({"name": "MultiStepLR", "milestones": [2, 2], "gamma": 0.1}, [0.1, 0.1, 0.001, 0.001]),
    ({"name": "ExponentialLR", "gamma": 0.5}, [0.1, 0.05, 0.025, 0.0125]),
    (
        {"name": "CosineAnnealingLR"},
        [0.1, 0.05 * (1 + cos(pi / 4)), 0.05, 0.05 * (1 - cos(pi / 4))],
    ),
    ({"name": "CosineAnnealingLR", "T_max": 2, "eta_min": 0.02}, [0.1, 0.06, 0.02, 0.06]),
    ({"name": "LambdaLR", "lr_lambda": LAMBDA}, [0.1, 0.05, 0.025, 0.0125]),
    ({"name": "MultiplicativeLR", "lr_lambda": f"{USERS}:half"}, [0.1, 0.05, 0.025, 0.0125]),
    ({"name": "LinearLR", "start_factor": 0.5, "total_iters": 2}, [0.05, 0.075, 0.1, 0.1]),
    ({"name": "PolynomialLR", "total_iters": "100%", "power": 1.0}, [0.1, 0.075, 0.05, 0.025]),
    ({"name": "PolynomialLR", "total_iters": 2, "power": 2.0}, [0.1, 0.025, 0.0, 0.0]),
    ({"name": "CosineAnnealingWarmRestarts", "T_0": 2}, [0.1, 0.05, 0.1, 0.05]),
    ({"name": "CyclicLR", "base_lr": 0.1, "max_lr": 0.3, "step_size_up": 2}, [0.1, 0.2, 0.3, 0.2]),
    (
        {
            "name": "OneCycleLR",
            "max_lr": 0.1,
            "pct_start": 0.5,
            "anneal_strategy": "linear",
            "div_factor": 10,
            "final_div_factor": 1,
        },
        [0.01, 0.1, 0.055, 0.01],
    ),
    (
        {
            "name": "SequentialLR",
            "schedulers": ["ConstantLR(factor=0.1, total_iters=2)", "ExponentialLR(gamma=0.5)"],
            "milestones": [2],
        },
        [0.01, 0.01, 0.1, 0.05],
    ),
    (
        {
            "name": "ChainedScheduler",
            "schedulers": ["ConstantLR(factor=0.5, total_iters=2)", "ExponentialLR(gamma=0.5)"],
        },
        [0.05, 0.025, 0.025, 0.0125],
    ),
]


def ids(values: list) -> list[str]:
    return [", ".join(f"{k}={v}" for k, v in table.items() if k != "name") or table["name"] for table, *_ in values]


def check_that_they_were_applied(row: dict) -> None:
    """The parameters stand where SGD with gradient 1 goes by the recorded rates, and the row says: as planned."""
    assert row["lr_plan"] == "as planned", row["lr_plan_note"]
    assert row["lr_plan_max_relative_error"] < 1e-9
    for parameter, rates in zip(row["probe_logits"][:2], row["applied_lr"] * 2, strict=False):
        assert parameter == pytest.approx(-sum(rates), rel=1e-5)


def test_every_scheduler_of_the_installed_torch_is_tried():
    """Each class that a study can name stands in a table here, ReduceLROnPlateau in the next one."""
    assert {table["name"] for table, _ in EACH_EPOCH} | {"ReduceLROnPlateau"} == set(class_names("scheduler"))


@pytest.mark.parametrize(("scheduler", "rates"), EACH_EPOCH, ids=ids(EACH_EPOCH))
def test_a_schedule_gives_its_rates_each_epoch(run, scheduler, rates):
    """The rate of each epoch is applied at both of its steps, and recorded as it was applied."""
    row = run(workload=SLOPE, epochs=4, scheduler=scheduler)
    assert row["applied_lr"] == [pytest.approx([rate for rate in rates for _ in range(2)], rel=1e-12)]
    assert (row["num_steps"], row["num_optimizer_steps"]) == (8, 8)
    check_that_they_were_applied(row)


@pytest.mark.parametrize(
    ("scheduler", "rates"),
    [
        ({"name": "StepLR", "step_size": 3, "gamma": 0.5}, [0.1] * 3 + [0.05] * 3 + [0.025] * 2),
        ({"name": "StepLR", "step_size": "25%", "gamma": 0.5}, [0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125]),
        ({"name": "LambdaLR", "lr_lambda": LAMBDA}, [0.1 * 0.5**step for step in range(8)]),
        ({"name": "PolynomialLR", "total_iters": "100%", "power": 1.0}, [0.1 * (8 - step) / 8 for step in range(8)]),
        (
            {"name": "ReduceLROnPlateau", "monitor": "train_loss", "patience": 1, "factor": 0.5, "threshold": 0.0},
            # the losses are 1, .9, .9, .9, .8, …: two bad steps in a row, after the fourth, and the seventh
            [0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025],
        ),
    ],
    ids=["whole steps", "a share of all steps", "a function of the step", "the whole budget", "a plateau of steps"],
)
def test_a_schedule_can_be_stepped_each_step(run, scheduler, rates):
    """With interval = "step" the schedule moves after each optimizer step, and shares are of all 8 steps."""
    workload = {**SLOPE, "loss": f"{USERS}:steps_creep"} if scheduler["name"] == "ReduceLROnPlateau" else SLOPE
    row = run(workload=workload, epochs=4, scheduler={**scheduler, "interval": "step"})
    assert row["applied_lr"] == [pytest.approx(rates, rel=1e-12)]
    assert row["scheduler_interval"] == "step"
    check_that_they_were_applied(row)


PLATEAU = [
    # the metric never gets better than its first value, 1
    ("flat", {"patience": 0, "factor": 0.5}, [0.1, 0.1, 0.05, 0.025]),
    ("flat", {"patience": 1, "factor": 0.5}, [0.1, 0.1, 0.1, 0.05]),
    ("flat", {"patience": "25%", "factor": 0.5}, [0.1, 0.1, 0.1, 0.05]),
    ("flat", {"patience": 2, "factor": 0.5}, [0.1, 0.1, 0.1, 0.1]),
    ("flat", {"patience": 0}, [0.1, 0.1, 0.01, 0.001]),
    ("flat", {"patience": 0, "factor": 0.5, "cooldown": 1}, [0.1, 0.1, 0.05, 0.05]),
    ("flat", {"patience": 0, "factor": 0.5, "min_lr": 0.04}, [0.1, 0.1, 0.05, 0.04]),
    ("flat", {"patience": 0, "factor": 0.5, "eps": 0.04}, [0.1, 0.1, 0.05, 0.05]),
    # it gets better by 0.01 each epoch: enough, or not, by the threshold
    ("creeping", {"patience": 0, "factor": 0.5}, [0.1, 0.1, 0.1, 0.1]),
    ("creeping", {"patience": 0, "factor": 0.5, "threshold": 0.05}, [0.1, 0.1, 0.05, 0.025]),
    ("creeping", {"patience": 0, "factor": 0.5, "threshold": 0.005, "threshold_mode": "abs"}, [0.1, 0.1, 0.1, 0.1]),
    ("creeping", {"patience": 0, "factor": 0.5, "threshold": 0.015, "threshold_mode": "abs"}, [0.1, 0.1, 0.05, 0.05]),
    # only the training loss gets better: what is watched decides
    ("training_creeps", {"patience": 0, "factor": 0.5, "monitor": "train_loss"}, [0.1, 0.1, 0.1, 0.1]),
    ("training_creeps", {"patience": 0, "factor": 0.5, "monitor": "val_loss"}, [0.1, 0.1, 0.05, 0.025]),
    # the class of every image stays the same, and so does the accuracy
    ("flat", {"patience": 0, "factor": 0.5, "monitor": "val_accuracy", "mode": "max"}, [0.1, 0.1, 0.05, 0.025]),
]


@pytest.mark.parametrize(("loss", "arguments", "rates"), PLATEAU, ids=[f"{a} {b}" for a, b, _ in PLATEAU])
def test_reduce_lr_on_plateau_watches_its_metric(run, loss, arguments, rates):
    """The rate falls when the metric has not got better for more than `patience` epochs; each argument counts."""
    scheduler = {"name": "ReduceLROnPlateau", **arguments}
    row = run(workload={**SLOPE, "loss": f"{USERS}:{loss}"}, epochs=4, scheduler=scheduler)
    assert row["applied_lr"] == [pytest.approx([rate for rate in rates for _ in range(2)], rel=1e-12)]
    assert row["scheduler_monitor"] == arguments.get("monitor", "val_loss")
    check_that_they_were_applied(row)


def test_each_parameter_group_has_its_own_rate(run):
    """With a list of functions each group follows its own, from its own base rate, and each is recorded."""
    row = run(
        workload={**SLOPE, "groups": f"{USERS}:two_groups"},
        epochs=4,
        scheduler={"name": "LambdaLR", "lr_lambda": [LAMBDA, f"{USERS}:keep"]},
    )
    assert row["applied_lr"] == [
        pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125], rel=1e-12),
        pytest.approx([0.05] * 8, rel=1e-12),
    ]
    check_that_they_were_applied(row)


WARMUP = [
    ({"kind": "linear", "steps": 4}, "ConstantLR(factor=1.0)", [0.025, 0.05, 0.075, 0.1, 0.1, 0.1, 0.1, 0.1]),
    ({"kind": "linear", "fraction": 0.25}, "ConstantLR(factor=1.0)", [0.05] + [0.1] * 7),
    ({"kind": "constant", "steps": 3, "factor": 0.1}, "ConstantLR(factor=1.0)", [0.01] * 3 + [0.1] * 5),
    ({"kind": "linear", "steps": 100}, "ConstantLR(factor=1.0)", [0.001 * step for step in range(1, 9)]),
    # the schedule's own clock runs underneath, and a recursive schedule goes on from its own rate
    (
        {"kind": "linear", "steps": 4},
        "ExponentialLR(gamma=0.5)",
        [0.025, 0.05, 0.0375, 0.05, 0.025, 0.025, 0.0125, 0.0125],
    ),
    ({"kind": "constant", "steps": 4, "factor": 0.0}, "StepLR(step_size=2)", [0, 0, 0, 0, 0.01, 0.01, 0.01, 0.01]),
    (
        {"kind": "linear", "steps": 4},
        {"name": "StepLR", "step_size": 2, "gamma": 0.5, "interval": "step"},
        [0.025, 0.05, 0.0375, 0.05, 0.025, 0.025, 0.0125, 0.0125],
    ),
    (
        {"kind": "linear", "steps": 4},
        "ReduceLROnPlateau(patience=0, factor=0.5, threshold=0.05)",
        [0.025, 0.05, 0.075, 0.1, 0.05, 0.05, 0.025, 0.025],
    ),
]


@pytest.mark.parametrize(("warmup", "scheduler", "rates"), WARMUP, ids=[f"{a} {b}" for a, b, _ in WARMUP])
def test_a_warmup_multiplies_the_scheduled_rate(run, warmup, scheduler, rates):
    """The first steps have the scheduled rate times the warm-up's factor, whatever the schedule."""
    row = run(workload={**SLOPE, "loss": f"{USERS}:creeping"}, epochs=4, scheduler=scheduler, warmup=warmup)
    assert row["applied_lr"] == [pytest.approx(rates, rel=1e-12)]
    check_that_they_were_applied(row)


def test_a_step_that_the_grad_scaler_skips_does_not_count(run):
    """Under fp16 the first gradients overflow: that step is skipped, has no applied rate, and moves no schedule."""
    row = run(
        workload={**SLOPE, "loss": f"{USERS}:explode_first"},
        epochs=4,
        precision="fp16",
        scheduler={"name": "LambdaLR", "lr_lambda": LAMBDA, "interval": "step"},
    )
    assert (row["num_steps"], row["num_optimizer_steps"]) == (8, 7)
    assert row["applied_lr"] == [pytest.approx([0.1 * 0.5**step for step in range(7)], rel=1e-12)]
    check_that_they_were_applied(row)


def test_the_digest_of_the_rates_is_of_the_rates(run):
    """Two schedules that apply the same rates have one applied_lr_sha256, another schedule has another."""
    schedules = ["StepLR(step_size=1, gamma=0.5)", {"name": "MultiStepLR", "milestones": [1, 2, 3], "gamma": 0.5}]
    one, two = (run(workload=SLOPE, epochs=4, scheduler=scheduler) for scheduler in schedules)
    assert one["applied_lr_sha256"] == two["applied_lr_sha256"]
    other = run(workload=SLOPE, epochs=4, scheduler="ConstantLR(factor=1.0)")
    assert other["applied_lr_sha256"] != one["applied_lr_sha256"]


@pytest.mark.parametrize(
    ("scheduler", "rates"),
    [
        ("LinearDecayLR()", [0.1, 0.075, 0.05, 0.025]),
        (f"{USERS}:power(exponent=1)", [0.1, 0.05, 0.1 / 3, 0.025]),
        (
            "SequentialLR([ConstantLR(0.5), SequentialLR([ConstantLR(1.0), StepLR(1, 0.5)], [1])], [1])",
            [0.05, 0.1, 0.1, 0.05],
        ),
    ],
)
def test_shapes_of_lrbench_and_of_the_user_are_applied(run, scheduler, rates):
    """A shape that torch lacks, a plain function of the step, and a nesting that torch gets wrong, in real trials."""
    row = run(workload=SLOPE, epochs=4, scheduler=scheduler)
    assert row["applied_lr"] == [pytest.approx([rate for rate in rates for _ in range(2)], rel=1e-12)]
    check_that_they_were_applied(row)


def test_a_class_of_the_users_own_has_no_closed_form(run):
    """Its rates are applied and recorded; that they are what was meant, nobody can say, and the row says so."""
    row = run(workload=SLOPE, epochs=3, scheduler=f"{USERS}:Halving")
    assert row["applied_lr"] == [pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025, 0.025])]
    assert row["lr_plan"] == "no closed form"
    assert row["lr_plan_bit_equal"] is None


def test_warm_up_then_plateau_in_one_schedule(run):
    """ReduceLROnPlateau inside a sequence sees the metrics of its own phase: torch refuses to build it."""
    scheduler = "SequentialLR([ConstantLR(0.5), ReduceLROnPlateau(patience=0, factor=0.5)], [1])"
    row = run(workload={**SLOPE, "loss": f"{USERS}:flat"}, epochs=4, scheduler=scheduler)
    assert row["scheduler_monitor"] == "val_loss"
    assert row["applied_lr"] == [pytest.approx([0.05, 0.05, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05])]
    assert row["lr_plan"] == "as planned"


def test_each_parameter_group_has_its_rate_and_its_schedule(run):
    """Layer-wise rates follow base_lr, and PerGroupLR gives each group a schedule of its own."""
    workload = {**SLOPE, "groups": f"{USERS}:scaled_groups"}
    row = run(workload=workload, epochs=3, scheduler="PerGroupLR([ConstantLR(1.0), StepLR(1, 0.5)])")
    assert row["applied_lr"] == [
        pytest.approx([0.1] * 6),
        pytest.approx([0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025]),
    ]
    check_that_they_were_applied(row)


def test_a_violated_plan_marks_the_row(run):
    """A schedule that gives other rates when asked again did not follow its plan, and the row says where."""
    row = run(workload=SLOPE, epochs=3, scheduler={"name": "LambdaLR", "lr_lambda": f"{USERS}:impure"})
    assert row["status"] == "completed"
    assert row["lr_plan"] == "another course"
    assert "step" in row["lr_plan_note"]
    assert row["lr_plan_bit_equal"] is False
