"""A pilot has an end: what is cut off is reckoned up to a whole epoch, and said."""

import pytest

from lrbench.plan import cost
from lrbench.plan.command import plan
from lrbench.plan.cost import reckoned, was_cut
from lrbench.tests.helpers.studies import write_study

CUT = {
    "status": "completed",
    "final_accuracy": None,
    "steps_per_epoch": 900,
    "num_steps": 100,
    "num_steady_steps": 79,
    "first_step_seconds": 1.0,
    "settle_seconds": 4.0,
    "train_seconds": 5.0 + 79 * 0.2,
    "total_seconds": 30.0,
}


def test_what_a_pilot_did_not_run_is_reckoned_from_its_steady_steps():
    """800 steps of 0.2 s are missing; validation and test are 3 × 100 steps' images at a third of a step: 20 s."""
    whole = reckoned(CUT)
    assert whole["train_seconds"] == pytest.approx(5.0 + 879 * 0.2)
    assert whole["evaluate_seconds"] == pytest.approx(20.0)
    assert whole["total_seconds"] == pytest.approx(30.0 + 160.0 + 20.0)
    assert (whole["num_steps"], whole["num_steady_steps"]) == (900, 879)


def test_too_few_steps_to_settle_are_taken_as_they_are():
    """Two steps in 30 s, none of them steady: each step missing takes 15 s."""
    slow = {**CUT, "num_steps": 2, "num_steady_steps": 0, "train_seconds": 30.0, "settle_seconds": 29.0}
    assert reckoned(slow)["train_seconds"] == pytest.approx(900 * 15.0)


def test_only_what_was_cut_off_is_reckoned():
    """A whole epoch has an accuracy, and a trial that failed has no time to tell."""
    assert was_cut(CUT)
    assert not was_cut({**CUT, "final_accuracy": 0.5})
    assert not was_cut({**CUT, "status": "diverged"})


def test_a_pilot_ends_in_time_and_says_that_it_did(tmp_path, monkeypatch, capsys):
    """With next to no time a trial ends after its first step: it is said, and the time is still estimated."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cost, "PILOT_SECONDS", 1e-9)
    file = write_study(
        tmp_path / "tiny.toml", fixed={"workload": "digits-cnn", "epochs": 2, "batch_size": 64}, grid={"seed": "0-2"}
    )
    assert plan(file, pilot=1, device="cpu") == 0
    out = capsys.readouterr().out
    assert "was ended after 1 of the 20 steps of an epoch" in out
    assert "the rest, and the evaluation, are reckoned from its steps" in out
    assert "From 1 row of the pilot" in out
