"""What is wrong with a user's own schedule is told before anything trains, with the schedule and the reason."""

import pytest

from lrbench.errors import InputError
from lrbench.executors import one_of_each
from lrbench.factors import Trial
from lrbench.tests.helpers.studies import DIGITS, RECIPE, USERS
from lrbench.trial.check import problems

SLOPE = {"model": f"{USERS}:Bias", "loss": f"{USERS}:slope", "data": "digits", "train_limit": 72}


def told(scheduler: str | dict, groups: str = "single") -> list[str]:
    trial = Trial(
        workload={**SLOPE, "groups": groups}, epochs=4, batch_size=10, base_lr=0.1, optimizer="SGD", scheduler=scheduler
    )
    return problems([trial], None)


@pytest.mark.parametrize(
    ("scheduler", "reason"),
    [
        (f"{USERS}:nothing_here", "no 'nothing_here' in"),
        (f"{USERS}:not_a_function", "is a int, not a function of the step"),
        (f"{USERS}:two_arguments", "missing 1 required positional argument: 'epoch'"),
        (f"{USERS}:makes_nothing", "gives a int without step"),
        (f"{USERS}:made", "missing 1 required positional argument: 'factor'"),
        (f"{USERS}:negative", "falls to -0.1"),
        (f"{USERS}:nan", "its rate is nan"),
        (f"{USERS}:Short", "zip()"),
        ({"name": "LambdaLR", "lr_lambda": [f"{USERS}:half"] * 3}, "has 3 lr_lambda for 2 parameter groups: give one"),
        ("PerGroupLR([ConstantLR(1.0)])", "has 1 schedulers for 2 parameter groups: give one"),
        ("SequenceLR([PerGroupLR([StepLR(1)])], [])", "has 1 schedulers for 2 parameter groups: give one"),
        ("PerGroupLR([ReduceLROnPlateau(min_lr=[0.1, 0.2]), StepLR(1)])", "has 2 min_lr for 1 parameter group: give"),
    ],
)
def test_a_bad_schedule_is_refused_before_anything_trains(scheduler, reason):
    """A wrong name, signature, rate or number of rates: one problem, which names the schedule and the reason."""
    (problem,) = told(scheduler, groups=f"{USERS}:two_groups")
    assert reason in problem
    assert "scheduler" in problem


@pytest.mark.parametrize("scheduler", [f"{USERS}:halve", f"{USERS}:Halving", f"{USERS}:made(factor=0.5)"])
def test_a_good_one_passes(scheduler):
    """A function of the step, a class and a factory: nothing to say."""
    assert told(scheduler) == []


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("function", ["draws", "counts"])
def test_a_function_of_the_step_gives_the_same_rate_again(function, inside):
    """One that draws, or counts its calls, is refused before anything trains, within another schedule too."""
    named = {"name": "LambdaLR", "lr_lambda": f"{USERS}:{function}"}
    (problem,) = told({"name": "ProductLR", "schedulers": [named]} if inside else f"{USERS}:{function}")
    assert "a function of the step has to give the same rate for the same step" in problem
    assert f"({USERS}:{function} draws, or keeps a state)" in problem


def test_a_function_that_ends_the_process_is_refused():
    """sys.exit in a schedule is a problem of that schedule like any other exception."""
    (problem,) = told(f"{USERS}:leaves")
    assert "SystemExit: 3" in problem


def test_a_warm_up_that_follows_beta2_wants_an_optimizer_with_betas():
    """SGD has none, and is told so before training; a beta2 that the warm-up gives itself is enough."""
    trial = Trial(workload="digits-cnn", warmup={"kind": "untuned_linear"})
    (problem,) = problems([trial], None)
    assert 'SGD has no betas: write it out, { kind = "untuned_linear", beta2 = 0.999 }' in problem
    given = {"kind": "untuned_linear", "beta2": 0.9}
    for factors in ({"warmup": given}, {"warmup": {"kind": "untuned_linear"}, "optimizer": "Adam"}):
        assert problems([Trial(workload="digits-cnn", **factors)], None) == []


@pytest.mark.parametrize(
    "scheduler",
    ["PerGroupLR([StepLR(1), StepLR(2)])", "ProductLR([StepLR(1), ReduceLROnPlateau(min_lr=[0.1, 0.2])])"],
)
@pytest.mark.parametrize("workload", ["digits-cnn", SLOPE])
def test_a_schedule_for_groups_that_a_workload_does_not_make_is_no_trial(scheduler, workload):
    """What has a single parameter group is known without the model: no trial of it, and the line to type."""
    with pytest.raises(InputError, match=r'for 1 parameter group: .* groups = "my_groups:by_layer"'):
        Trial(workload=workload, epochs=1, batch_size=9, base_lr=0.1, optimizer="SGD", scheduler=scheduler)


def test_a_group_gives_its_rate_once():
    """lr and lr_scale together are two answers to one question."""
    (problem,) = told("ConstantLR()", groups=f"{USERS}:twice_scaled_groups")
    assert "gives lr and lr_scale" in problem


def test_what_is_the_same_to_a_check_is_checked_once():
    """Of trials that differ in seeds, flags and threads alone the first is checked; another rate, epochs or model is
    another check, and levels that are equal without being the same object are one."""
    recipe = {**RECIPE, "workload": DIGITS}
    first = Trial(**recipe)
    seeds = [first.at(seed=seed, replicate=replicate) for seed in range(3) for replicate in range(2)]
    flags = [Trial(**recipe, cudnn_benchmark=True), Trial(**recipe, num_threads=2), Trial(**recipe)]
    others = [Trial(**{**recipe, **change}) for change in ({"base_lr": 0.5}, {"epochs": 3}, {"workload": "digits-cnn"})]
    assert one_of_each([*seeds, *flags, *others]) == [seeds[0], *others]
    assert one_of_each([]) == []
