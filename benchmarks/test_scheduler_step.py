"""One `scheduler.step()` of every class, torch's and lrbench's own, at 1, 10 and 100 parameter groups.

`extra_info` has the microseconds of a step, and what share of a training step of digits-cnn that is: bare training,
measured in this session on one thread. A class that a newer torch brings fails here until ARGUMENTS says how to build
it: nothing is left out in silence.
"""

from functools import partial
from statistics import median

import pytest

from benchmarks import clocks
from lrbench.calls import class_names
from lrbench.factors import check_level

ROUNDS, WARMUP_ROUNDS = 20, 2
STEPS = {1: 200, 10: 60, 100: 15}  # scheduler steps in a round, by the number of parameter groups
BUDGET = (ROUNDS + WARMUP_ROUNDS + 2) * max(STEPS.values())  # scheduler steps that OneCycleLR has to have left

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


def own(optimizer) -> dict:
    """Return functions that build lrbench's own schedulers, as a training loop of one's own would."""
    from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LinearLR

    from lrbench import schedulers as ours

    decays = [ours.CosineDecayLR, ours.LinearDecayLR, ours.REXLR, ours.TanhDecayLR]
    linear, cosine = partial(LinearLR, total_iters=1000), partial(CosineAnnealingLR, T_max=BUDGET)
    return {
        **{decay.__name__: partial(decay, optimizer, total_steps=BUDGET) for decay in decays},
        "InverseSqrtLR": partial(ours.InverseSqrtLR, optimizer, timescale=100),
        "WarmupStableDecayLR": partial(ours.WarmupStableDecayLR, optimizer, BUDGET, BUDGET // 2),
        "SequenceLR": partial(ours.SequenceLR, optimizer, [linear, cosine], [1000]),
        "ProductLR": partial(ours.ProductLR, optimizer, [linear, partial(ExponentialLR, gamma=0.9999)]),
        "PerGroupLR": partial(ours.PerGroupLR, optimizer, [cosine] * len(optimizer.param_groups)),
        "WarmupLR": lambda: ours.WarmupLR(cosine(optimizer), "linear", num_steps=1000),
    }


OWN = (
    "CosineDecayLR",
    "InverseSqrtLR",
    "LinearDecayLR",
    "PerGroupLR",
    "ProductLR",
    "REXLR",
    "SequenceLR",
    "TanhDecayLR",
    "WarmupLR",
    "WarmupStableDecayLR",
)


@pytest.fixture(scope="module")
def training_step_seconds() -> float:
    """The seconds of a bare training step of digits-cnn: the median of five epochs, after one that warms up."""
    import torch

    from benchmarks import bare
    from lrbench.factors import Trial
    from lrbench.trial.data import stage
    from lrbench.trial.workload import resolve

    trial = Trial(workload="digits-cnn", epochs=1)
    workload = resolve(trial.workload)
    staged = stage(workload, None)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a trial has
    try:
        seconds = [bare.train(trial, workload, staged).train_seconds for _ in range(6)]
    finally:
        torch.set_num_threads(num_threads)
    return median(seconds[1:]) / (len(staged.train_images) // trial.batch_size)


def build(class_name: str, optimizer):
    """Return the scheduler: torch's by lrbench's own road, lrbench's own as anybody would build it."""
    import torch

    from lrbench.trial.optim import build_scheduler

    if class_name in OWN:
        return own(optimizer)[class_name]()
    if class_name not in ARGUMENTS:
        pytest.fail(f"torch {torch.__version__} has {class_name}: give it arguments in {__file__}, ARGUMENTS")
    return build_scheduler(check_level("scheduler", f"{class_name}({ARGUMENTS[class_name]})"), optimizer, BUDGET)


@pytest.mark.benchmark(timer=clocks.synchronised)
@pytest.mark.parametrize("num_groups", STEPS)
@pytest.mark.parametrize("class_name", sorted({*class_names("scheduler"), *OWN}))
def test_scheduler_step(benchmark, class_name, num_groups, training_step_seconds):
    """Every scheduler class is built and stepped; its rates stay between 0 and the base rate."""
    import torch

    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(num_groups)]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    scheduler = build(class_name, optimizer)
    metrics = [1.0] if class_name == "ReduceLROnPlateau" else []
    optimizer.step()  # torch warns where a scheduler is stepped first
    benchmark.group = f"scheduler step, {num_groups} parameter group{'s' if num_groups > 1 else ''}"
    benchmark.pedantic(
        scheduler.step, metrics, rounds=ROUNDS, iterations=STEPS[num_groups], warmup_rounds=WARMUP_ROUNDS
    )
    benchmark.extra_info |= {
        "arguments": ARGUMENTS.get(class_name, "lrbench.schedulers"),
        "num_parameter_groups": num_groups,
        "training_step_microseconds": 1e6 * training_step_seconds,
    }
    if benchmark.stats:  # none under --benchmark-disable
        seconds = benchmark.stats.stats.median
        benchmark.extra_info["step_microseconds"] = 1e6 * seconds
        benchmark.extra_info["share_of_training_step"] = seconds / training_step_seconds
    rates = scheduler.get_last_lr()
    assert len(rates) == num_groups
    assert all(0 <= rate <= 0.1 + 1e-9 for rate in rates)  # LinearLR ends a rounding error above its base
