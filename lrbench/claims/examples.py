"""One example of every scheduler class, as a study would write it, for a course of NUM_STEPS scheduler steps.

Every class that a study can name has one (a test holds that), each with arguments that make something happen within the
course: a milestone passed, a cycle turned, an end reached. What this does *not* do: build or step them
(`lrbench.claims.courses`).
"""

from lrbench.shares import resolved

NUM_STEPS = 12
BASE_LR = 0.1


def power(step: int) -> float:
    """Return 0.9 ** step: a multiplier of the base rate, for LambdaLR."""
    return 0.9**step


def linear(step: int) -> float:
    """Return 1 / (1 + step): another multiplier of the base rate."""
    return 1 / (1 + step)


def factor(step: int) -> float:
    """Return 0.9: what MultiplicativeLR multiplies the last rate with."""
    return 0.9


_HERE = "lrbench.claims.examples"
_CONSTANT = {"name": "ConstantLR", "factor": 0.1, "total_iters": 99}
_EXPONENTIAL = {"name": "ExponentialLR", "gamma": 0.9}
_COSINE = {"name": "CosineAnnealingLR", "T_max": 8}

EXAMPLES: dict[str, dict] = {
    table["name"]: table
    for table in [
        {"name": "ConstantLR", "factor": 0.5, "total_iters": 4},
        {"name": "StepLR", "step_size": 3, "gamma": 0.5},
        {"name": "MultiStepLR", "milestones": [3, 5], "gamma": 0.5},
        {"name": "ExponentialLR", "gamma": 0.9},
        {"name": "LinearLR", "start_factor": 0.5, "total_iters": 4},
        {"name": "PolynomialLR", "total_iters": 9, "power": 2.0},
        {"name": "CosineAnnealingLR", "T_max": 8, "eta_min": 0.001},
        {"name": "CosineAnnealingWarmRestarts", "T_0": 3, "T_mult": 2},
        {"name": "CyclicLR", "base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3, "cycle_momentum": False},
        {"name": "OneCycleLR", "max_lr": 0.1, "total_steps": "100%", "cycle_momentum": False},
        {"name": "LambdaLR", "lr_lambda": f"{_HERE}:power"},
        {"name": "MultiplicativeLR", "lr_lambda": f"{_HERE}:factor"},
        {"name": "ReduceLROnPlateau", "patience": 1, "factor": 0.5, "threshold": 0.05},
        {"name": "SequentialLR", "schedulers": [_CONSTANT, _EXPONENTIAL], "milestones": [3]},
        {"name": "ChainedScheduler", "schedulers": [{**_CONSTANT, "total_iters": 3}, _EXPONENTIAL]},
        {"name": "WarmupStableDecayLR", "total_steps": 11, "decay_steps": 8, "decay": "1-sqrt"},
        {"name": "InverseSqrtLR", "timescale": 2},
        {"name": "CosineDecayLR", "total_steps": 10, "min_factor": 0.1},
        {"name": "LinearDecayLR", "total_steps": 10},
        {"name": "REXLR", "total_steps": 10},
        {"name": "TanhDecayLR", "total_steps": 10},
        {"name": "SequenceLR", "schedulers": [_CONSTANT, _EXPONENTIAL], "milestones": [3]},
        {"name": "ProductLR", "schedulers": [{**_CONSTANT, "total_iters": 3}, _COSINE]},
        {"name": "PerGroupLR", "schedulers": [{"name": "StepLR", "step_size": 3, "gamma": 0.5}, _EXPONENTIAL]},
    ]
}
# the arguments that say where a scheduler's course ends; a class without one goes on for ever
ENDS = ("T_max", "total_steps", "total_iters")
# a scheduler that follows a metric is shown this one: better four times, then not, in turns
METRICS = (1.0, 0.8, 0.6, 0.5, 0.5, 0.51, 0.5, 0.3, 0.3, 0.31, 0.32, 0.3)


def example(name: str, num_steps: int = NUM_STEPS) -> dict:
    """Return the example of a class for a course of so many scheduler steps, its shares of the budget as counts."""
    return resolved(EXAMPLES[name], num_steps)


def end_of(table: dict) -> int:
    """Return after how many steps the scheduler of a table has done what its arguments say, or 0 where it never has.

    >>> end_of(EXAMPLES["CosineAnnealingLR"]), end_of(EXAMPLES["StepLR"])
    (8, 0)
    """
    return max((table[key] for key in ENDS if key in table), default=0)
