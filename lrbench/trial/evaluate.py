"""What a model is worth: its logits on images it does not train on, their loss, and how many predictions are right.

What this does *not* do: decide when, or on which images (`lrbench.trial.loop`).
"""

from collections.abc import Callable

import torch

from lrbench.trial.data import normalise
from lrbench.trial.models import logits_of

NUM_PROBE_IMAGES = 32
# Images at once. On a CPU what a small part leaves stays in the caches, and its memory serves the next part: resnet9
# takes 5.2 s for 1,000 images in parts of 64 and 7.9 s in one, to the same bits (one core, n = 3, 2026-11-23).
NUM_AT_ONCE = {"cpu": 64, "cuda": 1_000}


@torch.no_grad()
def all_logits(model, images, mean, std, device, memory_format, autocast) -> torch.Tensor:
    """Return float32 logits (n, classes) on the CPU. Draws no random number."""
    model.eval()
    parts = []
    for images_at_once in images.split(NUM_AT_ONCE[device.type]):
        x = normalise(images_at_once.to(device), mean, std, memory_format)
        with autocast:
            parts.append(logits_of(model(x)).float().cpu())
    return torch.cat(parts)


@torch.no_grad()
def quality(logits: torch.Tensor, labels: torch.Tensor, loss: Callable) -> tuple[float, float]:
    """Return the loss and the share of right predictions."""
    return float(loss(logits, labels)), float((logits.argmax(dim=1) == labels).double().mean())


def class_accuracy(predictions: torch.Tensor, labels: torch.Tensor, num_classes: int) -> list[float]:
    """Return the share of right predictions among the images of each class; NaN where a class has none."""
    right = (predictions == labels).double()
    return [right[labels == index].mean().item() for index in range(num_classes)]  # the mean of nothing is NaN
