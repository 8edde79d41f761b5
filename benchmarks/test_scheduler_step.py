"""One `scheduler.step()` of every class of torch.optim.lr_scheduler, on an optimizer with one parameter group.

A class that a newer torch brings fails here until ARGUMENTS says how to build it: nothing is left out in silence.
"""

import pytest

from benchmarks import clocks
from lrbench.calls import class_names
from lrbench.factors import check_level

ROUNDS, STEPS, WARMUP_ROUNDS = 50, 200, 5
BUDGET = (ROUNDS + WARMUP_ROUNDS + 2) * STEPS  # scheduler steps that OneCycleLR has to have left

ARGUMENTS = {
    "ChainedScheduler": "schedulers=[ConstantLR(factor=0.5), ExponentialLR(gamma=0.9999)]",
    "ConstantLR": "factor=1.0",
    "CosineAnnealingLR": "",
    "CosineAnnealingWarmRestarts": "T_0=1000",
    "CyclicLR": "base_lr=0.01, max_lr=0.1, step_size_up=500",
    "ExponentialLR": "gamma=0.9999",
    "LambdaLR": "lr_lambda='lrbench.schedules:inverse_sqrt'",
    "LinearLR": "total_iters=1000",
    "MultiStepLR": "milestones=[1000, 2000]",
    "MultiplicativeLR": "lr_lambda='benchmarks.test_scheduler_step:almost_one'",
    "OneCycleLR": "max_lr=0.1",
    "PolynomialLR": "total_iters=1000",
    "ReduceLROnPlateau": "patience=10, factor=0.999",
    "SequentialLR": "schedulers=[LinearLR(total_iters=1000), CosineAnnealingLR()], milestones=[1000]",
    "StepLR": "step_size=1000",
}


def almost_one(step: int) -> float:
    """A factor for MultiplicativeLR that keeps the rate away from zero."""
    return 0.9999


@pytest.mark.benchmark(group="scheduler step, 1 parameter group", timer=clocks.synchronised)
@pytest.mark.parametrize("class_name", class_names("scheduler"))
def test_scheduler_step(benchmark, class_name):
    """Every scheduler class of the installed torch is built by lrbench's own road and stepped."""
    import torch

    from lrbench.trial.optim import build_scheduler

    if class_name not in ARGUMENTS:
        pytest.fail(f"torch {torch.__version__} has {class_name}: give it arguments in {__file__}, ARGUMENTS")
    table = check_level("scheduler", f"{class_name}({ARGUMENTS[class_name]})")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = build_scheduler(table, optimizer, BUDGET)
    metrics = [1.0] if table.get("monitor") else []
    optimizer.step()  # torch warns where a scheduler is stepped first
    benchmark.extra_info |= {"arguments": ARGUMENTS[class_name], "num_parameter_groups": len(optimizer.param_groups)}
    benchmark.pedantic(scheduler.step, metrics, rounds=ROUNDS, iterations=STEPS, warmup_rounds=WARMUP_ROUNDS)
    (rate,) = scheduler.get_last_lr()
    assert 0 <= rate <= 0.1 + 1e-9  # LinearLR ends a rounding error above its base
