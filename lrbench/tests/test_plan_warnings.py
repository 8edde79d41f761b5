"""What is odd about a plan: on rates by hand, and on the plans of real tables."""

import pytest

from lrbench.closed_forms import rates
from lrbench.factors import Trial
from lrbench.plan_warnings import departures, one_schedule, study_warnings, unreached, warnings_on
from lrbench.tests.helpers.studies import USERS

COSINE, ANY = {"name": "CosineAnnealingLR", "T_max": 4}, {"name": "LambdaLR"}
PLATEAU = {"name": "ReduceLROnPlateau"}


@pytest.mark.parametrize(
    ("courses", "table", "warmup_steps", "said"),
    [
        ([[4.0, 3.0, 2.0, 1.0]], ANY, 0, ()),
        ([[1.0, 1.0, 1.0]], ANY, 0, ("never decays: the last rate, 1, is the largest",)),
        ([[1.0, 1.0, 1.0]], PLATEAU, 0, ()),  # its metric decides
        ([[1.0, 2.0, 3.0]], ANY, 0, ("never decays: the last rate, 3, is the largest",)),
        ([[0.1, 0.5, 1.0, 0.5]], ANY, 2, ()),  # the climb was the warm-up
        ([[0.2, 0.4]], ANY, 4, ("warm-up longer than the budget: 4 steps of 2",)),
        ([[1.0, 0.5, 0.0, 0.0]], ANY, 0, ("zero from step 2: the last 2 of 4 steps train nothing",)),
        (
            [[1.0, 0.5, 2e-17, 1e-17]],
            ANY,
            0,
            ("next to zero from step 2, 2e-17 at most: the last 2 of 4 steps train next to nothing",),
        ),
        ([[0.0, 0.5, 0.2]], ANY, 0, ()),  # zero at first is a warm-up, or a freeze
        ([[0.0, 0.0]], ANY, 0, ("zero from step 0: the last 2 of 2 steps train nothing",)),
        ([[1.0, -0.5, 0.5]], ANY, 0, ("falls below 0 at step 1: the rate there is -0.5",)),
        (
            [[3.0, 1.0, 0.0, 1.0, 2.5]],
            COSINE,
            0,
            ("rebounds past T_max: from 0 it climbs back to 2.5 within the budget",),
        ),
        (
            [[3.0, 3.0, 1.0, 1.0, 0.5, 0.5, 1.0]],
            COSINE,
            0,
            ("rebounds past T_max: from 0.5 it climbs back to 1 within the budget",),
        ),
        ([[3.0, 1.0, 0.0, 3.0, 1.0]], COSINE, 0, ()),  # a jump is another scheduler's beginning
        ([[3.0, 1.0, 0.0, 1.0, 2.5]], ANY, 0, ()),  # a user's own waves are meant
        (
            [[3.0, 2.0], [1.0, 1.0]],
            ANY,
            0,
            ("never decays: the last rate, 1, is the largest (parameter group 1)",),
        ),
        ([[1.0, 1.0], [2.0, 2.0]], ANY, 0, ("never decays: the last rate, 1, is the largest (parameter group 0)",)),
        ([[]], ANY, 0, ()),
    ],
)
def test_what_is_odd_is_said_and_nothing_else(courses, table, warmup_steps, said):
    """Each oddity has its sentence, with the step or the rate in it, once; a sound plan has none."""
    assert warnings_on(courses, table, warmup_steps) == said


@pytest.mark.parametrize(
    ("table", "steps", "kinds"),
    [
        ({"name": "CosineAnnealingLR", "T_max": 30}, 30, []),
        ({"name": "CosineAnnealingLR", "T_max": 30}, 31, ["zero from step 30"]),
        ({"name": "CosineAnnealingLR", "T_max": 30, "eta_min": 0.01}, 32, ["rebounds past T_max"]),
        ({"name": "CosineAnnealingLR", "T_max": 10}, 30, ["rebounds past T_max"]),
        ({"name": "CosineAnnealingLR", "T_max": 15}, 31, ["never decays", "rebounds past T_max"]),
        ({"name": "CosineAnnealingWarmRestarts", "T_0": 10}, 30, []),
        ({"name": "CosineDecayLR", "total_steps": 10, "min_factor": 0.1}, 30, []),
        ({"name": "PolynomialLR", "total_iters": 10}, 30, ["zero from step 10"]),
        ({"name": "LinearLR", "start_factor": 1.0, "end_factor": 0.0, "total_iters": 10}, 30, ["zero from step 10"]),
        # 0.1 * 0.1 ** 16 is the first below 1e-15 of 0.1
        ({"name": "StepLR", "step_size": 5}, 100, ["next to zero from step 80, 1e-17 at most"]),
        ({"name": "LinearLR"}, 30, ["never decays"]),
        ({"name": "ConstantLR", "factor": 1.0}, 30, []),  # the baseline, which is meant to be constant
        ({"name": "ConstantLR", "factor": 0.5}, 30, ["never decays"]),
        ({"name": "LambdaLR", "lr_lambda": lambda step: 1.0}, 30, ["never decays"]),
        (
            {"name": "SequenceLR", "schedulers": [{"name": "LinearLR"}, COSINE], "milestones": [5]},
            20,
            ["rebounds past T_max"],
        ),
        ({"name": "SequenceLR", "schedulers": [COSINE, COSINE], "milestones": [4]}, 8, []),
        ({"name": "ExponentialLR", "gamma": 0.9}, 30, []),
    ],
)
def test_plans_of_real_tables_have_the_warnings_that_they_should(table, steps, kinds):
    """The plan of each table, over so many steps, is warned of where it should be and nowhere else."""
    planned = rates(table, base_lrs=[0.1], num_steps=steps)
    assert [sentence.split(":")[0] for sentence in warnings_on(planned, table, 0)] == kinds


def test_a_departure_is_found_at_any_depth_and_told_once():
    """Tables inside tables are looked at too; lrbench's own compositions depart from nothing."""
    short = {"name": "ConstantLR", "total_iters": 0}
    table = {
        "name": "SequenceLR",
        "schedulers": [short, {"name": "ProductLR", "schedulers": [short]}],
        "milestones": [3],
    }
    assert departures(table) == ("torch's ConstantLR with total_iters = 0 keeps its first rate for ever",)
    inner = [{"name": "SequenceLR", "schedulers": [COSINE], "milestones": []}, {"name": "LambdaLR"}]
    assert departures({"name": "ProductLR", "schedulers": inner}) == ()


def test_each_group_is_judged_by_the_schedule_of_its_own():
    """Beside a cosine that climbs again, a constant baseline is meant, and a decay that zigzags is no cosine."""
    zigzag = {"name": "LambdaLR"}
    table = {"name": "PerGroupLR", "schedulers": [{"name": "ConstantLR", "factor": 1.0}, zigzag, COSINE]}
    assert warnings_on([[1.0, 1.0], [3.0, 1.0, 0.0, 1.0, 2.5], [3.0, 1.0, 0.0, 1.0, 2.5]], table, 0) == (
        "rebounds past T_max: from 0 it climbs back to 2.5 within the budget (parameter group 2)",
    )


def trial(scheduler="ConstantLR(1.0)", **factors) -> Trial:
    return Trial(**{"workload": "digits-cnn", "epochs": 8, "scheduler": scheduler, **factors})


LIMITED = {"base": "digits-cnn", "train_limit": 128}  # two steps of 64 an epoch at the most


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ([trial()], []),
        ([trial("PolynomialLR(3)")], ["zero from epoch 3: the last 5 of 8 epochs train nothing"]),
        ([trial("PolynomialLR(50%)")], ["zero from epoch 4: the last 4 of 8 epochs train nothing"]),
        ([trial("CosineAnnealingLR(4)")], ["rebounds past T_max: from 0 it climbs back to 0.0853553 within"]),
        (
            [trial("LinearLR(0.5)", base_lr=x, seed=s) for x in (0.2, 0.1) for s in (0, 1)],
            ["never decays: the last rate, 0.2, is the largest (at base_lr 0.2)"],
        ),
        ([trial("PolynomialLR(3)", epochs=e) for e in (3, 4)], ["zero from epoch 3: the last 1 of 4 epochs"]),
        ([trial({"name": "PolynomialLR", "total_iters": 3, "interval": "step"})], []),  # of how many steps?
        ([trial("ReduceLROnPlateau(patience=0)")], []),
        ([trial(f"{USERS}:not_there(k=2)"), trial("LambdaLR(no.module:here)")], []),  # own code is not run
        ([trial("ChainedScheduler([StepLR(1), LambdaLR(no.module:here)])")], ["built as lrbench's ProductLR, which"]),
        (
            [trial("SequentialLR([ConstantLR(0.5), ReduceLROnPlateau()], [2])")],
            ["built as lrbench's SequenceLR, which does what torch documents of SequentialLR"],
        ),
        ([trial("OneCycleLR(0.1, total_steps=3)")], []),  # refused with its reason before anything trains
        ([trial(workload=LIMITED, warmup={"kind": "linear", "steps": 16})], []),
        (
            [trial(workload=LIMITED, warmup={"kind": "linear", "steps": 17})],
            ["warm-up longer than the budget: 17 steps of at most 16"],
        ),
        ([trial(warmup={"kind": "linear", "steps": 10**6})], []),  # the data will tell how many steps there are
        ([trial(workload=LIMITED, warmup={"kind": "exponential", "steps": 17})], []),
    ],
)
def test_a_study_is_told_once_what_is_odd_and_known_of_its_schedules(trials, said):
    """Before any data is read: each odd schedule by its call, once for all seeds and base rates, and nothing else."""
    found = study_warnings(trials)
    assert len(found) == len(said)
    for sentence, part in zip(found, said, strict=True):
        assert part in sentence.split(": ", 1)[1]


@pytest.mark.parametrize(
    ("schedulers", "epochs", "alike"),
    [
        (["ConstantLR(factor=1.0)", "StepLR(2)", "CosineAnnealingLR"], 1, 3),
        (["ConstantLR(factor=1.0)", "StepLR(2)", "CosineAnnealingLR"], 2, 2),
        (["ConstantLR(factor=1.0)", "StepLR(2)", "CosineAnnealingLR"], 3, 0),
        (["StepLR(1, gamma=0.5)", "ExponentialLR(0.5)"], 4, 2),
        (["ConstantLR(factor=1.0)", "ReduceLROnPlateau"], 1, 2),  # over before its metric says anything
        (["ConstantLR(factor=1.0)", "ReduceLROnPlateau"], 2, 0),  # its metric decides
        (["ConstantLR(factor=1.0)", "OneCycleLR(max_lr=2.5)"], 1, 0),  # it begins at 0.1 too, and moves the momentum
        (["ConstantLR(factor=1.0)", {"name": "StepLR", "step_size": 2, "interval": "step"}], 1, 0),
    ],
)
def test_schedules_of_the_same_rates_are_told_to_be_one(schedulers, epochs, alike):
    """At the same base_lr, whatever that is; where the rates part, or are not known beforehand, nothing is said."""
    trials = [trial(each, epochs=epochs, base_lr=lr) for lr in (0.1, 0.2) for each in schedulers]
    found = one_schedule(trials)
    assert len(found) == (alike > 0)
    if found:
        assert found[0].endswith(" have the same rates at every step: they are one schedule here")
        assert sum(name.partition("(")[0] in found[0] for name in schedulers) == alike


def test_a_schedule_over_several_budgets_says_which():
    """Where epochs vary, the warning names the one that it is about."""
    (said,) = study_warnings([trial("PolynomialLR(3)", epochs=epochs) for epochs in (3, 4)])
    assert said == "PolynomialLR(total_iters=3) over 4 epochs: zero from epoch 3: the last 1 of 4 epochs train nothing"


@pytest.mark.parametrize(
    ("milestones", "said"),
    [
        ([3, 9], ()),
        ([10], ("never comes to milestone 10: it has epochs 0 to 9",)),
        ([3, 12, 500], ("never comes to milestones 12, 500: it has epochs 0 to 9",)),
    ],
)
def test_a_milestone_behind_the_end_is_told(milestones, said):
    """Of ten epochs the last is number 9: what should change at 10 or later never does."""
    assert unreached({"name": "MultiStepLR", "milestones": milestones}, 10, "epoch") == said
    (warning,) = study_warnings([trial("MultiStepLR([500])", epochs=8)])[-1:]
    assert warning.endswith("never comes to milestone 500: it has epochs 0 to 7")
