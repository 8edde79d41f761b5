"""A user's models, losses, groups and schedules, good and bad: tests name them as a user would, "module:attr".

The good ones are transparent: their gradients are known by hand, so that a row can be checked against paper and pencil.
The bad ones break in the training step, each in its own way.
"""

import ctypes
import os
import random
import re
import signal
import sys
import time

import torch
from torch import Tensor, nn

# ------------------------------------------------------------------------------------------ transparent models, losses


class Bias(nn.Module):
    """Logits that are two scalars, whatever the image: a in class 0, b in class 1, 0 elsewhere. Both begin at 0."""

    def __init__(self, num_classes: int):
        super().__init__()
        self.a = nn.Parameter(torch.zeros(()))
        self.b = nn.Parameter(torch.zeros(()))
        self.num_classes = num_classes

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.stack([self.a, self.b, *[self.a.new_zeros(())] * (self.num_classes - 2)])
        return logits.expand(len(x), -1)


class Logits(nn.Module):
    """Logits that are the parameters themselves, one for each class, whatever the image. They begin at 0."""

    def __init__(self, num_classes: int):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(num_classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1)


def two_groups(model: Bias) -> list[dict]:
    """One parameter group for `a`, one for `b` at half the rate."""
    return [{"params": [model.a]}, {"params": [model.b], "lr": 0.05}]


def twice_scaled_groups(model: Bias) -> list[dict]:
    """A group that gives its rate twice."""
    return [{"params": [model.a, model.b], "lr": 0.1, "lr_scale": 0.1}]


def lazy_groups(model: nn.Module):
    """The same parameters as a generator, which can be walked through once."""
    yield {"params": list(model.parameters())}


def slope(logits: Tensor, labels: Tensor) -> Tensor:
    """a + b: each SGD step lowers a and b by exactly the rate that was applied to them."""
    return (logits[:, 0] + logits[:, 1]).mean()


def _planted(train: list[float], validation: list[float]):
    """A loss with the gradient of `slope` and the values given, told apart by the batch: validation has 7 images."""
    plans = {True: iter(train), False: iter(validation)}

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        steep = slope(logits, labels)
        value = next(plans[len(labels) != 7], 1.0)  # 1.0: the test images, at the end
        return steep - steep.detach() + value

    return loss


flat = _planted([1.0] * 8, [1.0] * 6)  # never better than the first
creeping = _planted([1.0] * 8, [1.0, 0.99, 0.98, 0.97])  # better by one hundredth each epoch
training_creeps = _planted([1.0, 1.0, 0.9, 0.9, 0.8, 0.8, 0.7, 0.7], [1.0] * 4)  # only the training loss gets better
steps_creep = _planted([1.0, 0.9, 0.9, 0.9, 0.8, 0.8, 0.8, 0.8], [1.0] * 4)


def _explode_first():
    steps = iter([1e35])

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return slope(logits.float(), labels) * next(steps, 1.0)

    return loss


explode_first = _explode_first()  # the first step's gradients overflow when a GradScaler scales them


def not_a_number(logits: Tensor, labels: Tensor) -> Tensor:
    return slope(logits, labels) * float("nan")


# ------------------------------------------------------------------------------------------------ streams made visible


class Streams(nn.Module):
    """A model that shows the streams of a seed: see `streams_loss`. A rate of 0 leaves its weights as they began."""

    def __init__(self, num_classes: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4))
        self.num_classes = num_classes

    def forward(self, x: Tensor) -> Tensor:
        place = torch.arange(x[0].numel(), dtype=x.dtype)
        pixels = (x.flatten(1) * place).mean(1)
        dropped = nn.functional.dropout(torch.ones(len(x), 64), 0.5, self.training).sum(1)
        seen = torch.stack([pixels, dropped], dim=1) + 0 * self.weight.sum()
        return torch.cat([seen, torch.zeros(len(x), self.num_classes - 2)], dim=1)


def _streams_loss():
    epochs = iter(("order", "augmentation", "dropout"))

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        if not logits.requires_grad:  # validation and test
            return logits.mean()
        numbered = torch.arange(len(labels))
        value = {
            "order": (labels * numbered).sum().float() + 0 * logits.sum(),
            "augmentation": logits[:, 0].double().mean(),  # over all images: their order does not matter
            "dropout": (logits[:, 1] * numbered).sum(),
        }
        return value[next(epochs)]

    return loss


streams_loss = _streams_loss()  # one step an epoch: what the order was, the crops and flips, the dropout masks


# ------------------------------------------------------------------------------------------------------------ schedules


_CALLS: list[int] = []


def halve(step: int) -> float:
    return 0.5**step


def draws(step: int) -> float:
    return random.random()


def counts(step: int) -> float:
    _CALLS.append(step)
    return 1 / len(_CALLS)


def leaves(step: int) -> float:
    sys.exit(3)


def half(step: int) -> float:
    return 0.5


def keep(step: int) -> float:
    return 1.0


def refuse(step: int) -> float:
    raise ValueError("this schedule knows no steps")


not_a_function = 3


def power(step: int, exponent: float) -> float:
    return (step + 1) ** -exponent


class Halving(torch.optim.lr_scheduler.LRScheduler):
    """A scheduler class of the user's own: `factor` times the rate at every step."""

    def __init__(self, optimizer, factor=0.5, last_epoch=-1):
        self.factor = factor
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [base * self.factor**self.last_epoch for base in self.base_lrs]


def made(optimizer, factor: float):
    """A factory: an LRScheduler made from the optimizer."""
    return Halving(optimizer, factor)


def makes_nothing(optimizer):
    return 3


def two_arguments(step, epoch):
    return 1.0


_CALLS = []


def impure(step: int) -> float:
    """A schedule that is no function of the step: it falls with each time that it is asked."""
    _CALLS.append(step)
    return 0.9 ** len(_CALLS)


class Short(Halving):
    """It gives one rate, however many parameter groups there are."""

    def get_lr(self):
        return [0.5]


def nan(step: int) -> float:
    return float("nan") if step == 2 else 1.0


def negative(step: int) -> float:
    return -1.0 if step == 2 else 1.0


def scaled_groups(model: nn.Module) -> list[dict]:
    """Layer-wise rates: `a` at base_lr, `b` at a tenth of it."""
    return [{"params": [model.a]}, {"params": [model.b], "lr_scale": 0.1}]


# ------------------------------------------------------------------------------------------------------ broken models


def _orphan() -> None:
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)


def _daemon() -> None:
    if os.fork() == 0:
        os.setsid()
        time.sleep(6)
        os._exit(0)
    os._exit(0)


def _print_and_exit() -> None:
    print("the user printed this")
    print("and this to stderr", file=sys.stderr)
    os._exit(7)


def _print_and_raise() -> None:
    print("the user printed this")
    raise RuntimeError("and then raised")


def _raise(error: BaseException) -> None:
    raise error


def _allocate() -> None:
    torch.empty(2**60, dtype=torch.uint8)


_FAULTS = {
    "none": lambda: None,
    "nan": lambda: None,  # the logits themselves, below
    "raise": lambda: _raise(ValueError("the user's own words")),
    "surrogate": lambda: _raise(ValueError("a file called \udcff")),
    "system_exit": lambda: sys.exit(3),
    "memory": lambda: _allocate(),
    "memory_error": lambda: _raise(MemoryError()),
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(7),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "sleep": lambda: time.sleep(600),
    "orphan": _orphan,
    "daemon": _daemon,
    "chatter": lambda: _raise(RuntimeError("enough", print("x" * 100_000))),
    "print_and_exit": _print_and_exit,
    "print_and_raise": _print_and_raise,
}


class Faulty(nn.Module):
    """A small linear model that breaks in its first training step, in the way that `fault` names."""

    def __init__(self, num_classes: int, fault: str = "none"):
        super().__init__()
        self.linear = nn.Linear(64, num_classes)
        self.fault = fault

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            _FAULTS[self.fault]()
        return self.linear(x.flatten(1)) * (float("nan") if self.fault == "nan" else 1.0)


class Repaired(nn.Module):
    """Breaks as long as no file is at `path`: what a user mends between two runs."""

    def __init__(self, num_classes: int, path: str):
        super().__init__()
        self.linear = nn.Linear(64, num_classes)
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        if not os.path.exists(self.path):
            raise RuntimeError(f"{self.path} is missing")
        return self.linear(x.flatten(1))


class Slow(nn.Module):
    """A linear model whose every training step takes `seconds` longer."""

    def __init__(self, num_classes: int, seconds: float):
        super().__init__()
        self.linear = nn.Linear(64, num_classes)
        self.seconds = seconds

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            time.sleep(self.seconds)
        return self.linear(x.flatten(1))


def gives_up(num_classes: int) -> nn.Module:
    """Leaves Python when it is asked for a model, as scripts do."""
    sys.exit("I give up")


def dies_when_built(num_classes: int) -> nn.Module:
    """Kills the process that builds it: the check before a study's first trial."""
    ctypes.string_at(0)
    return nn.Identity()


# ------------------------------------------------------------------------------------------------ what is seen inside


class Meddling(nn.Module):
    """A linear model that switches cudnn.benchmark off in its first step, as libraries do."""

    def __init__(self, num_classes: int):
        super().__init__()
        self.linear = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        torch.backends.cudnn.benchmark = False
        return self.linear(x.flatten(1))


class Pristine(nn.Module):
    """A linear model that refuses to be built where CUDA was touched, or by a process that built it before."""

    built = False

    def __init__(self, num_classes: int):
        super().__init__()
        if torch.cuda.is_initialized() or torch.cuda._is_in_bad_fork() or Pristine.built:
            raise RuntimeError("this process is not fresh")
        Pristine.built = True
        self.linear = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))


class Pages(Pristine):
    """A linear model that holds 64 MiB and prints a line: how much of them is in large pages, and who spoke of such."""

    def __init__(self, num_classes: int):
        super().__init__(num_classes)
        self.held = torch.ones(16 << 20)
        mapping = r"^([0-9a-f]+)-([0-9a-f]+) .*\n(?:\w+: .*\n)*?AnonHugePages: +(\d+) kB"
        with open("/proc/self/smaps", encoding="utf-8", errors="replace") as file:
            mappings = re.findall(mapping, file.read(), re.MULTILINE)
        middle = self.held.data_ptr() + (32 << 20)
        (large_kib,) = (int(kib) for low, high, kib in mappings if int(low, 16) <= middle < int(high, 16))
        print(f"large_mib={large_kib // 1024} GLIBC_TUNABLES={os.environ.get('GLIBC_TUNABLES')}")


class Layout(nn.Module):
    """A model whose first logit is 1 where images and weights lie in memory with the channels last, and 0 elsewhere."""

    def __init__(self, num_classes: int):
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, kernel_size=3)
        self.num_classes = num_classes

    def forward(self, x: Tensor) -> Tensor:
        tensors = (x, self.convolution.weight)
        last = all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in tensors)
        logits = torch.tensor([float(last)] + [0.0] * (self.num_classes - 1))
        return logits.expand(len(x), -1) + 0 * self.convolution(x).mean()


class Parent(nn.Module):
    """A linear model that forks a process which outlives it, and writes that process's number to `path`."""

    def __init__(self, num_classes: int, path: str, wait: bool):
        super().__init__()
        self.linear = nn.Linear(64, num_classes)
        self.path, self.wait, self.child = path, wait, None

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.child is None:
            self.child = os.fork()
            if self.child == 0:
                time.sleep(600)
            with open(f"{self.path}.new", "w") as file:
                file.write(str(self.child))
            os.rename(f"{self.path}.new", self.path)
        if self.wait:
            time.sleep(600)
        return self.linear(x.flatten(1))
