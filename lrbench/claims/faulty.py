"""Workloads with a planted fault, one of each kind that breaks reproducibility.

Named in studies as a user names theirs, "lrbench.claims.faulty:numpy_noise". Each fault is one that people meet: an
operator that is not deterministic, a seed that was forgotten, an evaluation that draws from the training's generator,
a scheduler whose state is lost, a flag that a library sets, an order that hashes decide. Arguments say where it sits.
torch is imported when a function is called. What this does *not* do: say where to plant (`lrbench.claims.placements`),
or judge (the claims do).
"""

import random
from collections.abc import Callable
from functools import cache, partial
from typing import Literal

MODULE = "lrbench.claims.faulty"
# 65 of the digits train, 7 validate: 5 steps an epoch at batch size 13
SMALL_DIGITS = {"data": "digits", "train_limit": 72}
RECIPE = {"epochs": 2, "batch_size": 13, "base_lr": 0.1, "optimizer": {"name": "SGD", "momentum": 0.9}}
NUM_STEPS = 10
STEPS_PER_EPOCH = 5
LAYERS = 4
NUM_LOADED = 72  # the training images of loader_worker, of which 65 train
OPERATORS = {"forward": "lrbench_faulty.pass_on.default", "backward": "lrbench_faulty.pass_back.default"}

# what the model that is trained in this process asked for: (direction, layer, step) → how its operator goes wrong
_planted: dict[tuple[str, int, int], str] = {}


# --------------------------------------------------------------------------------------------- an operator goes wrong


@cache
def _operators():
    """Register two operators that pass a tensor on, and go wrong where it is planted; return the first."""
    import os

    import torch
    from torch import Tensor

    def wrong(x: Tensor, how: str) -> Tensor:
        y = x.clone()
        flat = y.view(-1)
        if how == "one":  # one ulp, on the largest element: what a ReLU leaves alone, and a sum does not round away
            at = flat.argmax()
            flat[at] = torch.nextafter(flat[at], flat[at].new_tensor(torch.inf))
        elif how == "dice":  # one ulp on a random half: never the same in two processes
            bits = torch.frombuffer(bytearray(os.urandom(flat.numel())), dtype=torch.uint8).to(flat.device) % 2
            flat.copy_(torch.where(bits.bool(), torch.nextafter(flat, torch.full_like(flat, torch.inf)), flat))
        return y

    @torch.library.custom_op("lrbench_faulty::pass_on", mutates_args=())
    def pass_on(x: Tensor, layer: int, step: int) -> Tensor:
        return wrong(x, _planted.get(("forward", layer, step), ""))

    @torch.library.custom_op("lrbench_faulty::pass_back", mutates_args=())
    def pass_back(grad: Tensor, layer: int, step: int) -> Tensor:
        return wrong(grad, _planted.get(("backward", layer, step), ""))

    def remember(ctx, inputs, output):
        _, ctx.layer, ctx.step = inputs

    pass_on.register_autograd(
        lambda ctx, grad: (pass_back(grad, ctx.layer, ctx.step), None, None), setup_context=remember
    )
    return pass_on


def one_ulp(
    num_classes: int,
    direction: Literal["forward", "backward"] = "forward",
    layer: int = 0,
    step: int = 1,
    how: Literal["", "one", "dice"] = "",
):
    """Return a network in which the operator after layer 0, 1, 2 or 3 goes wrong at one training step, counted from 1.

    Step 0 is one of the first NUM_STEPS, by the system's dice: another in each process. "one" adds one ulp to the
    largest element, "dice" to a random half of them, "" does nothing. The operator's inputs and arguments tell nothing
    of it, as those of a nondeterministic kernel do not.
    """
    from collections import OrderedDict

    from torch import nn

    _planted.clear()
    _planted[(direction, layer, step or 1 + random.SystemRandom().randrange(NUM_STEPS))] = how
    pass_on = _operators()

    class PassOn(nn.Module):
        def __init__(self, layer: int):
            super().__init__()
            self.layer, self.step = layer, 0

        def forward(self, x):
            self.step += self.training
            return pass_on(x, self.layer, self.step) if self.training else x

    parts = [
        nn.Conv2d(1, 4, 3, padding=1),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Linear(256, 32),
        nn.Linear(32, num_classes),
    ]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, part in enumerate(parts):
        if number == 2:
            layers["flatten"] = nn.Flatten()
        layers[f"layer{number}"], layers[f"after{number}"] = part, PassOn(number)
        if number < LAYERS - 1:
            layers[f"relu{number}"] = nn.ReLU()
    return nn.Sequential(layers)


def scatter(num_classes: int):
    """Return a network that sums the pixels of each image by index_add: on CUDA by atomics, in no fixed order."""
    import torch
    from torch import nn

    class Scatter(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift = nn.Linear(1, 32)
            self.head = nn.Linear(32, num_classes)

        def forward(self, x):
            pixels = self.lift(x.reshape(-1, 1))
            images = torch.arange(len(x), device=x.device).repeat_interleave(len(pixels) // len(x))
            sums = torch.zeros(len(x), 32, device=x.device, dtype=pixels.dtype)
            return self.head(sums.index_add(0, images, pixels))

    return Scatter()


# ----------------------------------------------------------------------------------------------- a seed was forgotten


def _dense(num_classes: int):
    """Return a dense network of LAYERS layers, called layer0 to layer3, the last of which is the head."""
    from collections import OrderedDict

    from torch import nn

    widths = [64, 16, 16, 16, num_classes]
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for number in range(LAYERS):
        layers[f"layer{number}"] = nn.Linear(widths[number], widths[number + 1])
        if number < LAYERS - 1:
            layers[f"relu{number}"] = nn.ReLU()
    layers["dropout"] = nn.Dropout(0.2)
    layers.move_to_end(f"layer{LAYERS - 1}")
    return nn.Sequential(layers)


def _before(model, layer: int, do: Callable) -> None:
    """Call do(layer's module, its inputs) before the forward of that layer of `_dense`."""
    getattr(model, f"layer{layer}").register_forward_pre_hook(do)


def numpy_noise(num_classes: int, layer: int = 0, step: int = 1):
    """Return a network that adds NumPy's noise to what goes into a layer, from one training step (counted from 1) on:
    torch.manual_seed does not seed it."""
    import numpy
    import torch

    model, steps = _dense(num_classes), [0]

    def add_noise(module, inputs):
        steps[0] += module.training
        if module.training and steps[0] >= step:
            noise = numpy.random.normal(scale=0.01, size=inputs[0].shape).astype("float32")
            return (inputs[0] + torch.from_numpy(noise).to(inputs[0].device),)
        return None

    _before(model, layer, add_noise)
    return model


def loader_worker(root, image: int = -1) -> dict:
    """Return images that a DataLoader's worker has shuffled the pixels of, by a NumPy generator that nobody seeded.

    Of all images, or of training image number `image` alone. As "lrbench.claims.faulty:loader_worker_17" it is that
    of number 17.
    """
    import numpy
    from torch.utils.data import DataLoader

    fixed = numpy.random.default_rng(0)
    images = fixed.integers(0, 256, (NUM_LOADED + 18, 1, 8, 8), dtype=numpy.uint8)
    labels = fixed.integers(0, 10, len(images))

    class Shuffled:
        generator = None

        def __len__(self):
            return len(images)

        def __getitem__(self, index):
            if self.generator is None:
                self.generator = numpy.random.default_rng()  # the fault: it wants a seed made of the worker's
            if image in (-1, index):  # other pixels, and the data's mean and deviation as they were
                return self.generator.permuted(images[index].ravel()).reshape(1, 8, 8)
            return images[index].copy()

    loader = DataLoader(Shuffled(), batch_size=None, num_workers=1)
    loaded = numpy.stack([numpy.asarray(image) for image in loader])
    return {
        "train_images": loaded[:NUM_LOADED],
        "train_labels": labels[:NUM_LOADED],
        "test_images": loaded[NUM_LOADED:],
        "test_labels": labels[NUM_LOADED:],
    }


def __getattr__(name: str) -> Callable:
    """A study names a function of the data's without arguments: the image is in the name."""
    kind, _, number = name.rpartition("_")
    if kind == "loader_worker" and number.isdecimal():
        return _loader_worker_of(int(number))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache  # data is staged once for each callable
def _loader_worker_of(image: int) -> Callable:
    return partial(loader_worker, image=image)


def evaluation_draws(num_classes: int, draws: bool = True, layer: int = 0, epoch: int = 0):
    """Return a network with dropout that draws, while it is evaluated, from the generator that training uses.

    Before the forward of one layer, in the evaluation after that epoch (counted from 1; 0: after each).
    """
    import torch

    model, seen = _dense(num_classes), {"evaluations": 0, "training": True}

    def draw(module, inputs):
        seen["evaluations"] += seen["training"] and not module.training
        seen["training"] = module.training
        if draws and not module.training and epoch in (0, seen["evaluations"]):
            torch.rand(1)

    _before(model, layer, draw)
    return model


# ------------------------------------------------------------------------------- what is neither a seed nor a kernel


def forgetful(optimizer, gamma: float = 0.9):
    """Return an ExponentialLR in closed form that cannot go on from its saved state: it begins anew."""
    from torch.optim.lr_scheduler import LRScheduler

    class Forgetful(LRScheduler):
        def get_lr(self):
            return [base * gamma**self.last_epoch for base in self.base_lrs]

        def load_state_dict(self, state_dict):
            pass

    return Forgetful(optimizer)


def _flags() -> dict[str, tuple[object, str, object]]:
    """Return {flag, as a row calls it: where torch keeps it, under which name, and what no trial asks for}."""
    import torch

    return {
        "cudnn_benchmark": (torch.backends.cudnn, "benchmark", True),
        "cudnn_deterministic": (torch.backends.cudnn, "deterministic", True),
        "cudnn_fp32_precision": (torch.backends.cudnn.conv, "fp32_precision", "ieee"),
        "matmul_fp32_precision": (torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    }


def sets_a_flag(num_classes: int, flag: str = "cudnn_deterministic", layer: int = 0, step: int = 0):
    """Return a network that switches a flag, as some libraries do: when it is built (step 0), or in the forward of a
    layer at one training step."""
    owner, name, value = _flags()[flag]
    model, steps = _dense(num_classes), [0]
    if step == 0:
        setattr(owner, name, value)

    def switch(module, inputs):
        steps[0] += module.training
        if module.training and steps[0] == step:
            setattr(owner, name, value)

    _before(model, layer, switch)
    return model


def set_order(num_classes: int, layer: int = 0, label: str = "part"):
    """Return a network of LAYERS blocks of twelve layers each, one of which is made in the order of a set of texts: by
    hashes, seeded anew with each start. The texts begin with `label`."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, width: int, names):
            super().__init__()
            made = {name: nn.Linear(width, 4) for name in names}
            self.parts = nn.ModuleList(made[name] for name in sorted(made))

        def forward(self, x):
            return torch.cat([part(x) for part in self.parts], dim=1)

    names = [f"{label} {number}" for number in range(12)]
    blocks = [Block(48 if number else 64, set(names) if number == layer else names) for number in range(LAYERS)]
    return nn.Sequential(nn.Flatten(), *blocks, nn.Linear(48, num_classes))
