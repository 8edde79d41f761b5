"""Closed forms against the classes themselves, stepped in a loop, over random arguments; edges by hand.

TOLERANCE is the table of how near they are. torch goes from rate to rate in most classes, and rounds at each step.
"""

import inspect
import math

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

import lrbench.schedulers
from lrbench.calls import class_names
from lrbench.closed_forms import COMPOSITIONS, FORMS, NoClosedForm, plateau_cuts, rates
from lrbench.errors import InputError
from lrbench.plan_warnings import departures
from lrbench.tests.helpers.stepping import largest_error, optimizer_of, stepped
from lrbench.tests.helpers.tables import LR, METRICS, NUM_STEPS, arguments, cases, few, halve, harmonic, keep, tables
from lrbench.trial.optim import build_scheduler

# class → largest relative error of its closed form; 0: equal to the bit. CosineAnnealingLR's recursion goes through
# 1 + cos, which is 0 at T_max, and carries up again what it loses there; the others only round.
TOLERANCE = {
    "LambdaLR": 0,
    "MultiplicativeLR": 0,
    "ReduceLROnPlateau": 0,
    "WarmupStableDecayLR": 0,
    "CosineDecayLR": 0,
    "TanhDecayLR": 0,
    "StepLR": 1e-12,
    "MultiStepLR": 1e-12,
    "ConstantLR": 1e-12,
    "LinearLR": 1e-12,
    "ExponentialLR": 1e-12,
    "PolynomialLR": 1e-12,
    "CosineAnnealingLR": 1e-9,
    "CosineAnnealingWarmRestarts": 1e-12,
    "CyclicLR": 1e-12,
    "OneCycleLR": 1e-12,
    "InverseSqrtLR": 1e-12,
    "LinearDecayLR": 1e-12,
    "REXLR": 1e-12,
}
COMPOSED = 1e-9  # of SequentialLR, ChainedScheduler, SequenceLR, ProductLR, PerGroupLR: as their worst child


def test_every_class_of_the_installed_torch_and_of_lrbench_has_its_form():
    """Each class is in the table of forms or of compositions, and each form in the table of tolerances."""
    shapes = {name for name in lrbench.schedulers.__all__ if name.endswith("LR") and name != "WarmupLR"}
    assert {*FORMS, *COMPOSITIONS} == {*class_names("scheduler"), *shapes}
    assert set(TOLERANCE) == set(FORMS) == set(arguments(1))


@pytest.mark.parametrize("name", FORMS)
def test_arguments_and_defaults_are_those_of_the_installed_class(name):
    """Every argument of the class is one of the form, with the default that the class has: none is missed."""
    home = lrbench.schedulers if hasattr(lrbench.schedulers, name) else lr_scheduler
    theirs = {key: value.default for key, value in inspect.signature(getattr(home, name)).parameters.items()}
    ours = inspect.signature(FORMS[name]).parameters
    if name == "ReduceLROnPlateau":  # its counters are a function of their own
        ours = {**ours, **inspect.signature(plateau_cuts).parameters}
    else:
        assert theirs.pop("last_epoch") == -1
    given_too = {"lr", "n", "metrics", "counting"}
    assert {key: value.default for key, value in ours.items() if key not in given_too} == {
        key: default for key, default in theirs.items() if key != "optimizer"
    }


@pytest.mark.parametrize("name", FORMS)
def test_a_closed_form_is_what_the_class_gives_step_by_step(name):
    """Over random arguments, lists for each group among them, the rates agree as the table of tolerances says."""

    @few
    @given(case=cases(name), metrics=METRICS)
    def agrees(case, metrics):
        table, base_lrs = case
        found = stepped(table, base_lrs, NUM_STEPS, metrics)
        planned = rates(table, base_lrs=base_lrs, num_steps=NUM_STEPS, metrics=metrics)
        assert departures(table) == ()
        assert largest_error(found, planned) <= TOLERANCE[name]

    agrees()


@pytest.mark.parametrize("name", [name for name, tolerance in TOLERANCE.items() if tolerance])
def test_a_class_that_the_table_calls_near_is_not_equal_to_the_bit(name):
    """The table gives a tolerance only where it is needed: some arguments give other last digits than the class."""

    def differs(case) -> bool:
        table, base_lrs = case
        return stepped(table, base_lrs, NUM_STEPS) != rates(table, base_lrs=base_lrs, num_steps=NUM_STEPS)

    search = settings(derandomize=True, deadline=None, max_examples=100, phases=[Phase.generate])
    assert find(cases(name), differs, settings=search)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_a_plateau_cuts_exactly_where_torchs_counters_say(mode, threshold_mode):
    """Over random metrics, NaN and infinities among them, every cut stands at the same call of step(metric)."""

    @few
    @given(
        metrics=METRICS,
        patience=st.integers(0, 3),
        cooldown=st.integers(0, 3),
        threshold=st.sampled_from([0.0, 1e-4, 0.1, 1.0, 1.5]),
    )
    def agree(metrics, **counting):
        counting |= {"mode": mode, "threshold_mode": threshold_mode}
        # a factor of one half and no eps: every cut shows
        table = {"name": "ReduceLROnPlateau", "factor": 0.5, "eps": 0.0, **counting}
        (course,) = stepped(table, [1.0], NUM_STEPS, metrics)
        seen = [call for call in range(1, NUM_STEPS) if course[call] < course[call - 1]]
        assert plateau_cuts(metrics[: NUM_STEPS - 1], **counting) == seen

    agree()


@pytest.mark.parametrize(
    ("metrics", "counting", "cuts"),
    [
        ([5, 5, 5, 5, 5, 5, 5], {"patience": 2}, [4, 7]),  # the first call only sets the baseline
        ([5, 5, 5, 5, 5, 5, 5], {"patience": 0}, [2, 3, 4, 5, 6, 7]),
        ([5, 5, 5, 5, 5, 5, 5], {"patience": 0, "cooldown": 2}, [2, 5]),
        ([5, 4, 3, 2, 1], {"patience": 0}, []),
        ([5, 4, 3, 2, 1], {"patience": 0, "mode": "max"}, [2, 3, 4, 5]),
        ([math.nan, math.nan, math.nan, 5, 6], {"patience": 1}, [2]),  # bad from the first call on
        ([10, 9.5, 9, 8.5], {"patience": 0, "threshold": 0.1}, [2, 3]),  # 9 is not below 9; 8.5 is
        ([10, 9.5, 9, 8.5], {"patience": 0, "threshold": 0.5, "threshold_mode": "abs"}, [2, 4]),
    ],
)
def test_a_plateau_cuts_where_it_does_by_hand(metrics, counting, cuts):
    """Patience, cooldown, mode and threshold, counted on paper."""
    assert plateau_cuts(metrics, **counting) == cuts


# ---------------------------------------------------------------------------------------------------------- last_epoch


@pytest.mark.parametrize("name", [name for name in class_names("scheduler") if name in FORMS])
def test_last_epoch_begins_where_so_many_steps_have_brought_it(name):
    """last_epoch = k gives the course from its step k + 1 on, as the scheduler that a trial builds does."""
    if name == "ReduceLROnPlateau":
        with pytest.raises(NoClosedForm, match="the metrics before that step are not known"):
            rates({"name": name, "last_epoch": 3}, base_lrs=[0.1], num_steps=1)
        return

    @settings(few, max_examples=10)
    @given(table=tables(name, 1), last_epoch=st.integers(0, 20))
    def agrees(table, last_epoch):
        if "lr_lambda" in table or "scale_fn" in table:
            key = "lr_lambda" if "lr_lambda" in table else "scale_fn"
            table = {**table, key: "lrbench.tests.helpers.tables:halve"}
        table = {**table, "last_epoch": last_epoch}
        optimizer = optimizer_of([0.1])
        build_scheduler(table, optimizer, NUM_STEPS)
        uninterrupted = rates({**table, "last_epoch": -1}, base_lrs=[0.1], num_steps=last_epoch + 6)
        assert rates(table, base_lrs=[0.1], num_steps=5) == [uninterrupted[0][last_epoch + 1 :]]
        course = [*uninterrupted[0]]
        course[last_epoch + 1] = optimizer.param_groups[0]["lr"]
        assert largest_error([course], uninterrupted) <= TOLERANCE[name]

    agrees()


# --------------------------------------------------------------------------------------------------------- compositions

CHAINABLE = ("MultiplicativeLR", "StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR")
IN_SEQUENCE = sorted(set(FORMS) - {"MultiplicativeLR", "OneCycleLR", "CyclicLR", "ReduceLROnPlateau"})


def sequence(name: str, child):
    """A table of the class, with one to four schedulers in a row."""

    def with_milestones(schedulers: list[dict]):
        count = len(schedulers) - 1
        milestones = st.lists(st.integers(0, 60), min_size=count, max_size=count).map(sorted)
        return milestones.map(lambda steps: {"name": name, "schedulers": schedulers, "milestones": steps})

    return st.lists(child, min_size=1, max_size=4).flatmap(with_milestones)


def beside(name: str, child, least: int = 1, most: int = 3):
    schedulers = st.lists(child, min_size=least, max_size=most)
    return schedulers.map(lambda inner: {"name": name, "schedulers": inner})


@few
@given(table=sequence("SequentialLR", st.one_of(*(tables(name, 1) for name in IN_SEQUENCE))), base_lr=LR)
def test_torchs_flat_sequence_is_the_documented_one(table, base_lr):
    """SequentialLR of plain schedulers starts each at its own step 0 and the base rate, at its milestone."""
    assert departures(table) == ()
    planned = rates(table, base_lrs=[base_lr], num_steps=NUM_STEPS)
    assert largest_error(stepped(table, [base_lr], NUM_STEPS), planned) <= COMPOSED


@few
@given(table=beside("ChainedScheduler", st.one_of(*(tables(name, 1) for name in CHAINABLE))), base_lr=LR)
def test_torchs_flat_chain_is_the_product(table, base_lr):
    """ChainedScheduler of schedulers that multiply gives the base rate times all their multipliers."""
    assert departures(table) == ()
    planned = rates(table, base_lrs=[base_lr], num_steps=NUM_STEPS)
    assert largest_error(stepped(table, [base_lr], NUM_STEPS), planned) <= COMPOSED


def nested(groups: int):
    """lrbench's compositions of every class, in each other to some depth, for so many groups."""
    plain = st.one_of(*(tables(name, groups) for name in FORMS))
    by_group = beside("PerGroupLR", st.one_of(*(tables(name, 1) for name in FORMS)), groups, groups)
    return st.recursive(
        plain | by_group,
        lambda child: sequence("SequenceLR", child) | beside("ProductLR", child),
        max_leaves=6,
    )


@settings(few, max_examples=60)
@given(
    case=st.integers(1, 2).flatmap(lambda groups: st.tuples(nested(groups), st.just([0.3, 0.05][:groups]))),
    metrics=METRICS,
)
def test_compositions_agree_to_any_depth(case, metrics):
    """SequenceLR, ProductLR and PerGroupLR in each other, over every class, are what the documentation says."""
    table, base_lrs = case
    planned = rates(table, base_lrs=base_lrs, num_steps=NUM_STEPS, metrics=metrics)
    assert largest_error(stepped(table, base_lrs, NUM_STEPS, metrics), planned) <= COMPOSED


def test_a_plateau_in_a_sequence_sees_the_metrics_of_its_own_phase():
    """From milestone 2 on: steps 3, 4, 5 bring it the metrics 1, 1, 1, of which the second is bad and cuts."""
    plateau = {"name": "ReduceLROnPlateau", "patience": 0, "factor": 0.5}
    table = {
        "name": "SequenceLR",
        "schedulers": [{"name": "ConstantLR", "factor": 0.1, "total_iters": 9}, plateau],
        "milestones": [2],
    }
    metrics = [0.0, 0.0, 1.0, 1.0, 1.0]
    wanted = [[0.1, 0.1, 1.0, 1.0, 0.5, 0.25]]
    assert rates(table, base_lrs=[1.0], num_steps=6, metrics=metrics) == wanted
    assert stepped(table, [1.0], 6, metrics) == wanted


def test_each_group_follows_its_own_child():
    """PerGroupLR's child i is group i's, and knows one group alone: its lists have one entry."""
    children = [{"name": "LambdaLR", "lr_lambda": [halve]}, {"name": "StepLR", "step_size": 2, "gamma": 0.1}]
    found = rates({"name": "PerGroupLR", "schedulers": children}, base_lrs=[1.0, 8.0], num_steps=3)
    assert found == [[1.0, 0.5, 0.25], [8.0, 8.0, 8.0 * 0.1]]


# ------------------------------------------------------------------------------- where torch departs from its documents

CONSTANT = {"name": "ConstantLR", "factor": 0.5, "total_iters": 2}
HALVING = {"name": "ExponentialLR", "gamma": 0.5}
CYCLE = {"name": "CyclicLR", "base_lr": 0.25, "max_lr": 0.75, "step_size_up": 2, "cycle_momentum": False}
ONE_CYCLE = {"name": "OneCycleLR", "max_lr": 0.5, "total_steps": 9, "cycle_momentum": False}


def in_turn(*schedulers: dict, at: tuple[int, ...] = (2,)) -> dict:
    return {"name": "SequentialLR", "schedulers": list(schedulers), "milestones": list(at)}


def chained(*schedulers: dict) -> dict:
    return {"name": "ChainedScheduler", "schedulers": list(schedulers)}


# table, by its documentation from base rate 1, and how torch departs
DEPARTURES = [
    ({"name": "ConstantLR", "factor": 0.5, "total_iters": 0}, [1, 1, 1, 1], "keeps its first rate"),
    ({"name": "LinearLR", "start_factor": 0.5, "total_iters": 0}, [1, 1, 1, 1], "keeps its first rate"),
    ({"name": "PolynomialLR", "total_iters": 0}, [0, 0, 0, 0], "keeps its first rate"),
    (in_turn(CONSTANT, in_turn(HALVING, HALVING)), [0.5, 0.5, 1, 0.5, 1, 0.5], "a SequentialLR inside"),
    (in_turn(CONSTANT, chained(HALVING, HALVING)), [0.5, 0.5, 1, 0.25, 0.0625], "a ChainedScheduler inside"),
    (in_turn(CYCLE, HALVING), [0.25, 0.5, 1, 0.5, 0.25], "change the base rate"),
    (in_turn(HALVING, ONE_CYCLE), [1, 0.5, 0.02], "change the base rate"),
    (in_turn(HALVING, {"name": "MultiplicativeLR", "lr_lambda": keep}), [1, 0.5, 1, 1], "begins MultiplicativeLR at"),
    (chained(HALVING, {"name": "LambdaLR", "lr_lambda": harmonic}), [1, 1 / 4, 1 / 12, 1 / 32], "lets LambdaLR"),
    (chained(HALVING, CYCLE), [0.25, 0.25, 0.1875], "lets CyclicLR overwrite"),
    (chained(HALVING, in_turn(HALVING, HALVING)), [1, 0.25, 0.25, 0.0625], "loses what those beside a SequentialLR"),
    (chained(HALVING, {"name": "CosineAnnealingLR", "T_max": 1}), [1, 0, 0.25, 0], "up to T_max"),
    (chained(HALVING, {"name": "CosineAnnealingLR", "T_max": 2, "eta_min": 0.5}), [1, 0.375, 0.125], "eta_min = 0"),
]


@pytest.mark.parametrize(
    ("table", "documented", "said"), DEPARTURES, ids=[f"{i} {d[2]}" for i, d in enumerate(DEPARTURES)]
)
def test_where_torch_departs_it_is_known_and_said(table, documented, said):
    """The closed form is what is documented, by hand; the installed torch gives other rates, or stops; that is said."""
    count = len(documented)
    assert rates(table, base_lrs=[1.0], num_steps=count) == [pytest.approx(documented)]
    assert any(said in sentence for sentence in departures(table)), departures(table)
    try:
        found = stepped(table, [1.0], count)
    except NotImplementedError:  # a nested one is asked for a rate that it cannot give
        return
    assert found != [pytest.approx(documented)]


# --------------------------------------------------------------------------------------------------- edges and mistakes


@pytest.mark.parametrize(
    ("table", "arguments", "error", "said"),
    [
        ({"name": "my.module:Mine"}, {}, NoClosedForm, "my.module:Mine has no closed form here"),
        ({"name": "LambdaLR", "lr_lambda": [halve]}, {"base_lrs": [1.0, 1.0]}, InputError, "1 entries for 2 parameter"),
        ({"name": "PerGroupLR", "schedulers": [HALVING]}, {"base_lrs": [1.0, 1.0]}, InputError, "schedulers has 1"),
        ({"name": "ReduceLROnPlateau"}, {"metrics": [1.0]}, InputError, "needs 3 metrics, found 1"),
        ({"name": "OneCycleLR", "max_lr": 1.0, "total_steps": 2}, {}, InputError, "OneCycleLR of 2 steps"),
        ({**ONE_CYCLE, "total_steps": 10, "pct_start": 0.1}, {}, InputError, "a phase of no length"),
        (chained(HALVING, HALVING), {"base_lrs": [0.0]}, InputError, "a base rate of 0 has no multiples"),
    ],
)
def test_what_has_no_rate_says_why(table, arguments, error, said):
    """A user's class, lists of the wrong length, metrics that run out and a course past its end are refused."""
    with pytest.raises(error, match=said):
        rates(table, **{"base_lrs": [1.0], "num_steps": 4, **arguments})


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ({"name": "ExponentialLR", "gamma": 1e200}, [1, 1e200, math.inf, math.inf]),  # as a product overflows
        ({"name": "ExponentialLR", "gamma": -1e200}, [1, -1e200, math.inf, -math.inf]),
        ({"name": "LambdaLR", "lr_lambda": "lrbench.schedules:inverse_sqrt"}, [1, 2**-0.5, 3**-0.5, 0.5]),
        ({**ONE_CYCLE, "total_steps": None, "epochs": 3, "steps_per_epoch": 3}, [0.02] + 3 * [None]),
        ({**HALVING, "interval": "epoch", "monitor": "val_loss"}, [1, 0.5, 0.25, 0.125]),
        ({"name": "ProductLR", "schedulers": [HALVING]}, [1, 0.5, 0.25, 0.125]),
    ],
)
def test_edges_by_hand(table, wanted):
    """Overflow, functions by name, totals in two factors, keys that are no arguments: None stands for any rate."""
    (course,) = rates(table, base_lrs=[1.0], num_steps=4)
    assert all(right is None or rate == pytest.approx(right) for rate, right in zip(course, wanted, strict=True))


def test_no_steps_have_no_rates():
    """A course of no steps is empty for every class."""
    assert rates(HALVING, base_lrs=[1.0, 2.0], num_steps=0) == [[], []]
    assert rates({"name": "MultiplicativeLR", "lr_lambda": halve}, base_lrs=[1.0], num_steps=0) == [[]]
