"""Images and a model for a user who brings a model alone: `lrbench audit mynet:Net` has no data, and no recipe.

Both are named like any other data and model in a workload, so that a trial on them is a trial as every other. What this
does *not* do: teach a network anything worth knowing; the images have the shape that was asked for, and no content. A
part has images of every class where it has as many images as there are classes.
"""

import re
from collections.abc import Callable
from functools import cache
from inspect import Parameter, signature
from pathlib import Path

import numpy as np
from torch import nn

from lrbench.trial.fixed import fixed_bits
from lrbench.trial.workload import load_attribute

_NAME = re.compile(r"images_(\d+)x(\d+)x(\d+)_of_(\d+)_n(\d+)")
NUM_TEST_IMAGES = 64


def __getattr__(name: str) -> Callable:
    """Return the data of `images_3x32x32_of_10_n256`: 256 training images, 3 x 32 x 32, of 10 classes.

    A workload names its data as "module:attr", so the numbers stand in the name.
    """
    if match := _NAME.fullmatch(name):
        return _data(*map(int, match.groups()))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache  # data is staged once for each callable
def _data(num_channels: int, height: int, width: int, num_classes: int, num_images: int) -> Callable:
    shape = (num_channels, height, width)

    def images(root: Path | None) -> dict[str, np.ndarray]:
        num_test = max(NUM_TEST_IMAGES, num_classes)
        labels = np.arange(num_images + num_test, dtype=np.int64) % num_classes
        if num_images < num_classes:  # too few for every class: spread from the first to the last, which sets the head
            spread = np.linspace(0, num_classes - 1, num_images).astype(np.int64)
            spread[-1] = num_classes - 1
            labels = np.concatenate([spread, np.arange(num_test, dtype=np.int64) % num_classes])
        pictures = _levels(num_classes, shape, "a picture of each class")
        made = pictures[labels] // 2 + _levels(len(labels), shape, "noise over made images") // 2
        train, test = slice(num_images), slice(num_images, None)
        parts = {"train_images": made[train], "train_labels": labels[train]}
        return {**parts, "test_images": made[test], "test_labels": labels[test]}

    images.__name__ = f"made images {num_channels}x{height}x{width}"
    return images


def _levels(n: int, shape: tuple[int, int, int], purpose: str) -> np.ndarray:
    """Return fixed noise, uint8 (n, *shape)."""
    num_pixels = n * int(np.prod(shape))
    return fixed_bits(num_pixels // 8 + 1, purpose).astype("<u8").view(np.uint8)[:num_pixels].reshape(n, *shape)


def users_model(num_classes: int, target: str, asks_for_classes: bool) -> nn.Module:
    """Return what the class or function at "module:attr" builds, called with num_classes where it asks for it."""
    return load_attribute(target)(**({"num_classes": num_classes} if asks_for_classes else {}))


def how_to_call(build: Callable) -> str:
    """Return whether a model's class or function is called with "num_classes", with "nothing", or asks for more: the
    name of the first argument that nobody gives.

    >>> how_to_call(lambda num_classes, width=8: None), how_to_call(lambda: None), how_to_call(lambda width: None)
    ('num_classes', 'nothing', 'width')
    """
    try:
        parameters = signature(build).parameters.values()
    except ValueError:  # some builtins do not tell; the call itself will
        return "nothing"
    named = [p for p in parameters if p.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)]
    wanted = [p.name for p in named if p.default is Parameter.empty and p.name != "num_classes"]
    if wanted:
        return wanted[0]
    return "num_classes" if any(p.name == "num_classes" for p in named) else "nothing"
