"""The clock of a trial: what is on it, what is off it, and where the steady state begins."""

import time

import pytest
import torch

from lrbench.trial import clock
from lrbench.trial.clock import StepClock, _quantile

CPU = torch.device("cpu")


class Time:
    """Seconds that pass only when they are told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def seconds(monkeypatch) -> Time:
    told = Time()
    monkeypatch.setattr(clock, "perf_counter", told)
    return told


def test_first_step_settling_and_steady_state_are_apart(seconds):
    """Of 10 steps the first is itself, the next 2 (a fifth) settle, 7 are steady; between epochs nothing counts."""
    steps = StepClock(CPU, 10, gpu=None)
    durations = [5.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 3.0]
    for epoch in range(2):
        steps.start()
        for duration in durations[epoch * 5 : epoch * 5 + 5]:
            seconds.passes(duration)
            steps.step()
        steps.stop()
        seconds.passes(100)  # evaluation
    found = steps.columns(batch_size=32)
    assert found["first_step_seconds"] == 5.0
    assert found["settle_seconds"] == 4.0
    assert found["train_seconds"] == 18.0
    assert (found["num_steps"], found["num_steady_steps"]) == (10, 7)
    assert found["samples_per_second"] == pytest.approx(7 * 32 / 9)
    assert found["step_seconds_median"] == 1.0
    assert found["step_seconds_p95"] == pytest.approx(1.0 + 0.7 * 2.0)  # place 5.7 of 1, 1, 1, 1, 1, 1, 3
    assert found["energy_joules"] is None


def test_work_between_the_last_step_and_stop_is_training(seconds):
    """What follows the last step of an epoch on the clock is in train_seconds, but in no step."""
    steps = StepClock(CPU, 2, gpu=None)
    steps.start()
    for _ in range(2):
        seconds.passes(1)
        steps.step()
    seconds.passes(0.5)
    steps.stop()
    found = steps.columns(batch_size=1)
    assert found["train_seconds"] == 2.5
    assert found["step_seconds_median"] == 1.0


@pytest.mark.parametrize(("num_steps", "settle"), [(1, 0), (4, 0), (5, 1), (10, 2), (99, 19), (100, 20), (10_000, 20)])
def test_a_fifth_settles_and_twenty_at_most(seconds, num_steps, settle):
    """Short jobs settle for a fifth of their steps, long ones for 20."""
    steps = StepClock(CPU, num_steps, gpu=None)
    steps.start()
    for _ in range(num_steps):
        seconds.passes(1)
        steps.step()
    steps.stop()
    found = steps.columns(batch_size=1)
    assert found["settle_seconds"] == settle
    assert found["num_steady_steps"] == num_steps - 1 - settle


def test_a_job_of_one_step_has_no_speed(seconds):
    """One step is the first step: there is no steady state, and no number stands for it."""
    steps = StepClock(CPU, 1, gpu=None)
    steps.start()
    seconds.passes(3)
    steps.step()
    steps.stop()
    found = steps.columns(batch_size=8)
    assert found["train_seconds"] == found["first_step_seconds"] == 3
    assert found["samples_per_second"] is found["step_seconds_median"] is found["step_seconds_p95"] is None


def test_the_clock_tells_real_time():
    """With nothing replaced, two steps of 20 ms take at least that, and what is off the clock is not in it."""
    steps = StepClock(CPU, 2, gpu=None)
    steps.start()
    for _ in range(2):
        time.sleep(0.02)
        steps.step()
    steps.stop()
    time.sleep(0.5)
    assert 0.04 <= steps.columns(batch_size=1)["train_seconds"] < 0.5


@pytest.mark.parametrize(
    ("values", "share", "quantile"),
    [([7.0], 0.95, 7.0), ([1.0, 2.0], 0.5, 1.5), ([1.0, 2.0, 3.0, 4.0, 5.0], 0.95, 4.8), ([1.0, 2.0, 3.0], 1.0, 3.0)],
)
def test_a_quantile_is_interpolated(values, share, quantile):
    """Between two values the quantile lies on the line, as NumPy's default does."""
    assert _quantile(values, share) == pytest.approx(quantile)
