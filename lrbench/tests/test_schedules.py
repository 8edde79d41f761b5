"""The schedules that torch lacks, as functions of the step: values worked out by hand, ends, and bad arguments."""

import math
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrbench import schedules

WSD = partial(schedules.warmup_stable_decay, total_steps=10, decay_steps=4)
BY_HAND = [
    (partial(schedules.linear_decay, total_steps=4), {0: 1, 1: 0.75, 2: 0.5, 3: 0.25, 4: 0, 9: 0}),
    (partial(schedules.linear_decay, total_steps=4, min_factor=0.2), {0: 1, 1: 0.8, 2: 0.6, 3: 0.4, 4: 0.2, 9: 0.2}),
    (partial(schedules.linear_decay, total_steps=1), {0: 1, 1: 0}),
    # cos 45° = 0.70710678…, cos 60° = 1/2
    (
        partial(schedules.cosine_decay, total_steps=4),
        {0: 1, 1: 0.8535533905932737, 2: 0.5, 3: 0.1464466094067263, 4: 0},
    ),
    (partial(schedules.cosine_decay, total_steps=3), {1: 0.75, 2: 0.25, 3: 0, 6: 0}),
    (partial(schedules.cosine_decay, total_steps=3, min_factor=0.2), {0: 1, 1: 0.8, 2: 0.4, 3: 0.2, 6: 0.2}),
    (partial(schedules.rex, total_steps=4), {0: 1, 1: 6 / 7, 2: 2 / 3, 3: 0.4, 4: 0, 9: 0}),
    (partial(schedules.rex, total_steps=4, min_factor=0.5), {0: 1, 2: 5 / 6, 3: 0.7, 4: 0.5, 9: 0.5}),
    # (1 - tanh z) / 2 = 1 / (1 + e^2z); z = -6, 0, 3 at steps 0, 6, 9
    (partial(schedules.tanh_decay, total_steps=9), {0: 0.9999938558253978, 6: 0.5, 9: 0.0024726231566347748}),
    (partial(schedules.tanh_decay, total_steps=9), {12: 0.0024726231566347748}),
    (partial(schedules.tanh_decay, total_steps=8, lower=-1, upper=1), {0: 0.8807970779778824, 4: 0.5}),
    (partial(schedules.tanh_decay, total_steps=9, min_factor=0.2), {6: 0.6}),
    (partial(WSD, decay="linear"), {0: 1, 5: 1, 6: 1, 7: 0.75, 8: 0.5, 9: 0.25, 10: 0, 11: 0}),
    (partial(WSD, decay="cosine"), {6: 1, 7: 0.8535533905932737, 8: 0.5, 10: 0, 14: 0}),
    (WSD, {0: 1, 6: 1, 7: 0.5, 8: 0.2928932188134525, 9: 0.1339745962155614, 10: 0, 11: 0}),
    (partial(WSD, min_factor=0.1), {6: 1, 7: 0.55, 10: 0.1, 11: 0.1}),
    (partial(schedules.warmup_stable_decay, total_steps=4, decay_steps=4), {0: 1, 1: 0.5, 4: 0}),
    (partial(schedules.warmup_stable_decay, total_steps=4, decay_steps=1), {3: 1, 4: 0}),
    (schedules.inverse_sqrt, {0: 1, 3: 0.5, 8: 1 / 3, 99: 0.1}),
    (partial(schedules.inverse_sqrt, timescale=100), {0: 1, 300: 0.5, 800: 1 / 3}),
    (partial(schedules.linear_warmup, num_steps=4), {0: 0.25, 1: 0.5, 2: 0.75, 3: 1, 4: 1, 99: 1}),
    (partial(schedules.linear_warmup, num_steps=1), {0: 1}),
    # 1 - 1/e, 1 - 1/e³
    (partial(schedules.exponential_warmup, num_steps=5), {4: 0.6321205588285577, 14: 0.9502129316321360}),
    (partial(schedules.constant_warmup, num_steps=2, factor=0.1), {0: 0.1, 1: 0.1, 2: 1, 3: 1}),
    (partial(schedules.constant_warmup, num_steps=1, factor=0), {0: 0, 1: 1}),
    # Adam's default 0.999: linear over 2000 steps, a time constant of 1000
    (partial(schedules.untuned_linear_warmup, beta2=0.999), {0: 0.0005, 999: 0.5, 1998: 0.9995, 1999: 1, 2000: 1}),
    (partial(schedules.untuned_linear_warmup, beta2=0), {0: 0.5, 1: 1}),
    (partial(schedules.untuned_exponential_warmup, beta2=0.999), {999: 0.6321205588285577, 2999: 0.9502129316321360}),
]


@pytest.mark.parametrize(("schedule", "values"), BY_HAND)
def test_a_schedule_gives_what_its_formula_gives_by_hand(schedule, values):
    """Each formula at its beginning, its end, beyond, and at points that are easy to work out."""
    assert {step: schedule(step) for step in values} == pytest.approx(values, rel=1e-12, abs=1e-15)


DECAYS = [
    schedules.cosine_decay,
    schedules.linear_decay,
    schedules.rex,
    schedules.tanh_decay,
    *(partial(schedules.warmup_stable_decay, decay=decay) for decay in ("linear", "cosine", "1-sqrt")),
]


@pytest.mark.parametrize("decay", DECAYS)
@settings(deadline=None)
@given(total_steps=st.integers(1, 200), data=st.data(), min_factor=st.floats(0, 1))
def test_a_decay_falls_to_its_end_and_stays_there(decay, total_steps, data, min_factor):
    """Whatever its length: no step is above the one before or outside [min_factor, 1], and nothing rebounds."""
    if getattr(decay, "func", None) is schedules.warmup_stable_decay:
        decay = partial(decay, decay_steps=data.draw(st.integers(1, total_steps)))
    values = [decay(step, total_steps=total_steps, min_factor=min_factor) for step in range(2 * total_steps + 1)]
    assert all(after <= before + 1e-15 for before, after in pairwise(values))
    assert min_factor - 1e-15 <= values[-1] <= values[0] <= 1 + 1e-15
    assert set(values[total_steps:]) == {values[total_steps]}


@given(st.integers(0, 10**6))
def test_inverse_sqrt_without_a_timescale_is_the_plain_root(step):
    """Its default is 1/√(step + 1) to the bit, so studies that name it keep their rates."""
    assert schedules.inverse_sqrt(step) == (step + 1) ** -0.5


BAD = [
    *((decay, {"total_steps": 0}, "total_steps = 0 is the length") for decay in DECAYS[:4]),
    *((decay, {"total_steps": 5, "min_factor": -0.1}, "min_factor = -0.1 is the last") for decay in DECAYS[:4]),
    *((decay, {"total_steps": 5, "min_factor": 1.5}, "from 0 to 1") for decay in DECAYS[:4]),
    (schedules.linear_decay, {"total_steps": math.nan}, "total_steps = nan"),
    (schedules.tanh_decay, {"total_steps": 5, "lower": 3.0}, "lower = 3.0 and upper = 3.0"),
    (schedules.tanh_decay, {"total_steps": 5, "upper": math.inf}, "finite, lower first"),
    (schedules.warmup_stable_decay, {"total_steps": 5, "decay_steps": 6}, "decay_steps = 6 .* from 1 to 5"),
    (schedules.warmup_stable_decay, {"total_steps": 5, "decay_steps": 0}, "decay_steps = 0 .* from 1 to 5"),
    (schedules.warmup_stable_decay, {"total_steps": 0, "decay_steps": 0}, "total_steps = 0"),
    (
        schedules.warmup_stable_decay,
        {"total_steps": 5, "decay_steps": 2, "decay": "sqrt"},
        "decay = 'sqrt' is no shape",
    ),
    (schedules.inverse_sqrt, {"timescale": 0}, "timescale = 0 is a number of steps: 1 or more"),
    (schedules.linear_warmup, {"num_steps": 0}, "num_steps = 0 is the length of the warm-up"),
    (schedules.exponential_warmup, {"num_steps": -1}, "num_steps = -1"),
    (schedules.constant_warmup, {"num_steps": 0, "factor": 0.1}, "num_steps = 0"),
    (schedules.constant_warmup, {"num_steps": 5, "factor": 1.1}, "factor = 1.1 .* from 0 to 1"),
    (schedules.untuned_linear_warmup, {"beta2": 1.0}, "beta2 = 1.0 .* below 1"),
    (schedules.untuned_exponential_warmup, {"beta2": -0.1}, "beta2 = -0.1"),
]


@pytest.mark.parametrize(("schedule", "arguments", "sentence"), BAD)
def test_bad_arguments_are_refused_with_a_sentence(schedule, arguments, sentence):
    """An argument that has no meaning raises ValueError, which says what was found and what it may be."""
    with pytest.raises(ValueError, match=sentence):
        schedule(0, **arguments)


@pytest.mark.parametrize("schedule", [schedule for schedule, _ in BY_HAND])
def test_there_is_no_step_before_the_first(schedule):
    """A negative number of steps taken is refused, not extrapolated."""
    with pytest.raises(ValueError, match=r"step = -1 is a number of (optimizer )?steps taken: 0 or more"):
        schedule(-1)
