"""A workload's data, staged once: uint8 tensors on the CPU, then whole batches by tensor operations on any device.

Staging happens in the process that forks the trials, so that they share its memory; it uses NumPy alone and starts no
OpenMP thread. A batch is an index, a crop and a flip in one gather, then the normalisation: no DataLoader, and nothing
that waits for the device. What this does *not* do: decode (`lrbench.trial.sources`), download, or move to a device.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from lrbench.errors import InputError, did_you_mean
from lrbench.trial import sources
from lrbench.trial.fixed import fixed_permutation
from lrbench.trial.sources import Arrays, Progress
from lrbench.trial.workload import Workload

_KEYS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A data set as tensors on the CPU.

    Images are uint8 (n, channels, height, width), labels int64 (n,) from 0 to num_classes - 1. mean and std are float32
    (channels,), of the training images as fractions of 255. sha256 is of every image and label, with their shapes.
    """

    train_images: Tensor
    train_labels: Tensor
    val_images: Tensor
    val_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    num_classes: int
    mean: Tensor
    std: Tensor
    sha256: str


_STAGED: dict[tuple, Staged] = {}  # for the life of the process: forked trials inherit it


def stage(workload: Workload, data_root: Path | None, progress: Progress = sources.silent) -> Staged:
    """Return the workload's data, read at the first call and shared by every later one in this process.

    A fixed tenth of the training images, the same in every trial, becomes the validation part (rounded down, at least
    one image); `train_limit` first takes that many of a fixed permutation. Raises InputError where the data is missing,
    with what to type, or does not suit the workload.
    """
    root = None if data_root is None else Path(data_root).absolute()
    here = Path.cwd() if str(workload.data).startswith("imagefolder:") else Path()
    key = (workload.data, workload.image_size, workload.train_limit, root, here)
    if key not in _STAGED:
        arrays = _read(workload, root, progress)
        _STAGED[key] = _split(arrays, workload.train_limit, workload.label)
    staged = _STAGED[key]
    smallest = min(staged.train_images.shape[2:])
    if workload.crop_padding >= smallest:
        raise InputError(
            f"workload {workload.label}: crop_padding = {workload.crop_padding} reflects more than the image, which is "
            f"{smallest} pixels; allowed: 0 to {smallest - 1}"
        )
    return staged


def _read(workload: Workload, root: Path | None, progress: Progress) -> Arrays:
    data, size = workload.data, workload.image_size
    if callable(data):
        arrays = _check_users(data(root), getattr(data, "__name__", repr(data)))
    elif data == "digits":
        arrays = sources.digits()
    elif data == "mnist5k":
        arrays = sources.mnist5k()
    elif data == "synthetic":
        arrays = sources.synthetic(size)
    else:
        kind, _, name = data.partition(":")
        arrays = {"torchvision": sources.torchvision, "imagefolder": sources.imagefolder}[kind](
            name, root, size, progress
        )
    return Arrays(
        train_images=sources.resized(arrays.train_images, size),
        train_labels=arrays.train_labels,
        test_images=sources.resized(arrays.test_images, size),
        test_labels=arrays.test_labels,
    )


def _check_users(found: object, name: str) -> Arrays:
    """Return a user's arrays (NumPy's or tensors). Raises InputError with everything that is wrong with them."""
    if not isinstance(found, dict):
        raise InputError(f"data {name} gave a {type(found).__name__}; it returns a dict with {', '.join(_KEYS)}")
    problems = [f"{key} is missing" for key in _KEYS if key not in found]
    problems += [f"{key} is unknown.{did_you_mean(str(key), _KEYS)}" for key in found if key not in _KEYS]
    arrays = {key: np.asarray(found[key]) for key in _KEYS if key in found}
    for part in ("train", "test"):
        images, labels = arrays.get(f"{part}_images"), arrays.get(f"{part}_labels")
        if images is not None:
            problems += [f"{part}_images {problem}" for problem in _wrong_with_images(images)]
        if labels is not None and (labels.ndim != 1 or labels.dtype.kind not in "iu"):
            problems.append(f"{part}_labels are {labels.dtype} {labels.shape}; wanted: whole numbers, one dimension")
        elif labels is not None and labels.size and labels.min() < 0:
            problems.append(f"{part}_labels go down to {labels.min()}; classes count from 0")
        if images is not None and labels is not None and len(images) != len(labels):
            problems.append(f"{part}_images are {len(images)} and {part}_labels are {len(labels)}")
    if not problems and arrays["train_images"].shape[1:] != arrays["test_images"].shape[1:]:
        shapes = [arrays[key].shape[1:] for key in ("train_images", "test_images")]
        problems.append(f"train_images are {shapes[0]} each and test_images {shapes[1]}; wanted: one shape")
    if not problems and arrays["test_labels"].max() > arrays["train_labels"].max():
        problems.append(f"test_labels hold class {arrays['test_labels'].max()}, which train_labels lack")
    if problems:
        raise InputError(*(f"data {name}: {problem}" for problem in problems))
    return Arrays(**{k: v if "images" in k else v.astype(np.int64) for k, v in arrays.items()})


def _wrong_with_images(images: np.ndarray) -> list[str]:
    wanted = "wanted: uint8 (n, channels, height, width)"
    if images.dtype != np.uint8:
        return [f"are {images.dtype}; {wanted}. Fractions become levels by (255 * images).round().astype('uint8')"]
    if images.ndim == 3:
        return [f"have shape {images.shape}; {wanted}. Grey images gain their channel by images[:, None]"]
    if images.ndim != 4 or 0 in images.shape:
        return [f"have shape {images.shape}; {wanted}"]
    if images.shape[3] in (1, 3, 4) and images.shape[1] not in (1, 3, 4):
        return [f"have shape {images.shape}, channels last; {wanted}. They turn by images.transpose(0, 3, 1, 2)"]
    return []


def _split(arrays: Arrays, train_limit: int, label: str) -> Staged:
    """Take the training limit and hold out the validation part, then measure mean and standard deviation."""
    n = len(arrays.train_labels)
    if train_limit > n:
        raise InputError(f"workload {label}: train_limit = {train_limit}, and there are {n} training images")
    shapes = arrays.train_images.shape[1:], arrays.test_images.shape[1:]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"workload {label}: training images are {shapes[0]} (channels, height, width) and test images {shapes[1]}; "
            "write image_size into the workload"
        )
    chosen = fixed_permutation(n, "training limit")[: train_limit or n]
    num_val = max(1, len(chosen) // 10)
    if len(chosen) <= num_val or not len(arrays.test_labels):
        raise InputError(
            f"workload {label}: {len(chosen)} training and {len(arrays.test_labels)} test images; at least 2 and 1 are "
            "needed, since a tenth of the training images is held out"
        )
    num_classes = int(max(arrays.train_labels.max(), arrays.test_labels.max())) + 1
    if num_classes < 2:
        raise InputError(f"workload {label}: every image is of class 0; there is nothing to tell apart")
    order = chosen[fixed_permutation(len(chosen), "validation part")]
    val, train = np.sort(order[:num_val]), np.sort(order[num_val:])
    parts = {
        "train_images": arrays.train_images[train],
        "train_labels": arrays.train_labels[train],
        "val_images": arrays.train_images[val],
        "val_labels": arrays.train_labels[val],
        "test_images": arrays.test_images.copy("C"),  # copied like the rest, so that no view keeps all pixels alive
        "test_labels": arrays.test_labels.copy(),
    }
    mean, std = _moments(parts["train_images"])
    return Staged(
        **{name: torch.from_numpy(array) for name, array in parts.items()},
        num_classes=num_classes,
        mean=torch.from_numpy(mean),
        std=torch.from_numpy(std),
        sha256=_digest(parts),
    )


def _moments(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each channel of images / 255, float32 (channels,).

    Exact: the levels are counted, then weighed in float64. A channel of one level has no spread to divide by: std 1.
    """
    levels = np.arange(256) / 255
    moments = []
    for channel in range(images.shape[1]):
        counts = np.zeros(256, dtype=np.int64)
        for first in range(0, len(images), 4096):  # bincount widens to 8 bytes a pixel
            counts += np.bincount(images[first : first + 4096, channel].ravel(), minlength=256)
        mean = (counts * levels).sum() / counts.sum()
        std = np.sqrt((counts * (levels - mean) ** 2).sum() / counts.sum())
        moments.append((mean, std if np.count_nonzero(counts) > 1 else 1.0))
    return tuple(np.array(column, dtype=np.float32) for column in zip(*moments, strict=True))


def _digest(parts: dict[str, np.ndarray]) -> str:
    digest = sha256()
    for name, array in parts.items():
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------------- on the hot path


def augmentation(generator: Generator, n: int, crop_padding: int, flip: bool) -> tuple[Tensor, Tensor]:
    """Draw the crops and flips of n images for an epoch, on the CPU.

    Returns offsets, int64 (n, 2): the row and column of the padded image where the crop of each image begins, 0 to
    2 * crop_padding (all 0 without padding); and flips, bool (n,), or (0,) without flip. What is not asked for is not
    drawn.
    """
    offsets = torch.zeros(n, 2, dtype=torch.int64)
    flips = torch.zeros(0, dtype=torch.bool)
    if crop_padding:
        offsets.random_(0, 2 * crop_padding + 1, generator=generator)
    if flip:
        flips = torch.randint(0, 2, (n,), generator=generator, dtype=torch.bool)
    return offsets, flips


def batch(
    images: Tensor,
    index: Tensor,
    offsets: Tensor,
    flips: Tensor,
    mean: Tensor,
    std: Tensor,
    crop_padding: int,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Tensor:
    """Return images[index], cropped, flipped and normalised: float32 (b, channels, height, width).

    `images`, offsets and flips are of the whole training part, as staged and as `augmentation` drew them; all tensors
    lie on one device. The crop is as if the image had been padded by reflection first: row r of the padded image is row
    |r - p| of the image, mirrored at its far edge. Without padding and flips a batch is an index and a normalisation.
    """
    if not crop_padding and not len(flips):
        return normalise(images.index_select(0, index), mean, std, memory_format)
    num_channels, height, width = images.shape[1:]
    offsets = offsets.index_select(0, index) - crop_padding
    rows = _reflected(offsets[:, :1] + torch.arange(height, device=images.device), height)
    columns = torch.arange(width, device=images.device).expand(len(index), width)
    if len(flips):  # a flipped image reads its columns backwards
        columns = torch.where(flips.index_select(0, index)[:, None], width - 1 - columns, columns)
    columns = _reflected(offsets[:, 1:] + columns, width)
    # one gather over the pixels of a channel; indexing rows and columns apart took four times as long (CPU, 2026-11)
    pixel = (rows[:, :, None] * width + columns[:, None, :]).view(-1, 1, height * width)
    crops = images.index_select(0, index).flatten(2).gather(2, pixel.expand(-1, num_channels, -1))
    return normalise(crops.view(-1, num_channels, height, width), mean, std, memory_format)


def _reflected(position: Tensor, length: int) -> Tensor:
    """Return positions from -(length - 1) to 2 * (length - 1) mirrored into 0 to length - 1, edges not repeated."""
    return (length - 1) - ((length - 1) - position.abs()).abs()


def normalise(
    images: Tensor, mean: Tensor, std: Tensor, memory_format: torch.memory_format = torch.contiguous_format
) -> Tensor:
    """Return (images / 255 - mean) / std as float32; images are uint8 (n, channels, height, width), mean and std
    (channels,). For validation and test images as they are."""
    shape = (1, -1, 1, 1)
    pixels = images.to(torch.float32, memory_format=memory_format)
    return pixels.div_(255).sub_(mean.view(shape)).div_(std.view(shape))
