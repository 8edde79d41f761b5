"""Digests at training steps: what went into a step and what came out of it, each by itself.

Two trials that part do so at one step, and there in one of these first: the order of the images, the images as the
model saw them, the random state before the forward, the rates, the loss, the gradients, the weights, the optimizer.
Everything here is taken off the clock, between two steps. What this does *not* do: compare (`lrbench.divergence`).
"""

import random

import numpy
import torch
from torch import Tensor, nn

from lrbench.trial.checkpoint import Course, Parts
from lrbench.trial.digest import digest, fast_digest, gradients_of, optimizer_state_of, weights_of
from lrbench.watch import STEP_DIGESTS, Watch

SAMPLE_SIZE = 1_024


class StepDigests:
    """Takes the digests of the steps that a Watch asks for, and keeps them in the trial's Course."""

    def __init__(self, watch: Watch, parts: Parts, course: Course):
        self.watch, self._parts, self._course = watch, parts, course
        for name in ("digest_steps", *(f"{name}_xxh3" for name in STEP_DIGESTS)):
            course.digests.setdefault(name, [])

    def before(self) -> None:
        """Remember the random state that the step begins with."""
        states = [("cpu", torch.get_rng_state())]
        if self._parts.device.type == "cuda":
            states.append(("cuda", torch.cuda.get_rng_state(self._parts.device)))
        self._random_states = states

    def after(self, num_steps: int, index: Tensor, images: Tensor, loss: Tensor) -> None:
        """Take the digests of the step that was just done, the trial's `num_steps`-th."""
        rates = [rates[-1] if rates else float("nan") for rates in self._course.applied_lr]
        taken = {
            "order": [("order", index)],
            "images": [("images", images)],
            "rng": self._random_states,
            "lr": [("lr", torch.tensor(rates, dtype=torch.float64))],
            "loss": [("loss", loss)],
            "gradients": gradients_of(self._parts.model),
            "weights": weights_of(self._parts.model),
            "optimizer": optimizer_state_of(self._parts.optimizer),
        }
        self._course.digests["digest_steps"].append(num_steps)
        for name in STEP_DIGESTS:
            self._course.digests[f"{name}_xxh3"].append(fast_digest(taken[name]))


def end_digests(parts: Parts, course: Course) -> dict:
    """Return the columns that say to the bit where training ended, and a sample of the weights."""
    losses = torch.tensor(course.train_loss_steps, dtype=torch.float32)
    return {
        "weights_sha256": digest(weights_of(parts.model)),
        "gradients_sha256": digest(gradients_of(parts.model)),
        "optimizer_sha256": digest(optimizer_state_of(parts.optimizer)),
        "order_sha256": course.order_sha256,
        "losses_sha256": digest([("losses", losses)]),
        "weights_sample": weights_sample(parts.model).tolist(),
        **course.digests,
    }


@torch.no_grad()
def weights_sample(model: nn.Module) -> Tensor:
    """Return SAMPLE_SIZE weights, float32, evenly spaced over all parameters in their order; all where there are fewer.

    Distances between two trials are taken over these: the same places in each, without keeping every weight.
    """
    parameters = [parameter.detach().reshape(-1) for parameter in model.parameters()]
    num_weights = sum(len(values) for values in parameters)
    size = min(SAMPLE_SIZE, num_weights)
    places = torch.arange(size, dtype=torch.int64) * num_weights // max(1, size)
    parts, begin = [], 0
    for values in parameters:
        here = places[(places >= begin) & (places < begin + len(values))] - begin
        if len(here):
            parts.append(values[here.to(values.device)].float().cpu())
        begin += len(values)
    return torch.cat(parts) if parts else torch.empty(0)


class ForgottenSeeds:
    """Tells whether the trial's code draws from generators that torch.manual_seed does not seed."""

    def __init__(self, course: Course):
        self._course = course
        self.begin()

    def begin(self) -> None:
        """Remember where the generators are: at the start, and again after a checkpoint has put them elsewhere."""
        self._python, self._numpy = random.getstate(), numpy.random.get_state()

    def look(self) -> None:
        """Note in the course which generators have moved since."""
        self._course.python_rng_used |= random.getstate() != self._python
        name, keys, *place = numpy.random.get_state()
        before, keys_before, *place_before = self._numpy
        same = name == before and place == place_before and bool((keys == keys_before).all())
        self._course.numpy_rng_used |= not same
