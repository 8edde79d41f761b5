"""One batch, again and again in one process: does its forward repeat to the bit, does its backward, how fast is it?

It comes after everything that a row keeps of the training, and leaves the random state as each repeat found it. What
this does *not* do: compare processes (replicates do that).
"""

from collections.abc import Callable
from time import perf_counter

import torch
from torch import Tensor, nn

from lrbench.trial.digest import fast_digest, gradients_of
from lrbench.trial.models import logits_of


def repeat_columns(
    num_repeats: int,
    model: nn.Module,
    forward: Callable,
    forward_backward: Callable[[], Tensor],
    images: Tensor,
    autocast,
) -> dict:
    """Return the `repeats` columns for one training batch.

    The forward runs in evaluation mode without gradients, the backward in training mode from one random state; of each
    it is counted how many of `num_repeats` give the digest that the first gave, the first included.
    """
    model.eval()
    logits, seconds = [], []
    with torch.no_grad():
        for _ in range(num_repeats):
            _wait(images)
            began = perf_counter()
            with autocast:
                logits.append(logits_of(forward(images)))
            _wait(images)
            seconds.append(perf_counter() - began)
    forwards = [fast_digest([("logits", values)]) for values in logits]
    model.train()
    state = _random_state(images)
    backwards = []
    for _ in range(num_repeats):
        _set_random_state(images, state)
        forward_backward()
        backwards.append(fast_digest(gradients_of(model)))
    _set_random_state(images, state)
    return {
        "num_repeats": num_repeats,
        "forward_repeats_identical": forwards.count(forwards[0]),
        "backward_repeats_identical": backwards.count(backwards[0]),
        "forward_samples_per_second": len(images) / sorted(seconds)[num_repeats // 2],
    }


def _wait(images: Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize(images.device)


def _random_state(images: Tensor) -> tuple:
    return torch.get_rng_state(), torch.cuda.get_rng_state(images.device) if images.is_cuda else None


def _set_random_state(images: Tensor, state: tuple) -> None:
    torch.set_rng_state(state[0])
    if images.is_cuda:
        torch.cuda.set_rng_state(state[1], images.device)
