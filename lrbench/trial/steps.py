"""Digests at training steps: what went into a step and what came out of it, each by itself.

Two trials that part do so at one step, and there in one of these first: the order of the images, the images as the
model saw them, the random state before the forward, the rates, the loss, the gradients, the weights, the optimizer.
Everything here is taken off the clock, between two steps. What this does *not* do: compare (`lrbench.diverge.steps`).
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
        self._random_states = random_states(self._parts.device)

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


def random_states(device: torch.device) -> list[tuple[str, Tensor]]:
    """Return the state of torch's generators: the CPU's, and the device's."""
    states = [("cpu", torch.get_rng_state())]
    if device.type == "cuda":
        states.append(("cuda", torch.cuda.get_rng_state(device)))
    return states


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
        end = begin + len(values)
        here = places[-(-begin * size // num_weights) : -(-end * size // num_weights)] - begin
        if len(here):
            parts.append(values[here.to(values.device)].float().cpu())
        begin = end
    return torch.cat(parts) if parts else torch.empty(0)


class ForgottenSeeds:
    """Tells whether the trial's code draws from generators that torch.manual_seed does not seed, and whether its
    evaluation draws from those that training goes on from."""

    def __init__(self, course: Course, device: torch.device):
        self._course, self._device = course, device
        self._python, self._numpy = random.getstate(), numpy.random.get_state()

    def _torch_states(self) -> list[Tensor]:
        return [state for _, state in random_states(self._device)]

    def before_evaluation(self) -> None:
        """Remember the random state that training has come to."""
        self._torch = self._torch_states()

    def after_evaluation(self) -> None:
        """Note in the course whether training goes on from another random state."""
        moved = [not torch.equal(a, b) for a, b in zip(self._torch, self._torch_states(), strict=True)]
        self._course.evaluation_rng_used |= any(moved)

    def look(self) -> None:
        """Note in the course which generators have moved since."""
        self._course.python_rng_used |= random.getstate() != self._python
        name, keys, *place = numpy.random.get_state()
        before, keys_before, *place_before = self._numpy
        same = name == before and place == place_before and bool((keys == keys_before).all())
        self._course.numpy_rng_used |= not same
