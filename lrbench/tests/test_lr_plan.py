"""Plans against what real loops of torch apply: each fault is planted and named, and nothing right is ever blamed."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrbench.closed_forms import FORMS, NoClosedForm
from lrbench.errors import InputError
from lrbench.lr_plan import TOLERANCE, judge, tolerance_of
from lrbench.tests.helpers.loops import train
from lrbench.tests.helpers.tables import METRICS, cases, few, harmonic, keep

# 24 optimizer steps in 6 epochs of 4. Each of these changes at every step that it takes, so that whatever goes wrong
# shows, and can be told from everything else that goes wrong.
MOVING = [
    {"name": "LambdaLR", "lr_lambda": harmonic},
    {"name": "MultiplicativeLR", "lr_lambda": lambda step: 0.9},
    {"name": "StepLR", "step_size": 1, "gamma": 0.8},
    {"name": "MultiStepLR", "milestones": list(range(1, 400)), "gamma": 0.8},
    {"name": "LinearLR", "start_factor": 1.0, "end_factor": 0.0, "total_iters": 400},
    {"name": "ExponentialLR", "gamma": 0.9},
    {"name": "PolynomialLR", "total_iters": 400, "power": 2.0},
    {"name": "CosineAnnealingLR", "T_max": 400, "eta_min": 0.001},
    {"name": "CosineAnnealingWarmRestarts", "T_0": 400},
    {"name": "CyclicLR", "base_lr": 0.01, "max_lr": 0.5, "step_size_up": 400, "cycle_momentum": False},
    {"name": "OneCycleLR", "max_lr": 0.5, "total_steps": 900, "cycle_momentum": False},
    {"name": "InverseSqrtLR", "timescale": 7},
    {"name": "REXLR", "total_steps": 400},
    {
        "name": "SequentialLR",
        "schedulers": [{"name": "LinearLR", "total_iters": 3}, {"name": "ExponentialLR", "gamma": 0.9}],
        "milestones": [3],
    },
    {
        "name": "ChainedScheduler",
        "schedulers": [{"name": "PolynomialLR", "total_iters": 400}, {"name": "ExponentialLR", "gamma": 0.9}],
    },
    {
        "name": "SequenceLR",
        "schedulers": [{"name": "LinearLR", "total_iters": 3}, {"name": "ExponentialLR", "gamma": 0.9}],
        "milestones": [3],
    },
    {
        "name": "ProductLR",
        "schedulers": [{"name": "LinearDecayLR", "total_steps": 400}, {"name": "ExponentialLR", "gamma": 0.9}],
    },
]
NAMES = [table["name"] for table in MOVING]
OFTEN, EARLY, NEVER = "stepped too often", "stepped too early", "never stepped"
SHIFTED, CUT, OTHER = "shifted by skipped steps", "cut at another step", "another course"

FAULTS = [
    ({"interval": "epoch", "pace": 2}, OFTEN, 4, "2 times its pace"),
    ({"interval": "step", "pace": 2}, OFTEN, 1, "2 times its pace"),
    ({"interval": "step", "pace": 8}, OFTEN, 1, "8 times its pace"),
    ({"interval": "step", "pace": 9}, OFTEN, 1, "stepped 207 times before the last optimizer step, where 23"),
    ({"interval": "epoch", "at": "every step"}, OFTEN, 1, "every optimizer step, where once an epoch"),
    ({"interval": "epoch", "before": True}, EARLY, 0, "the first rate was never applied"),
    ({"interval": "step", "before": True}, EARLY, 0, "the first rate was never applied"),
    ({"interval": "epoch", "at": "never"}, NEVER, 4, "stayed at its first value"),
    ({"interval": "step", "at": "never"}, NEVER, 1, "stayed at its first value"),
    ({"interval": "step", "overflows": [0], "held_back": False}, SHIFTED, 0, "1 step that the GradScaler skipped"),
    ({"interval": "step", "overflows": [3, 9], "held_back": False}, SHIFTED, 3, "2 steps that the GradScaler skipped"),
    ({"interval": "epoch", "overflows": [1], "pace": 2}, OFTEN, 3, "2 times its pace"),
    ({"interval": "epoch", "overflows": [5], "before": True}, EARLY, 0, "the first rate was never applied"),
    ({"interval": "step", "at": "every epoch"}, OTHER, 1, "once an epoch, where once an optimizer step"),
]


def judged(table: dict, planned: dict | None = None, **loop):
    """Train with this table, and judge by the same plan, or by the one that was `planned`."""
    return judge(table=planned or table, **train(table, **loop))


@pytest.mark.parametrize("table", MOVING, ids=NAMES)
@pytest.mark.parametrize(("loop", "verdict", "step", "said"), FAULTS, ids=[str(fault[0]) for fault in FAULTS])
def test_a_planted_fault_is_named(table, loop, verdict, step, said):
    """A real loop that steps the scheduler wrongly gets the word for it, and the first step that was wrong."""
    found = judged(table, **loop)
    assert (found.verdict, found.first_bad_step, found.group) == (verdict, step, 0)
    assert found.violated
    assert said in found.sentence
    assert not found.bit_equal
    assert found.planned != found.applied
    assert found.max_relative_error > 1e-4


@pytest.mark.parametrize("table", MOVING, ids=NAMES)
@pytest.mark.parametrize("interval", ["epoch", "step"])
def test_a_scheduler_of_another_optimizer_is_never_stepped(table, interval):
    """Stepped in time, but built on an optimizer that does not train: the rate that trains never moves."""
    found = judged(table, interval=interval, other_optimizer=True)
    assert found.verdict == NEVER
    assert "drive this optimizer?" in found.sentence


@pytest.mark.parametrize("name", FORMS)
def test_nothing_that_is_stepped_rightly_is_blamed(name):
    """Over random arguments, intervals, warm-ups and skipped steps, every class is found as planned."""

    @settings(few, max_examples=12)
    @given(
        case=cases(name),
        metrics=METRICS,
        interval=st.sampled_from(["epoch", "step"]),
        steps_per_epoch=st.integers(1, 4),
        num_warmup_steps=st.integers(0, 8),
        overflows=st.lists(st.integers(0, 20), max_size=3),
    )
    def is_as_planned(case, metrics, interval, steps_per_epoch, num_warmup_steps, overflows):
        table, base_lrs = case
        found = judged(
            table,
            interval=interval,
            base_lrs=base_lrs,
            epochs=20 // steps_per_epoch,
            steps_per_epoch=steps_per_epoch,
            warmup=lambda step: min(1.0, (step + 1) / (num_warmup_steps + 1)),
            metric=lambda call: metrics[call],
            overflows=overflows,
        )
        assert (found.verdict, found.first_bad_step, found.group) == ("as planned", None, None), found.sentence
        assert not found.violated
        assert found.max_relative_error <= TOLERANCE
        assert not [warning for warning in found.warnings if "stepped otherwise" in warning]

    is_as_planned()


@pytest.mark.parametrize("table", MOVING, ids=NAMES)
@pytest.mark.parametrize("overflows", [[], [0], [3, 9, 10]])
@pytest.mark.parametrize("interval", ["epoch", "step"])
def test_skipped_steps_that_are_held_back_are_as_planned(table, interval, overflows):
    """The GradScaler may skip what it likes, as long as the scheduler does not move with it."""
    found = judged(table, interval=interval, overflows=overflows, base_lrs=[0.1, 0.01])
    assert found.verdict == "as planned", found.sentence
    assert f"({24 - len(overflows)} optimizer steps, 2 parameter groups)" in found.sentence


@pytest.mark.parametrize("overflows", [[], [6], [0, 13]])
def test_the_last_step_of_the_scheduler_may_be_left_out(overflows):
    """A loop that does not move the scheduler after its last epoch has applied every rate that was planned."""
    record = train({"name": "ExponentialLR", "gamma": 0.9}, overflows=overflows)
    record["scheduler_steps"].pop()
    assert judge(table={"name": "ExponentialLR", "gamma": 0.9}, **record).verdict == "as planned"


def test_a_skipped_step_excuses_no_epoch_that_is_too_long():
    """One step of 12 was skipped: epochs of 3, 5 and 3 steps are not epochs of 4, and the rate fell a step early."""
    applied = [1.0] * 3 + [0.5] * 5 + [0.25] * 3
    record = {"interval": "epoch", "base_lrs": [1.0], "steps_per_epoch": 4, "num_steps": 12}
    found = judge([applied], {"name": "ExponentialLR", "gamma": 0.5}, **record, scheduler_steps=[3, 8, 11])
    assert (found.verdict, found.first_bad_step) == (EARLY, 3)
    assert "up to 1 step ahead of its plan" in found.sentence


def test_of_two_explanations_the_record_of_steps_decides():
    """Twice at each end of two steps, or once at each step: StepLR(2) has the same rates, and the record knows."""
    table = {"name": "StepLR", "step_size": 2}
    twice = judged(table, steps_per_epoch=2, pace=2)
    each = judged(table, steps_per_epoch=2, at="every step")
    assert twice.verdict == each.verdict == OFTEN
    assert "2 times its pace" in twice.sentence
    assert "every optimizer step, where once an epoch was planned" in each.sentence


# -------------------------------------------------------------------------------------------------------------- plateau

PLATEAU = {"name": "ReduceLROnPlateau", "patience": 1, "factor": 0.5}


def test_a_plateau_that_cuts_as_its_counters_say_is_as_planned():
    """A flat metric: baseline, bad, bad: cut at step 3 of the scheduler, and at 5."""
    record = train(PLATEAU)
    assert record["applied"][0][::4] == [0.1, 0.1, 0.1, 0.05, 0.05, 0.025]
    found = judge(table=PLATEAU, **record)
    assert (found.verdict, found.bit_equal, found.max_relative_error) == ("as planned", True, 0.0)
    assert found.sentence == (
        "ReduceLROnPlateau was applied as planned, bit for bit (24 optimizer steps, 1 parameter group)"
    )


@pytest.mark.parametrize(
    ("done", "step", "planned", "applied"),
    [
        ({**PLATEAU, "patience": 2}, 12, 0.05, 0.1),  # a cut too late
        ({**PLATEAU, "patience": 0}, 8, 0.1, 0.05),  # and too early
        ({**PLATEAU, "patience": 9}, 12, 0.05, 0.1),  # and never
        ({**PLATEAU, "cooldown": 2}, 20, 0.025, 0.05),
    ],
)
def test_a_plateau_that_cuts_at_another_call_is_found(done, step, planned, applied):
    """Counters that do otherwise than planned, as after a resume that lost them, are told from every wrong stepping."""
    found = judged(done, PLATEAU)
    assert (found.verdict, found.first_bad_step, found.planned, found.applied) == (CUT, step, planned, applied)


def test_a_plateau_keeps_its_metrics_where_a_whole_epoch_was_skipped():
    """Two ends of epochs at one optimizer step: the better metric of the first is not lost, and nothing is blamed."""
    metrics = [1.0] * 7 + [0.5] + [1.0] * 4
    found = judged(PLATEAU, epochs=12, steps_per_epoch=1, overflows=[8], metric=metrics.__getitem__)
    assert found.verdict == "as planned", found.sentence


@pytest.mark.parametrize(
    ("loop", "verdict"),
    [({"pace": 2}, OFTEN), ({"at": "every step"}, OFTEN), ({"interval": "step", "pace": 3}, OFTEN)],
)
def test_a_plateau_that_is_stepped_too_often_is_found(loop, verdict):
    """Each metric counted twice is a cut too early; the metrics that it should have seen are known from the record."""
    assert judged(PLATEAU, **loop).verdict == verdict


@pytest.mark.parametrize(
    ("loop", "verdict"),
    [({"at": "never"}, NEVER), ({"pace": 2}, OFTEN), ({}, "as planned"), ({"other_optimizer": True}, CUT)],
)
def test_a_plateaus_metrics_may_come_from_the_learning_curve(loop, verdict):
    """One metric for each step that was planned will do, whether the scheduler was shown it or not."""
    record = train(PLATEAU, **loop) | {"metrics": [1.0] * 6}
    assert judge(table=PLATEAU, **record).verdict == verdict


# ----------------------------------------------------------------------------------------------------- what is neither


def test_a_step_schedule_that_falls_elsewhere_is_found():
    """StepLR with another step_size has the levels that were planned, at other steps."""
    found = judged({"name": "StepLR", "step_size": 4}, {"name": "StepLR", "step_size": 3}, base_lrs=[0.1, 0.2])
    assert (found.verdict, found.first_bad_step, found.group) == (CUT, 12, 0)


@pytest.mark.parametrize(
    ("done", "planned"),
    [
        ({"name": "ExponentialLR", "gamma": 0.9}, {"name": "ExponentialLR", "gamma": 0.8}),
        ({"name": "ExponentialLR", "gamma": 0.9}, {"name": "CosineAnnealingLR", "T_max": 6}),
        ({"name": "StepLR", "step_size": 3, "gamma": 0.5}, {"name": "StepLR", "step_size": 3, "gamma": 0.1}),
        ({"name": "LambdaLR", "lr_lambda": harmonic}, PLATEAU),
        ({"name": "CosineAnnealingLR", "T_max": 6}, {"name": "CosineDecayLR", "total_steps": 5}),
    ],
)
def test_another_schedule_is_another_course(done, planned):
    """What no way of stepping explains is said to be so."""
    record = train(done) | {"metrics": [1.0] * 6}
    assert judge(table=planned, **record).verdict == OTHER


def test_a_fault_of_torch_is_named_as_such():
    """Stepped rightly, torch's SequentialLR starts MultiplicativeLR elsewhere than it says; the sentence knows."""
    inner = [{"name": "ExponentialLR", "gamma": 0.5}, {"name": "MultiplicativeLR", "lr_lambda": keep}]
    found = judged({"name": "SequentialLR", "schedulers": inner, "milestones": [2]})
    assert (found.verdict, found.first_bad_step, found.planned, found.applied) == (OTHER, 8, 0.1, 0.05)
    assert "torch's SequentialLR begins MultiplicativeLR at the rate it finds" in found.sentence


def test_the_group_that_left_its_plan_is_named():
    """A group frozen by hand is another course of its own: the first wrong step of any group counts."""
    record = train({"name": "ExponentialLR", "gamma": 0.5}, base_lrs=[0.1, 0.2])
    record["applied"][1][8:] = [0.0] * 16
    found = judge(table={"name": "ExponentialLR", "gamma": 0.5}, **record)
    assert (found.verdict, found.group, found.first_bad_step, found.applied) == (OTHER, 1, 8, 0.0)
    assert found.planned == pytest.approx(0.05)
    assert "First at optimizer step 8, parameter group 1: 0 was applied where 0.05 was planned" in found.sentence


def test_stepping_that_no_rate_shows_is_a_warning():
    """A constant stepped twice an epoch has the rates that were planned: no violation, and still said."""
    found = judged({"name": "ConstantLR", "factor": 1.0}, pace=2)
    assert found.verdict == "as planned"
    assert "the scheduler was stepped otherwise than planned, and no rate shows it: 12 in all, 5 planned" in (
        " ".join(found.warnings)
    )


def test_a_rebound_is_a_warning_on_a_plan_that_is_followed():
    """CosineAnnealingLR with a T_max shorter than the run climbs again: as planned, and warned of."""
    found = judged({"name": "CosineAnnealingLR", "T_max": 3})
    assert found.verdict == "as planned"
    assert found.warnings == ("rebounds past T_max: from 0 it climbs back to 0.075 within the budget",)


# ------------------------------------------------------------------------------------------------------------- by hand

HALVES = {"name": "ExponentialLR", "gamma": 0.5}
ALONE = {"interval": "step", "base_lrs": [1.0], "steps_per_epoch": 3, "num_steps": 3, "scheduler_steps": [1, 2, 3]}


@pytest.mark.parametrize(
    ("applied", "verdict", "error", "bit_equal"),
    [
        ([1.0, 0.5, 0.25], "as planned", 0.0, True),
        ([1.0, 0.5, 0.25 * (1 + 2**-40)], "as planned", 2**-40, False),  # 9e-13
        ([1.0, 0.5, 0.25 * (1 + 2**-20)], OTHER, 2**-20, False),  # 1e-6
        ([1.0, 0.5, 0.5], OTHER, 1.0, False),
        ([1.0, math.nan, 0.25], OTHER, math.inf, False),
        ([1.0, math.inf, 0.25], OTHER, math.inf, False),
    ],
)
def test_errors_are_relative_to_the_plan(applied, verdict, error, bit_equal):
    """The largest relative error, by hand; within 1e-9 is as planned, and equality to the bit is told apart."""
    found = judge([applied], HALVES, **ALONE)
    assert (found.verdict, found.max_relative_error, found.bit_equal) == (verdict, error, bit_equal)


def test_of_a_rate_near_zero_every_digit_is_rounding():
    """Below a thousandth of the largest planned rate errors are measured by that thousandth; 0 exactly is no trap."""
    plan = {"name": "LinearLR", "start_factor": 1.0, "end_factor": 0.0, "total_iters": 2}
    near = judge([[1.0, 0.5, 1e-17]], plan, **ALONE)
    assert (near.verdict, near.max_relative_error) == ("as planned", 1e-17 / 1e-3)
    assert judge([[1.0, 0.5, 1e-9]], plan, **ALONE).verdict == OTHER
    assert judge([[1.0, 0.5, 0.0]], plan, **ALONE).bit_equal


@pytest.mark.parametrize(
    ("table", "tolerance"),
    [
        ({"name": "StepLR", "step_size": 3}, 1e-9),
        ({"name": "CosineAnnealingLR", "T_max": 100}, 1e-9),
        ({"name": "CosineAnnealingLR", "T_max": 2**15}, 2.0**-52 * 4 * 2**30),
        ({"name": "ProductLR", "schedulers": [HALVES, {"name": "CosineAnnealingLR", "T_max": 2**15}]}, 2.0**-20),
    ],
)
def test_long_cosines_are_given_more(table, tolerance):
    """torch's own recursion loses about T_max² ulps at the bottom: that much is no violation."""
    assert tolerance_of(table) == tolerance


def test_a_long_cosine_that_climbs_again_is_as_planned():
    """3,000 steps with T_max = 1,400 and an eta_min, where torch's rounding is at its worst."""
    table = {"name": "CosineAnnealingLR", "T_max": 1400, "eta_min": 0.05}
    assert judged(table, interval="step", epochs=1, steps_per_epoch=3000).verdict == "as planned"


def test_no_steps_are_as_planned():
    """A trial that ended before its first step has broken no plan."""
    nothing = {**ALONE, "num_steps": 0, "scheduler_steps": []}
    found = judge([[]], HALVES, **nothing)
    assert (found.verdict, found.max_relative_error, found.bit_equal) == ("as planned", 0.0, True)


def test_a_plan_that_cannot_be_known_is_refused():
    """A user's own class has no closed form, and a plateau no plan without its metrics: neither is judged by guess."""
    with pytest.raises(NoClosedForm):
        judge([[1.0]], {"name": "mine:Own"}, **ALONE)
    with pytest.raises(InputError, match="needs 2 metrics, found 0"):
        judge([[1.0, 1.0, 1.0]], PLATEAU, **{**ALONE, "scheduler_steps": []})
