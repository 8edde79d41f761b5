"""Shares of the budget, warm-up factors, and what torch's classes are built with."""

from math import e

import pytest
import torch

from lrbench.errors import InputError
from lrbench.factors import check_level
from lrbench.levels import Warmup
from lrbench.lr_plan import judge
from lrbench.shares import resolve_share, resolved
from lrbench.tests.helpers.studies import USERS
from lrbench.trial.curves import planned_lr
from lrbench.trial.optim import build_optimizer, build_scheduler, in_closed_form, warmup_factors, warmup_length


@pytest.mark.parametrize(
    ("share", "budget", "least", "steps"),
    [
        ("30%", 100, 1, 30),
        ("50%", 5, 1, 3),  # 2.5, half up
        ("10%", 4, 1, 1),  # 0.4, and at least 1
        ("10%", 4, 0, 0),
        ("0%", 10, 0, 0),
        ("100%", 7, 1, 7),
        ("12.5%", 8, 1, 1),
        ("29%", 50, 1, 15),  # 14.5, half up: in floating point 0.29 * 50 is less
        ("33.3%", 3, 1, 1),
        (40, 7, 1, 40),
    ],
)
def test_a_share_is_of_the_budget_rounded_half_up(share, budget, least, steps):
    """A share becomes whole scheduler steps, half up and at least `least`; a whole number stays as it is."""
    assert resolve_share(share, budget, least) == steps


@pytest.mark.parametrize(
    ("warmup", "num_steps", "length"),
    [
        ("off", 100, 0),
        (Warmup(kind="linear", steps=7), 3, 7),
        (Warmup(kind="linear", fraction=0.1), 100, 10),
        (Warmup(kind="linear", fraction=0.25), 10, 3),  # 2.5, half up
        (Warmup(kind="linear", fraction=0.01), 10, 1),
        (Warmup(kind="constant", fraction=1.0, factor=0.1), 10, 10),
    ],
)
def test_the_length_of_a_warmup_is_its_steps_or_its_fraction(warmup, num_steps, length):
    """A fraction is of all optimizer steps, half up and at least one; "off" is no step."""
    assert warmup_length(warmup, num_steps) == length


@pytest.mark.parametrize(
    ("warmup", "length", "factors"),
    [
        ("off", 0, [1, 1, 1]),
        (Warmup(kind="linear", steps=4), 4, [0.25, 0.5, 0.75, 1, 1]),
        (Warmup(kind="linear", steps=1), 1, [1, 1]),
        (Warmup(kind="constant", steps=2, factor=0.1), 2, [0.1, 0.1, 1, 1]),
        (Warmup(kind="constant", steps=2, factor=0.0), 2, [0, 0, 1]),
        (Warmup(kind="exponential", steps=2), 100, [1 - e**-0.5, 1 - e**-1.0, 1 - e**-1.5]),
        (Warmup(kind="untuned_linear"), 8, [1 / 8, 2 / 8, 3 / 8]),  # 2 / (1 - 0.75)
        (Warmup(kind="untuned_exponential"), 100, [1 - e**-0.25, 1 - e**-0.5]),
        (Warmup(kind="untuned_linear", beta2=0.5), 4, [1 / 4, 2 / 4, 3 / 4, 1]),  # in place of the optimizer's
        (Warmup(kind="untuned_exponential", beta2=0.5), 100, [1 - e**-0.5, 1 - e**-1.0]),
    ],
)
def test_a_warmup_multiplies_by_its_formula(warmup, length, factors):
    """Linear climbs by (t + 1) / W, constant holds its factor, and both are 1 from W on."""
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], betas=(0.9, 0.75))
    found, factor = warmup_factors(warmup, 100, optimizer)
    assert found == length
    assert [factor(step) for step in range(len(factors))] == pytest.approx(factors)


def parameters() -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.zeros(3, 3))]


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ({"name": "SGD", "momentum": 0.9, "nesterov": True}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0}),
        ({"name": "AdamW", "betas": [0.8, 0.9]}, {"betas": (0.8, 0.9)}),
        ({"name": "LBFGS", "max_iter": 3, "line_search_fn": "strong_wolfe"}, {"max_iter": 3}),
        ({"name": "RMSprop", "alpha": 0.5}, {"alpha": 0.5}),
    ],
)
def test_an_optimizer_is_torchs_with_the_arguments_of_its_table(table, wanted):
    """Arguments arrive in torch's optimizer under their own names, lists as the tuples that torch keeps, lr beside."""
    optimizer = build_optimizer(check_level("optimizer", table), parameters(), 0.25)
    assert type(optimizer) is getattr(torch.optim, table["name"])
    (group,) = optimizer.param_groups
    assert group["lr"] == 0.25
    assert {key: group[key] for key in wanted} == wanted


@pytest.mark.parametrize(
    ("table", "attribute", "value"),
    [
        ({"name": "StepLR", "step_size": "30%"}, "step_size", 6),
        ({"name": "StepLR", "step_size": "1%"}, "step_size", 1),
        ({"name": "CosineAnnealingLR"}, "T_max", 20),
        ({"name": "CosineAnnealingLR", "T_max": "50%", "eta_min": 0.01}, "T_max", 10),
        ({"name": "OneCycleLR", "max_lr": 0.1}, "total_steps", 20),
        ({"name": "ReduceLROnPlateau", "patience": "10%"}, "patience", 2),
        ({"name": "LinearLR", "total_iters": "25%"}, "total_iters", 5),
    ],
)
def test_shares_become_steps_of_the_trial(table, attribute, value):
    """In a trial of 20 scheduler steps a share is that many of them; what is left out means the whole budget."""
    optimizer = build_optimizer({"name": "SGD"}, parameters(), 0.1)
    scheduler = build_scheduler(check_level("scheduler", table), optimizer, 20)
    assert getattr(scheduler, attribute) == value


def test_milestones_may_be_shares():
    """Each milestone is a share or a whole number, side by side."""
    optimizer = build_optimizer({"name": "SGD"}, parameters(), 0.1)
    table = check_level("scheduler", {"name": "MultiStepLR", "milestones": ["50%", 15, "90%"]})
    assert sorted(build_scheduler(table, optimizer, 20).milestones) == [10, 15, 18]


@pytest.mark.parametrize("name", ["OneCycleLR(max_lr=0.1)", "CyclicLR(base_lr=0.1, max_lr=0.2)"])
def test_momentum_stays_where_the_optimizer_put_it(name):
    """A schedule moves the rate alone unless cycle_momentum is asked for: two changes at once answer no question."""
    optimizer = build_optimizer({"name": "SGD", "momentum": 0.9}, parameters(), 0.1)
    build_scheduler(check_level("scheduler", name), optimizer, 20)
    assert optimizer.param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (f"{USERS}:halv", "Did you mean 'halve'?"),
        (f"{USERS}:not_a_function", "a int, not a function of the step"),
        ("no_such_module_here:f", "no module named 'no_such_module_here'"),
    ],
)
def test_a_callable_that_is_not_there_is_one_clear_error(reference, said):
    """A name that cannot be imported, has no such attribute or is no function says so, with what was meant."""
    optimizer = build_optimizer({"name": "SGD"}, parameters(), 0.1)
    with pytest.raises(InputError) as caught:
        build_scheduler({"name": "LambdaLR", "interval": "epoch", "lr_lambda": reference}, optimizer, 20)
    assert said in str(caught.value)
    assert reference in str(caught.value)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        ("SequentialLR([ConstantLR(0.5), StepLR(2)], [1])", ["SequentialLR", "ConstantLR", "StepLR"]),
        ("SequentialLR([ConstantLR(0.5), LambdaLR(math:exp), OneCycleLR(1)], [1, 2])", ["SequenceLR"]),
        ("SequentialLR([ConstantLR(0.5), ChainedScheduler([StepLR(1), LinearLR()])], [1])", ["SequenceLR"]),
        ("SequenceLR([SequentialLR([CyclicLR(1, 2), StepLR(1)], [1])], [])", ["SequenceLR", "SequenceLR"]),
        ("ChainedScheduler([LambdaLR(math:exp), LambdaLR(math:exp)])", ["ProductLR", "LambdaLR", "LambdaLR"]),
    ],
)
def test_what_is_judged_is_what_was_built(call, names):
    """The plan of a composition stands under the name of the class that was built for it, at every depth."""
    scheduler = check_level("scheduler", call)
    table, load = in_closed_form(resolved(scheduler, 5))
    children = [child["name"] for child in table["schedulers"]]
    assert [table["name"], *children][: len(names)] == names
    course = {"scheduler": scheduler, "optimizer": {"name": "SGD"}, "base_lr": 0.1, "warmup": "off"}
    applied = planned_lr(**course, epochs=5, steps_per_epoch=1)
    plan = {"interval": "epoch", "base_lrs": [0.1], "steps_per_epoch": 1, "num_steps": 5, "call": load}
    assert judge(applied, table, **plan, scheduler_steps=[1, 2, 3, 4, 5]).sentence.startswith(
        f"{names[0]} was applied as planned"
    )
