"""Pixels, labels and files of images for tests, and workloads that read them."""

from pathlib import Path

import numpy as np
from PIL import Image

from lrbench.trial.workload import Workload, resolve


def workload(source, **keys) -> Workload:
    table = {"model": "lrbench.trial.models:resnet9", "data": "digits", **keys}
    resolved = resolve(table)
    return Workload(**{**vars(resolved), "data": source})


def levels(*shape: int) -> np.ndarray:
    """Pixels that all differ from their neighbours."""
    return (np.arange(np.prod(shape)) * 37 % 251).astype(np.uint8).reshape(shape)


def user_arrays(**changes) -> dict:
    arrays = {
        "train_images": levels(20, 3, 6, 6),
        "train_labels": np.arange(20) % 4,
        "test_images": levels(4, 3, 6, 6),
        "test_labels": np.arange(4),
    }
    return {**arrays, **changes}


def save(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)
