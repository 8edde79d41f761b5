"""Schedulers that write their own rate over base_lr: [tune] tries them by max_lr, and no rates twice."""

import itertools

import pytest

from lrbench.closed_forms import num_groups, rates
from lrbench.factors import check_level
from lrbench.own_rate import at_rate, follows_base_lr
from lrbench.shares import resolved
from lrbench.stages import Stages
from lrbench.study import parse_study

ONE_CYCLE = "OneCycleLR(max_lr=0.1)"
CYCLIC = "CyclicLR(base_lr=0.01, max_lr=0.1, step_size_up=5)"
WITHIN = "SequenceLR([LinearLR(0.1, total_iters=4), OneCycleLR(max_lr=0.1, total_steps=16)], [4])"
PRODUCT = "ProductLR([OneCycleLR(max_lr=0.1), StepLR(5, 0.5)])"
GROUPS = "OneCycleLR(max_lr=[0.1, 0.05])"
SCHEDULERS = [ONE_CYCLE, CYCLIC, WITHIN, PRODUCT, GROUPS, "StepLR(5, 0.5)"]
NUM_STEPS = 20
PLAIN = "digits-cnn"


def study(scheduler: str, **tune):
    document = {
        "question": "?",
        "fixed": {"workload": {"base": "digits-cnn", "groups": "my_groups:by_layer"} if "[0" in scheduler else PLAIN},
        "grid": {"seed": "0-1", "scheduler": [{**check_level("scheduler", scheduler), "interval": "step"}]},
        "tune": {"seeds": "10-11", "base_lr": [0.05, 0.1, 0.2], **tune},
    }
    return parse_study(document, "s", source="s.toml")


def tried(scheduler: str, **tune) -> list[tuple[float, str]]:
    (arm,) = study(scheduler, **tune).tune.arms
    return [(c.base_lr, c.scheduler) for c in arm.candidates]


def courses(scheduler: str, **tune) -> list[list[list[float]]]:
    """The rates that each candidate plans, (groups, steps)."""
    planned = []
    for base_lr, call in tried(scheduler, **tune):
        table = resolved(check_level("scheduler", call), NUM_STEPS)
        planned.append(rates(table, base_lrs=[base_lr] * num_groups(table), num_steps=NUM_STEPS))
    return planned


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_no_two_candidates_plan_the_same_rates(scheduler):
    """Of any two candidates some step has another rate: none trains what another has trained."""
    found = courses(scheduler)
    assert len(found) == 3
    assert all(a != b for a, b in itertools.combinations(found, 2))


@pytest.mark.parametrize("scheduler", [ONE_CYCLE, CYCLIC, GROUPS])
def test_the_rates_are_peaks(scheduler):
    """At its highest the rate is the one that is tried, whatever the study's base_lr."""
    assert [max(map(max, course)) for course in courses(scheduler)] == pytest.approx([0.1, 0.05, 0.2])


def test_a_cycle_keeps_its_shape():
    """CyclicLR at twice the peak has twice the rate at every step: its base_lr moves along."""
    written, _, double = courses(CYCLIC)
    assert double[0] == pytest.approx([2 * rate for rate in written[0]])


def test_within_a_sequence_base_lr_and_the_peak_move_together():
    """At 0.2 the linear part climbs to 0.2 and the cycle's peak is 0.2; as written base_lr is the study's, here 0.1."""
    assert [base_lr for base_lr, _ in tried(WITHIN)] == [0.1, 0.05, 0.2]
    assert [base_lr for base_lr, _ in tried(WITHIN.replace("max_lr=0.1", "max_lr=0.4"))] == [0.1, 0.05, 0.1, 0.2]


@pytest.mark.parametrize(
    ("scheduler", "arguments"),
    [
        (ONE_CYCLE, {"OneCycleLR": {"max_lr": [0.3, 0.4]}}),
        (CYCLIC, {"CyclicLR": {"max_lr": [0.3, 0.4]}}),
    ],
)
def test_rates_that_are_declared_are_those_that_are_tried(scheduler, arguments):
    """Rates of its own under [tune.arguments] are those that are tried: three candidates, not one for each base_lr."""
    found = courses(scheduler, arguments=arguments)
    assert [max(map(max, course)) for course in found] == pytest.approx([0.1, 0.3, 0.4])


def test_other_arguments_are_crossed_with_the_peaks():
    """Three peaks with three shares of warm-up, its own among them: nine candidates, all different."""
    found = courses(ONE_CYCLE, arguments={"OneCycleLR": {"pct_start": [0.1, 0.5]}})
    assert len(found) == 9
    assert all(a != b for a, b in itertools.combinations(found, 2))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_whether_base_lr_does_something_is_so(scheduler):
    """A scheduler is said to follow base_lr exactly where twice the base_lr gives other rates."""
    table = resolved(check_level("scheduler", scheduler), NUM_STEPS)
    planned = [rates(table, base_lrs=[lr] * num_groups(table), num_steps=NUM_STEPS) for lr in (0.125, 0.25)]
    assert follows_base_lr(table) is (planned[0] != planned[1])


def test_what_has_no_own_rate_stays():
    """StepLR is the same at any rate."""
    table = check_level("scheduler", "StepLR(5)")
    assert at_rate(table, 0.3) is table


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        (ONE_CYCLE, "OneCycleLR sets a rate of its own: the rates are tried as max_lr"),
        (WITHIN, "SequenceLR sets a rate of its own inside: the rates are tried as max_lr"),
        ("StepLR(5)", ""),
    ],
)
def test_what_the_rates_are_is_said_before_the_run(scheduler, said):
    """The line on the selection says of which schedulers the rates are their max_lr; declared ones need no word."""
    now = Stages(study(scheduler), "cpu", None).now
    assert now.endswith(said) if said else "max_lr" not in now
    declared = {"arguments": {"OneCycleLR": {"max_lr": [0.3]}}} if scheduler == ONE_CYCLE else {"base_lr": [0.3]}
    assert ("max_lr" in Stages(study(scheduler, **declared), "cpu", None).now) is (scheduler == WITHIN)
