"""Workloads with a planted fault, one of each kind that breaks reproducibility, and whether `lrbench diverge` names it.

Named in studies as a user names theirs, "lrbench.claims.faulty:numpy_noise". Each fault is one that people meet: an
operator that is not deterministic, a seed that was forgotten, an evaluation that draws from the training's generator,
a scheduler whose state is lost, a flag that a library sets, an order that hashes decide. torch is imported when a
function is called. What this does *not* do: judge (the claims do).
"""

import random
from functools import cache
from pathlib import Path
from typing import Literal

MODULE = "lrbench.claims.faulty"
# 65 of the digits train, 7 validate: 5 steps an epoch at batch size 13
SMALL_DIGITS = {"data": "digits", "train_limit": 72}
RECIPE = {"epochs": 2, "batch_size": 13, "base_lr": 0.1, "optimizer": {"name": "SGD", "momentum": 0.9}}
NUM_STEPS = 10
STEPS_PER_EPOCH = 5
LAYERS = 4
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
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, num_classes))


def numpy_noise(num_classes: int):
    """Return a network that adds NumPy's noise to its training images: torch.manual_seed does not seed it."""
    import numpy
    import torch

    model = _dense(num_classes)

    def add_noise(module, inputs):
        if module.training:
            noise = numpy.random.normal(scale=0.01, size=inputs[0].shape).astype("float32")
            return (inputs[0] + torch.from_numpy(noise).to(inputs[0].device),)
        return None

    model.register_forward_pre_hook(add_noise)
    return model


def loader_worker(root) -> dict:
    """Return images that a DataLoader's worker has flipped by a NumPy generator of its own, which nobody seeded."""
    import numpy
    from torch.utils.data import DataLoader

    fixed = numpy.random.default_rng(0)
    images = fixed.integers(0, 256, (90, 1, 8, 8), dtype=numpy.uint8)
    labels = fixed.integers(0, 10, 90)

    class Flipped:
        generator = None

        def __len__(self):
            return len(images)

        def __getitem__(self, index):
            if self.generator is None:
                self.generator = numpy.random.default_rng()  # the fault: it wants a seed made of the worker's
            return images[index, :, :, :: 1 if self.generator.random() < 0.5 else -1].copy()

    loader = DataLoader(Flipped(), batch_size=None, num_workers=1)
    flipped = numpy.stack([numpy.asarray(image) for image in loader])
    return {
        "train_images": flipped[:72],
        "train_labels": labels[:72],
        "test_images": flipped[72:],
        "test_labels": labels[72:],
    }


def evaluation_draws(num_classes: int, draws: bool = True):
    """Return a network with dropout that draws, while it is evaluated, from the generator that training uses."""
    import torch

    model = _dense(num_classes)

    def draw(module, inputs):
        if draws and not module.training:
            torch.rand(1)

    model.register_forward_pre_hook(draw)
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


def sets_a_flag(num_classes: int):
    """Return a network that switches cudnn.deterministic on when it is built, as some libraries do."""
    import torch

    torch.backends.cudnn.deterministic = True
    return _dense(num_classes)


def set_order(num_classes: int):
    """Return a network whose layers are made in the order of a set of texts: by hashes, seeded anew with each start."""
    import torch
    from torch import nn

    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            made = {name: nn.Linear(64, 4) for name in {f"part {number}" for number in range(12)}}
            self.parts = nn.ModuleList(made[name] for name in sorted(made))
            self.head = nn.Linear(48, num_classes)

        def forward(self, x):
            return self.head(torch.cat([part(x.flatten(1)) for part in self.parts], dim=1))

    return Parts()


# ------------------------------------------------------------------------------------------------- found and named


def one_ulp_placements() -> list[dict]:
    """Return 20 placements of the operator that goes wrong: every layer, forward and backward, in one trial of two or
    by dice in both, at steps all through the training."""
    places = [
        {"fault": "one_ulp", "direction": direction, "layer": layer, "how": how}
        for how in ("one", "dice")
        for direction in OPERATORS
        for layer in range(LAYERS)
    ]
    places += [place for place in places if place["layer"] == 1][:4]
    return [{**place, "step": 1 + (3 * number) % NUM_STEPS} for number, place in enumerate(places)]


# fault → what a trial of it is, and what of the other one of the pair differs
_OTHERS = {
    "numpy_noise": ({"model": f"{MODULE}:numpy_noise"}, {}),
    "loader_worker": ({"model": f"{MODULE}:evaluation_draws", "model_args": {"draws": False}}, {}),
    "evaluation_draws": ({"model": f"{MODULE}:evaluation_draws"}, {"model_args": {"draws": False}}),
    "sets_a_flag": ({"model": f"{MODULE}:sets_a_flag"}, {}),
    "set_order": ({"model": f"{MODULE}:set_order"}, {}),
    "forgetful": ({"model": "lrbench.claims.planted:net"}, {"model_args": {"dies_at_call": 8}}),
    "scatter": ({"model": f"{MODULE}:scatter"}, {}),
}


def other_placements() -> list[dict]:
    """Return one placement of each other fault that a CPU can show; `scatter` takes CUDA."""
    return [{"fault": fault} for fault in _OTHERS if fault != "scatter"]


def pair(placement: dict, device: str = "cpu") -> tuple:
    """Return the trials A and B of a placement; equal ones where the fault lies between two processes."""
    from lrbench.factors import Trial

    if placement["fault"] == "one_ulp":
        planted = {key: placement[key] for key in ("direction", "layer", "step", "how")}
        a = {"model": f"{MODULE}:one_ulp", "model_args": planted, **SMALL_DIGITS}
        b = {**a, "model_args": {**planted, "how": "" if placement["how"] == "one" else "dice"}}
    else:
        table, change = _OTHERS[placement["fault"]]
        data = {"data": f"{MODULE}:loader_worker"} if placement["fault"] == "loader_worker" else SMALL_DIGITS
        a = {**data, **table}
        b = {**a, **change}
    more = (
        {"scheduler": {"name": f"{MODULE}:forgetful", "interval": "step"}} if placement["fault"] == "forgetful" else {}
    )
    return tuple(Trial(workload=workload, device=device, **RECIPE, **more) for workload in (a, b))


def find_planted(placement: dict, folder: Path, device: str = "cpu", sides=None) -> dict:
    """Run the pair of a placement, look for where it parts, and return what was planted, what was named, and `found`.

    The keys are those of evidence: fault, what (placed where), step, differs (what is named first), operator, module,
    sentence, holds. `sides` (lrbench.diverge.sides.Sides) saves the start of two interpreters for each placement.
    """
    from lrbench.diverge.command import diverge

    a, b = pair(placement, device)
    folder.mkdir(parents=True, exist_ok=True)
    answer = _resumed(a, b, folder) if placement["fault"] == "forgetful" else diverge(a, b, folder=folder, sides=sides)
    placed = ", ".join(f"{key} {value}" for key, value in placement.items() if key != "fault")
    return {
        "fault": placement["fault"],
        "what": placed,
        "differs": answer.mismatch.what if answer.mismatch else "",
        "step": answer.mismatch.step if answer.mismatch else 0,
        "operator": answer.parting.operator if answer.parting else "",
        "module": answer.parting.module if answer.parting else "",
        "sentence": "; ".join(answer.sentences),
        "holds": names(placement, answer),
    }


def _resumed(a, b, folder: Path):
    """Compare a trial in one go with one that was killed at its eighth step and went on from its last checkpoint."""
    import lrbench
    from lrbench.diverge.command import answer_of_rows

    watch = lrbench.Watch(digest_every=1)
    whole = lrbench.run_trial(a, watch=watch)
    at = folder / "cut.pt"
    at.unlink(missing_ok=True)
    for _ in range(2):
        resumed = lrbench.run_trial(b, watch=watch, checkpoint=at, checkpoint_every="epoch")
    return answer_of_rows(a, b, whole, resumed)


def names(placement: dict, answer) -> bool:
    """Tell whether an answer names exactly what was planted."""
    first, parting, told = answer.mismatch, answer.parting, "; ".join(answer.sentences)
    fault = placement["fault"]
    if fault == "sets_a_flag":
        return first is None and "cudnn_deterministic" in told
    if first is None:
        return False
    if fault == "one_ulp":
        return (
            parting is not None
            and parting.kind == "source"
            and parting.operator == OPERATORS[placement["direction"]]
            and parting.module == f"after{placement['layer']}"
            and parting.phase == placement["direction"]
            and first.step == placement["step"]
            and "1 ulp" in told
        )
    if fault == "loader_worker":
        return (first.what, first.step) == ("images", 1) and "the data" in told
    if fault == "evaluation_draws":
        return (first.what, first.step) == ("rng", STEPS_PER_EPOCH + 1) and "evaluation" in told
    if fault == "forgetful":
        return (first.what, first.step) == ("lr", STEPS_PER_EPOCH + 2)
    if parting is None:
        return False
    if fault == "numpy_noise":
        return parting.kind == "entry" and first.step == 1 and "NumPy" in told
    if fault == "set_order":
        return parting.kind == "entry" and first.step == 1 and "weights" in told
    return parting.kind == "source" and parting.operator.startswith("aten.index_add")
