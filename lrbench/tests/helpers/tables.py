"""Random tables for every scheduler of torch and of lrbench: strategies for property tests, alike on every machine."""

import math

from hypothesis import settings
from hypothesis import strategies as st

NUM_STEPS = 70
few = settings(derandomize=True, deadline=None, max_examples=40)


def halve(step: float) -> float:
    return 0.5**step


def harmonic(step: float) -> float:
    return 1 / (1 + step)


def by_thirties(step: float) -> float:
    return step // 30


def keep(step: float) -> float:
    return 1.0


def numbers(least: float, most: float):
    return st.floats(least, most, allow_subnormal=False)


LR = numbers(1e-4, 10)
FUNCTION = st.sampled_from([halve, harmonic, by_thirties, keep])
STEPS = st.integers(1, 60)
TOTAL = st.integers(NUM_STEPS, 150)
FACTOR = numbers(0, 1)


def each(one, groups: int):
    """One value for all groups, or a list with one for each."""
    return one | st.lists(one, min_size=groups, max_size=groups)


def arguments(groups: int) -> dict[str, tuple[dict, dict]]:
    """Class → its arguments that must be given, and those that may be."""
    return {
        "LambdaLR": ({"lr_lambda": each(FUNCTION, groups)}, {}),
        "MultiplicativeLR": ({"lr_lambda": each(FUNCTION, groups)}, {}),
        "StepLR": ({"step_size": STEPS}, {"gamma": numbers(0, 1.1)}),
        "MultiStepLR": ({"milestones": st.lists(st.integers(0, 80), max_size=5)}, {"gamma": numbers(0, 1.1)}),
        "ConstantLR": ({}, {"factor": numbers(1e-3, 1), "total_iters": STEPS}),
        "LinearLR": ({}, {"start_factor": numbers(1e-3, 1), "end_factor": FACTOR, "total_iters": STEPS}),
        "ExponentialLR": ({"gamma": numbers(0, 1.1)}, {}),
        "PolynomialLR": ({}, {"total_iters": STEPS, "power": numbers(0, 4)}),
        "CosineAnnealingLR": ({"T_max": STEPS}, {"eta_min": numbers(0, 0.1)}),
        "CosineAnnealingWarmRestarts": (
            {"T_0": st.integers(1, 20)},
            {"T_mult": st.integers(1, 3), "eta_min": numbers(0, 0.1)},
        ),
        "CyclicLR": (
            {"base_lr": each(numbers(0, 0.1), groups), "max_lr": each(LR, groups), "cycle_momentum": st.just(False)},
            {
                "step_size_up": st.integers(1, 20),
                "step_size_down": st.integers(1, 20),
                "mode": st.sampled_from(["triangular", "triangular2", "exp_range"]),
                "gamma": numbers(0.1, 1),
                "scale_fn": FUNCTION,
                "scale_mode": st.sampled_from(["cycle", "iterations"]),
            },
        ),
        "OneCycleLR": (
            {
                "max_lr": each(LR, groups),
                "total_steps": TOTAL,
                "pct_start": st.just(0.0) | numbers(0.05, 0.95),
                "cycle_momentum": st.just(False),
            },
            {
                "anneal_strategy": st.sampled_from(["cos", "linear"]),
                "div_factor": numbers(1, 100),
                "final_div_factor": numbers(1, 1e5),
                "three_phase": st.booleans(),
            },
        ),
        "ReduceLROnPlateau": (
            {"patience": st.integers(0, 4)},
            {
                "mode": st.sampled_from(["min", "max"]),
                "factor": numbers(0, 0.99),
                "threshold": numbers(0, 1.5),
                "threshold_mode": st.sampled_from(["rel", "abs"]),
                "cooldown": st.integers(0, 4),
                "min_lr": each(numbers(0, 0.01), groups),
                "eps": numbers(0, 1e-3),
            },
        ),
        "WarmupStableDecayLR": (
            {"total_steps": st.integers(30, 60), "decay_steps": st.integers(1, 30)},
            {"decay": st.sampled_from(["linear", "cosine", "1-sqrt"]), "min_factor": FACTOR},
        ),
        "InverseSqrtLR": ({}, {"timescale": STEPS}),
        "CosineDecayLR": ({"total_steps": STEPS}, {"min_factor": FACTOR}),
        "LinearDecayLR": ({"total_steps": STEPS}, {"min_factor": FACTOR}),
        "REXLR": ({"total_steps": STEPS}, {"min_factor": FACTOR}),
        "TanhDecayLR": (
            {"total_steps": STEPS},
            {"lower": numbers(-9, -1), "upper": numbers(0, 9), "min_factor": FACTOR},
        ),
    }


def tables(name: str, groups: int):
    must, may = arguments(groups)[name]
    return st.fixed_dictionaries({"name": st.just(name), **must}, optional=may)


@st.composite
def cases(draw, name: str):
    """A table of the class, and base rates of one to three groups."""
    base_lrs = draw(st.lists(LR, min_size=1, max_size=3))
    return draw(tables(name, len(base_lrs))), base_lrs


METRIC = numbers(-2, 2) | st.sampled_from([0.0, 1.0, math.nan, math.inf, -math.inf])
METRICS = st.lists(METRIC, min_size=NUM_STEPS, max_size=NUM_STEPS)
