"""What is odd about a plan: on rates by hand, and on the plans of real tables."""

import pytest

from lrbench.closed_forms import rates
from lrbench.plan_warnings import departures, warnings_on

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
        ([[1.0, 0.5, 1e-17, 1e-17]], ANY, 0, ("zero from step 2: the last 2 of 4 steps train nothing",)),
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
        ({"name": "LinearLR"}, 30, ["never decays"]),
        ({"name": "ConstantLR", "factor": 1.0}, 30, ["never decays"]),
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
