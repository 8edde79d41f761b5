"""Which data sets of torchvision a workload can name, how each is split, and where its files lie. No torch here.

`data = "torchvision:CIFAR10"` names an entry of `TORCHVISION`. What this does *not* do: read a data set
(`lrbench.trial.sources`) or download one (`lrbench.data_fetch`).
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lrbench.errors import did_you_mean


@dataclass(frozen=True, kw_only=True)
class TorchvisionData:
    """One class of torchvision.datasets.

    `parts` holds the arguments of its training and its test part, or of the one part that there is (a fixed fifth of
    it is then the test part). `files` are below the data folder, and there when the data set is.
    """

    parts: tuple[dict, ...]
    files: tuple[str, ...]


def _by_train(*files: str, **arguments: str) -> TorchvisionData:
    return TorchvisionData(parts=({"train": True, **arguments}, {"train": False, **arguments}), files=files)


def _by_split(train: str, test: str, *files: str) -> TorchvisionData:
    return TorchvisionData(parts=({"split": train}, {"split": test}), files=files)


def _whole(*files: str) -> TorchvisionData:
    return TorchvisionData(parts=({},), files=files)


def _idx(folder: str) -> tuple[str, ...]:
    return tuple(
        f"{folder}/raw/{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
    )


TORCHVISION: dict[str, TorchvisionData] = {
    "CIFAR10": _by_train("cifar-10-batches-py/data_batch_1", "cifar-10-batches-py/test_batch"),
    "CIFAR100": _by_train("cifar-100-python/train", "cifar-100-python/test"),
    "MNIST": _by_train(*_idx("MNIST")),
    "FashionMNIST": _by_train(*_idx("FashionMNIST")),
    "KMNIST": _by_train(*_idx("KMNIST")),
    "EMNIST": _by_train(
        "EMNIST/raw/emnist-balanced-train-images-idx3-ubyte",
        "EMNIST/raw/emnist-balanced-test-images-idx3-ubyte",
        split="balanced",
    ),
    "QMNIST": _by_train("QMNIST/raw/qmnist-train-images-idx3-ubyte", "QMNIST/raw/qmnist-test-images-idx3-ubyte"),
    "USPS": _by_train("usps.bz2", "usps.t.bz2"),
    "SVHN": _by_split("train", "test", "train_32x32.mat", "test_32x32.mat"),
    "STL10": _by_split("train", "test", "stl10_binary/train_X.bin", "stl10_binary/test_X.bin"),
    "GTSRB": _by_split("train", "test", "gtsrb/GTSRB/Training", "gtsrb/GT-final_test.csv"),
    "Imagenette": _by_split("train", "val", "imagenette2/train", "imagenette2/val"),
    "Flowers102": _by_split("train", "test", "flowers-102/jpg", "flowers-102/setid.mat"),
    "Food101": _by_split("train", "test", "food-101/images", "food-101/meta"),
    "DTD": _by_split("train", "test", "dtd/dtd/images", "dtd/dtd/labels"),
    "OxfordIIITPet": _by_split("trainval", "test", "oxford-iiit-pet/images", "oxford-iiit-pet/annotations"),
    "FGVCAircraft": _by_split("trainval", "test", "fgvc-aircraft-2013b/data"),
    "Country211": _by_split("train", "test", "country211/train", "country211/test"),
    "RenderedSST2": _by_split("train", "test", "rendered-sst2/train", "rendered-sst2/test"),
    "PCAM": _by_split(
        "train", "test", "pcam/camelyonpatch_level_2_split_train_x.h5", "pcam/camelyonpatch_level_2_split_test_x.h5"
    ),
    "FER2013": _by_split("train", "test", "fer2013"),
    "EuroSAT": _whole("eurosat/2750"),
    "SEMEION": _whole("semeion.data"),
    "Caltech101": _whole("caltech101/101_ObjectCategories"),
    "Caltech256": _whole("caltech256/256_ObjectCategories"),
    "SUN397": _whole("SUN397"),
}


def missing_files(name: str, data_root: Path) -> list[Path]:
    """Return the files of data set `name` that are not below `data_root`: none when it is there."""
    return [path for file in TORCHVISION[name].files if not (path := data_root / file).exists()]


@contextmanager
def opening_old_pickles() -> Iterator[None]:
    """Keep NumPy from warning that CIFAR's files, which a NumPy of 2009 pickled, say align=0 for align=False."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
        yield


def unknown_data_set(name: str) -> str:
    """Say that `name` is no data set that lrbench can read from torchvision, and which are."""
    return (
        f"{name!r} is none of the torchvision data sets that lrbench reads.{did_you_mean(name, TORCHVISION)} "
        f'Known: {", ".join(TORCHVISION)}. Images of your own are read with data = "imagefolder:PATH"'
    )
