"""PyTorch's own example of each class, as the installed torch prints it: its call, its rates, and more by hand.

A printed rate is cut off after its last digit, not rounded: 0.006078 stands for 0.00607883.
"""

import re
from dataclasses import dataclass

import pytest
from torch.optim import lr_scheduler

from lrbench.calls import class_names
from lrbench.closed_forms import rates
from lrbench.tests.helpers.stepping import stepped


@dataclass(frozen=True, kw_only=True)
class Example:
    """One docstring's example. printed: its lines (rate, when) with the scheduler steps after which the rate holds.

    by_hand: scheduler steps → the rate of each group, computed on paper from the documented formula.
    """

    calls: list[str]
    table: dict
    base_lrs: tuple[float, ...] = (0.05,)
    printed: tuple[tuple[str, str, tuple[int, ...]], ...] = ()
    by_hand: dict[int, tuple[float, ...]]
    metrics: tuple[float, ...] = ()


CONSTANT = {"name": "ConstantLR", "factor": 0.1, "total_iters": 20}
EXPONENTIAL = {"name": "ExponentialLR", "gamma": 0.9}

EXAMPLES = {
    "LambdaLR": Example(
        calls=["lambda epoch: epoch // 30", "lambda epoch: 0.95**epoch", "LambdaLR(optimizer, lr_lambda=[lambda1,"],
        table={"name": "LambdaLR", "lr_lambda": [lambda epoch: epoch // 30, lambda epoch: 0.95**epoch]},
        base_lrs=(0.05, 0.05),
        by_hand={0: (0.0, 0.05), 1: (0.0, 0.0475), 2: (0.0, 0.045125), 30: (0.05, 0.0107319), 90: (0.15, 0.000494418)},
    ),
    "MultiplicativeLR": Example(
        calls=["lambda epoch: 0.95", "MultiplicativeLR(optimizer, lr_lambda=lmbda)"],
        table={"name": "MultiplicativeLR", "lr_lambda": lambda epoch: 0.95},
        by_hand={0: (0.05,), 1: (0.0475,), 2: (0.045125,), 30: (0.0107319,), 90: (0.000494418,)},
    ),
    "StepLR": Example(
        calls=["StepLR(optimizer, step_size=30, gamma=0.1)"],
        table={"name": "StepLR", "step_size": 30, "gamma": 0.1},
        printed=(
            ("0.05", "epoch < 30", (0, 1, 29)),
            ("0.005", "30 <= epoch < 60", (30, 59)),
            ("0.0005", "60 <= epoch < 90", (60, 89)),
        ),
        by_hand={90: (0.00005,), 99: (0.00005,)},
    ),
    "MultiStepLR": Example(
        calls=["MultiStepLR(optimizer, milestones=[30, 80], gamma=0.1)"],
        table={"name": "MultiStepLR", "milestones": [30, 80], "gamma": 0.1},
        printed=(
            ("0.05", "epoch < 30", (0, 29)),
            ("0.005", "30 <= epoch < 80", (30, 79)),
            ("0.0005", "epoch >= 80", (80, 99)),
        ),
        by_hand={99: (0.0005,)},
    ),
    "ConstantLR": Example(
        calls=["ConstantLR(optimizer, factor=0.5, total_iters=40)"],
        table={"name": "ConstantLR", "factor": 0.5, "total_iters": 40},
        printed=(
            ("0.025", "epoch == 0", (0,)),
            ("0.025", "epoch == 1", (1,)),
            ("0.025", "epoch == 2", (2,)),
            ("0.025", "epoch == 3", (3,)),
            ("0.05", "epoch >= 40", (40, 99)),
        ),
        by_hand={39: (0.025,)},
    ),
    # torch prints LinearLR's and PolynomialLR's rates one epoch late: "epoch == 0" has the rate after the first step.
    "LinearLR": Example(
        calls=["LinearLR(optimizer, start_factor=0.05, total_iters=40)"],
        table={"name": "LinearLR", "start_factor": 0.05, "total_iters": 40},
        printed=(
            ("0.003687", "epoch == 0", (1,)),
            ("0.004875", "epoch == 1", (2,)),
            ("0.006062", "epoch == 2", (3,)),
            ("0.00725", "epoch == 3", (4,)),
            ("0.05", "epoch >= 40", (40, 99)),
        ),
        by_hand={0: (0.0025,), 20: (0.02625,), 39: (0.0488125,)},
    ),
    "ExponentialLR": Example(
        calls=["ExponentialLR(optimizer, gamma=0.95)"],
        table={"name": "ExponentialLR", "gamma": 0.95},
        by_hand={0: (0.05,), 1: (0.0475,), 2: (0.045125,), 30: (0.0107319,), 90: (0.000494418,)},
    ),
    "PolynomialLR": Example(
        calls=["PolynomialLR(optimizer, total_iters=50, power=0.9)"],
        table={"name": "PolynomialLR", "total_iters": 50, "power": 0.9},
        printed=(
            ("0.0490", "epoch == 0", (1,)),
            ("0.0481", "epoch == 1", (2,)),
            ("0.0472", "epoch == 2", (3,)),
            ("0.0", "epoch >= 50", (50, 99)),
        ),
        by_hand={0: (0.05,), 25: (0.0267943,), 49: (0.00147876,)},
    ),
    "CosineAnnealingLR": Example(
        calls=["num_epochs = 100", "CosineAnnealingLR(optimizer, T_max=num_epochs)"],
        table={"name": "CosineAnnealingLR", "T_max": 100},
        by_hand={0: (0.05,), 25: (0.04267767,), 50: (0.025,), 75: (0.00732233,), 100: (0.0,)},
    ),
    "SequentialLR": Example(
        calls=[
            "ConstantLR(optimizer, factor=0.1, total_iters=20)",
            "ExponentialLR(optimizer, gamma=0.9)",
            "SequentialLR( ... optimizer, ... schedulers=[scheduler1, scheduler2], ... milestones=[20], ... )",
        ],
        table={"name": "SequentialLR", "schedulers": [CONSTANT, EXPONENTIAL], "milestones": [20]},
        printed=(
            ("0.005", "epoch == 0", (0,)),
            ("0.005", "epoch == 1", (1,)),
            ("0.005", "epoch == 2", (2,)),
            ("0.05", "epoch == 20", (20,)),
            ("0.045", "epoch == 21", (21,)),
            ("0.0405", "epoch == 22", (22,)),
        ),
        by_hand={19: (0.005,), 30: (0.01743392,)},
    ),
    "ChainedScheduler": Example(
        calls=[
            "ConstantLR(optimizer, factor=0.1, total_iters=20)",
            "ExponentialLR(optimizer, gamma=0.9)",
            "ChainedScheduler([scheduler1, scheduler2], optimizer=optimizer)",
        ],
        table={"name": "ChainedScheduler", "schedulers": [CONSTANT, EXPONENTIAL]},
        printed=(
            ("0.005", "epoch == 0", (0,)),
            ("0.00450", "epoch == 1", (1,)),
            ("0.00405", "epoch == 2", (2,)),
            ("0.000675", "epoch == 19", (19,)),
            ("0.006078", "epoch == 20", (20,)),
            ("0.005470", "epoch == 21", (21,)),
        ),
        by_hand={10: (0.001743392,)},
    ),
    "ReduceLROnPlateau": Example(
        calls=["lr=0.1, momentum=0.9", 'ReduceLROnPlateau(optimizer, "min")', "range(10)"],
        table={"name": "ReduceLROnPlateau", "mode": "min"},
        base_lrs=(0.1,),
        metrics=(1.0,) * 25,  # never better: of 10 epochs none is cut, and the cut comes with the 12th
        by_hand={0: (0.1,), 10: (0.1,), 11: (0.1,), 12: (0.01,), 22: (0.01,), 23: (0.001,)},
    ),
    "CyclicLR": Example(
        calls=["lr=0.1, momentum=0.9", "base_lr=0.01, ... max_lr=0.1, ... step_size_up=10,"],
        table={"name": "CyclicLR", "base_lr": 0.01, "max_lr": 0.1, "step_size_up": 10, "cycle_momentum": False},
        base_lrs=(0.1,),
        by_hand={0: (0.01,), 1: (0.019,), 5: (0.055,), 10: (0.1,), 15: (0.055,), 20: (0.01,), 30: (0.1,)},
    ),
    "CosineAnnealingWarmRestarts": Example(
        calls=["lr=0.05", "CosineAnnealingWarmRestarts( ... optimizer, T_0=20 ... )"],
        table={"name": "CosineAnnealingWarmRestarts", "T_0": 20},
        by_hand={0: (0.05,), 5: (0.04267767,), 10: (0.025,), 15: (0.00732233,), 20: (0.05,), 30: (0.025,), 80: (0.05,)},
    ),
    "OneCycleLR": Example(
        # the loader of the example is left open: here it has 10 batches
        calls=["lr=1e-4, momentum=0.9", "optimizer, max_lr=0.01, steps_per_epoch=len(data_loader), epochs=10"],
        table={"name": "OneCycleLR", "max_lr": 0.01, "steps_per_epoch": 10, "epochs": 10, "cycle_momentum": False},
        base_lrs=(1e-4,),
        by_hand={0: (0.0004,), 29: (0.01,), 64: (0.00500002,), 99: (4e-8,)},
    ),
}


def courses(example: Example) -> dict[str, list[list[float]]]:
    """The rates of 101 steps (26 of a plateau), by torch's class and by the closed form; shape (groups, steps)."""
    count = len(example.metrics) + 1 if example.metrics else 100
    if example.table["name"] == "CosineAnnealingLR":
        count = 101
    closed = rates(example.table, base_lrs=list(example.base_lrs), num_steps=count, metrics=example.metrics)
    return {"torch": stepped(example.table, example.base_lrs, count, example.metrics), "closed form": closed}


def test_every_class_of_the_installed_torch_has_its_example():
    """A class that the installed torch has and this table lacks fails here, and so does one that it no longer has."""
    assert sorted(EXAMPLES) == class_names("scheduler")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_is_the_one_that_torch_prints(name):
    """The calls stand in the installed docstring, and the rates in its comments are these and no others."""
    text = " ".join(getattr(lr_scheduler, name).__doc__.replace(">>>", " ").split())
    for call in EXAMPLES[name].calls:
        assert call in text
    lines = re.findall(r"# lr = ([\d.]+) +if ([^#.]*?\d)(?= #| scheduler)", text)
    assert lines == [(rate, when) for rate, when, _ in EXAMPLES[name].printed]


@pytest.mark.parametrize("source", ["torch", "closed form"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_comes_out_to_the_digit(name, source):
    """torch's class and the closed form both give every printed rate, to its last digit, and every rate by hand."""
    example = EXAMPLES[name]
    course = courses(example)[source]
    for printed, _, steps in example.printed:
        unit = 10.0 ** -len(printed.partition(".")[2])
        for step in steps:
            assert -1e-9 <= (course[0][step] - float(printed)) / unit < 1, (printed, step)
    for step, wanted in example.by_hand.items():
        assert [of_group[step] for of_group in course] == pytest.approx(wanted, rel=5e-6, abs=1e-15)
