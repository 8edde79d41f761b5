"""How much of an audit fits into its time: steps, replicates, parts, and what is said of what is left out."""

import pytest

from lrbench.audit.plan import PARTS, Pilot, limit_for, make_plan, plan_within


@pytest.mark.parametrize("num_steps", [1, 3, 20, 1000])
@pytest.mark.parametrize("batch_size", [1, 13, 128])
def test_a_limit_makes_exactly_so_many_steps(num_steps, batch_size):
    """Of the images a tenth is held out, one at least; the rest is so many whole batches."""
    limit = limit_for(num_steps, batch_size)
    assert (limit - max(1, limit // 10)) // batch_size == num_steps
    assert (limit - 1 - max(1, (limit - 1) // 10)) // batch_size < num_steps


QUICK = Pilot(start_seconds=2.0, fixed_seconds=0.2, step_seconds=0.01)


def test_more_time_is_never_less_of_an_audit():
    """Steps, then replicates and parts grow with the seconds, up to what is enough."""
    plans = [
        plan_within(QUICK, seconds=s, jobs=2, inert=True, most_steps=1000)[:3] for s in (1, 10, 20, 30, 40, 60, 600)
    ]
    sizes = [(len(parts), steps, replicates) for steps, replicates, parts in plans]
    assert sizes == sorted(sizes)
    assert plans[0] == (12, 3, ())
    assert plans[-1] == (40, 5, PARTS)


def test_what_the_user_asked_for_is_not_shrunk():
    """Steps and replicates that are given stay, whatever the time."""
    steps, replicates, parts, needed = plan_within(
        QUICK, seconds=1, jobs=1, inert=False, most_steps=1000, num_steps=500, replicates=7
    )
    assert (steps, replicates, parts) == (500, 7, ())
    assert needed > 1


def plan(**changes):
    asked = {
        "batch_size": 64,
        "num_images": 1438,
        "cuttable": True,
        "asked_epochs": 0,
        "asked_steps": 0,
        "asked_replicates": 0,
        "seconds_left": 100.0,
        "jobs": 2,
        "inert": True,
    }
    return make_plan(QUICK, **{**asked, **changes})


def test_a_plan_cuts_an_epoch_to_its_steps():
    """40 steps in two epochs of 20 take 1,280 training images, and 142 that are held out."""
    chosen = plan()
    assert (chosen.num_steps, chosen.epochs, chosen.train_limit) == (40, 2, limit_for(20, 64))
    assert chosen.cut == ()


def test_epochs_that_are_asked_for_are_whole():
    """Three epochs of 1,295 training images in batches of 64 are 60 steps, on all the images."""
    chosen = plan(asked_epochs=3)
    assert (chosen.num_steps, chosen.epochs, chosen.train_limit) == (60, 3, 0)


def test_a_workload_that_cannot_be_cut_is_trained_whole():
    """Its smallest run is an epoch, and the plan has no limit for it."""
    chosen = plan(cuttable=False)
    assert (chosen.num_steps, chosen.epochs, chosen.train_limit) == (20, 1, 0)


def test_a_plan_says_what_it_leaves_out():
    """Without time the parts are named, and how long the smallest audit takes."""
    chosen = plan(seconds_left=1.0)
    assert chosen.parts == ()
    assert chosen.cut[0] == "The time being short, left out: strict, resume, threads."
    assert chosen.cut[1].endswith(" s, longer than the 1 s that are left of the budget.")


@pytest.mark.parametrize("seconds_left", [0.4, -3.0])
def test_a_budget_that_is_gone_is_said_to_be_gone(seconds_left):
    """After the short trial nothing may be left: no "0 s that are left"."""
    assert (
        plan(seconds_left=seconds_left).cut[1].endswith(" s, and nothing of the budget is left after the short trial.")
    )
