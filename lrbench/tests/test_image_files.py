"""Folders of images and torchvision's data sets: pixel by pixel, and what is refused by name."""

import bz2
import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrbench.errors import InputError
from lrbench.tests.helpers.arrays import levels, save, workload
from lrbench.trial import sources
from lrbench.trial.data import stage
from lrbench.trial.workload import resolve

# ---------------------------------------------------------------------------------------------------------- image files


@pytest.fixture
def pets(tmp_path) -> Path:
    """Two classes of colour images, 6 high and 4 wide: 8 to train on and 3 to test on."""
    for part, n in (("train", 8), ("val", 3)):
        for i in range(n):
            save(tmp_path / "pets" / part / ("cat" if i % 2 else "ant") / f"{i}.png", levels(12, 6, 4, 3)[i])
    (tmp_path / "pets" / "train" / "cat" / "notes.txt").write_text("not an image")
    return tmp_path / "pets"


def stage_folder(path, root=None, **keys):
    return stage(workload(f"imagefolder:{path}", **keys), root)


def test_an_image_folder_is_read_pixel_by_pixel(pets):
    """Class folders in sorted order are labels 0, 1, …; files that are no images are passed over."""
    arrays = sources.imagefolder(str(pets), None, 0, sources.silent)
    pixels = levels(12, 6, 4, 3).transpose(0, 3, 1, 2)
    assert arrays.train_labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert np.array_equal(arrays.train_images, pixels[[0, 2, 4, 6, 1, 3, 5, 7]])
    assert arrays.test_labels.tolist() == [0, 0, 1]
    assert np.array_equal(arrays.test_images, pixels[[0, 2, 1]])


def test_an_image_folder_is_found_from_here_and_from_the_data_root(pets, monkeypatch):
    """A relative path is looked for in the current folder first, then in the data root; neither is said with both."""
    monkeypatch.chdir(pets.parent)
    here = stage_folder("pets")
    monkeypatch.chdir(pets)
    assert stage_folder("pets", pets.parent).sha256 == here.sha256
    with pytest.raises(InputError) as caught:
        stage_folder("pets", pets / "train")
    assert f"looked for {pets / 'pets'} and {pets / 'train' / 'pets'}" in str(caught.value)


def test_class_folders_alone_are_split(pets):
    """Without train/ and test/, a fifth of every class is the test part."""
    staged = stage_folder(pets / "train")
    assert (len(staged.train_labels), len(staged.val_labels), len(staged.test_labels)) == (5, 1, 2)
    assert staged.test_labels.tolist() == [0, 1]


def test_grey_images_keep_one_channel_and_colour_among_them_makes_three(pets, tmp_path):
    """Only if every image is grey has the data one channel; a grey image among colour ones has three equal ones."""
    for i in range(6):
        save(tmp_path / "grey" / f"class{i % 2}" / f"{i}.png", levels(6, 6, 4)[i])
    assert stage_folder(tmp_path / "grey").train_images.shape[1:] == (1, 6, 4)
    save(pets / "train" / "ant" / "0.png", levels(6, 4))
    arrays = sources.imagefolder(str(pets), None, 0, sources.silent)
    assert np.array_equal(arrays.train_images[0], np.stack([levels(6, 4)] * 3))


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "LA", "1"])
def test_every_mode_of_image_becomes_grey_or_colour(pets, mode):
    """Palettes, transparency and print colours are converted as PIL converts them."""
    pixels = levels(6, 4, 3)
    path = pets / "train" / "ant" / ("0.tiff" if mode == "CMYK" else "a.png")
    save(path, pixels, mode)
    arrays = sources.imagefolder(str(pets), None, 0, sources.silent)
    wanted = Image.open(path).convert("L" if mode in ("LA", "1") else "RGB").convert("RGB")
    assert np.array_equal(
        arrays.train_images[sorted(os.listdir(path.parent)).index(path.name)].transpose(1, 2, 0), wanted
    )


def test_images_of_several_sizes_need_a_size(pets):
    """Two sizes are refused with both named and the key to write; with image_size they are resized."""
    save(pets / "train" / "cat" / "big.png", levels(10, 12, 3))
    with pytest.raises(InputError) as caught:
        stage_folder(pets)
    assert f"{pets}/train/cat/big.png is 12x10 and {pets}/train/ant/0.png is 4x6" in str(caught.value)
    assert "image_size = 4" in str(caught.value)
    assert stage_folder(pets, image_size=5).train_images.shape[1:] == (3, 5, 5)


def test_resizing_is_pils(pets):
    """image_size gives what PIL's bilinear resize gives of one image, for files and for arrays."""
    wanted = np.asarray(Image.fromarray(levels(6, 4, 3)).resize((5, 5), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    arrays = sources.imagefolder(str(pets), None, 5, sources.silent)
    assert np.array_equal(arrays.train_images[0], wanted)
    assert np.array_equal(sources.resized(levels(6, 4, 3).transpose(2, 0, 1)[None], 5)[0], wanted)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("broken.jpg", b"no picture", "broken.jpg cannot be read as an image"),
        ("empty.png", b"", "empty.png cannot be read as an image"),
        ("half.png", None, "half.png cannot be read as an image"),
    ],
)
def test_a_broken_image_is_named(pets, file, content, words):
    """The file that cannot be decoded is told, also when it breaks off in the middle."""
    whole = (pets / "train" / "cat" / "1.png").read_bytes()
    (pets / "train" / "cat" / file).write_bytes(whole[: len(whole) - 40] if content is None else content)
    with pytest.raises(InputError) as caught:
        stage_folder(pets)
    assert words in str(caught.value)


def test_sixteen_bits_are_refused(pets):
    """Levels above 255 would be cut off by a conversion, so they are refused."""
    save(pets / "train" / "cat" / "deep.png", np.full((6, 4), 40_000, dtype=np.uint16))
    with pytest.raises(InputError, match="has more than 8 bits a pixel"):
        stage_folder(pets)


def test_folders_that_cannot_be_meant_are_refused(pets):
    """A test class without training images, a class without images, train/ alone, and no classes at all."""
    (pets / "val" / "dog").mkdir()
    with pytest.raises(InputError, match="dog holds no image"):
        stage_folder(pets)
    save(pets / "val" / "dog" / "0.png", levels(6, 4, 3))
    with pytest.raises(InputError, match=r"classes of .*val that .*train lacks: dog"):
        stage_folder(pets)
    (pets / "val").rename(pets.parent / "val")
    with pytest.raises(InputError, match="has train/ alone"):
        stage_folder(pets)
    with pytest.raises(InputError, match="holds no class folders"):
        stage_folder(pets / "train" / "cat")


def test_images_that_do_not_fit_into_memory_are_refused(pets):
    """A million images of 10,000 pixels a side are refused before anything is allocated, with the sizes."""
    image = Image.open(pets / "train" / "ant" / "0.png")
    with image, pytest.raises(InputError, match=r"need 558793\.5 GiB of memory .* Make them smaller by image_size"):
        sources.decode(lambda i: (image, 0), 1_000_000, str, 10_000, sources.silent)


def test_progress_counts_every_image(pets):
    """The last call says that all images of all parts are decoded."""
    calls = []
    stage(workload(f"imagefolder:{pets}"), None, lambda done, total: calls.append((done, total)))
    assert calls[-1] == (11, 11)


# ---------------------------------------------------------------------------------------------------------- torchvision


def idx(path: Path, array: np.ndarray) -> None:
    """Write an array in the format of MNIST's files: type and number of dimensions, sizes, big-endian numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = {1: 8, 4: 12}[array.dtype.itemsize]
    head = bytes([0, 0, code, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(head + array.astype(array.dtype.newbyteorder(">")).tobytes())


IMAGES, LABELS = levels(30, 28, 28), (np.arange(30) % 3).astype(np.uint8)


def make_mnist(root: Path, monkeypatch) -> None:
    for part, some in (("train", slice(0, 20)), ("t10k", slice(20, 30))):
        idx(root / "MNIST/raw" / f"{part}-images-idx3-ubyte", IMAGES[some])
        idx(root / "MNIST/raw" / f"{part}-labels-idx1-ubyte", LABELS[some])


def make_qmnist(root: Path, monkeypatch) -> None:
    about = np.stack([LABELS.astype(np.int32)] + [np.full(30, 99, np.int32)] * 7, axis=1)
    for part, some in (("train", slice(0, 20)), ("test", slice(20, 30))):
        idx(root / "QMNIST/raw" / f"qmnist-{part}-images-idx3-ubyte", IMAGES[some])
        idx(root / "QMNIST/raw" / f"qmnist-{part}-labels-idx2-int", about[some])


def make_svhn(root: Path, monkeypatch) -> None:
    from scipy.io import savemat
    from torchvision.datasets import SVHN
    from torchvision.datasets.utils import calculate_md5

    split_list = {}
    for part, some in (("train", slice(0, 20)), ("test", slice(20, 30))):
        file = root / f"{part}_32x32.mat"
        colour = np.stack([IMAGES[some]] * 3, axis=1)  # SVHN's own order: height, width, channel, image
        savemat(file, {"X": colour.transpose(2, 3, 1, 0), "y": np.where(LABELS[some] == 0, 10, LABELS[some])[:, None]})
        split_list[part] = ["", file.name, calculate_md5(file)]
    monkeypatch.setattr(SVHN, "split_list", split_list)


def make_usps(root: Path, monkeypatch) -> None:
    from torchvision.datasets import USPS

    split_list = {}
    for part, file, some in (("train", "usps.bz2", slice(0, 20)), ("test", "usps.t.bz2", slice(20, 30))):
        rows = [
            " ".join([str(label + 1), *(f"{i + 1}:{v / 127.5 - 1:.6f}" for i, v in enumerate(image[:16, :16].ravel()))])
            for image, label in zip(IMAGES[some], LABELS[some], strict=True)
        ]
        (root / file).write_bytes(bz2.compress("\n".join(rows).encode()))
        split_list[part] = ("", file, "")
    monkeypatch.setattr(USPS, "split_list", split_list)


def make_gtsrb(root: Path, monkeypatch) -> None:
    table = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    for i, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        colour = np.stack([image] * 3, axis=2)
        if i < 20:
            save(root / "gtsrb/GTSRB/Training" / f"{label:05d}" / f"{i:05d}.ppm", colour)
        else:
            save(root / "gtsrb/GTSRB/Final_Test/Images" / f"{i:05d}.ppm", colour)
            table.append(f"{i:05d}.ppm;28;28;0;0;27;27;{label}")
    (root / "gtsrb/GT-final_test.csv").write_text("\n".join(table))


def make_eurosat(root: Path, monkeypatch) -> None:
    for i, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        save(root / "eurosat/2750" / f"class{label}" / f"{i:02d}.png", np.stack([image] * 3, axis=2))


@pytest.mark.parametrize(
    ("name", "make", "shape"),
    [
        ("MNIST", make_mnist, (1, 28, 28)),
        ("QMNIST", make_qmnist, (1, 28, 28)),
        ("SVHN", make_svhn, (3, 28, 28)),
        ("USPS", make_usps, (1, 16, 16)),
        ("GTSRB", make_gtsrb, (3, 28, 28)),
        ("EuroSAT", make_eurosat, (3, 28, 28)),
    ],
)
def test_torchvisions_data_sets_come_out_pixel_by_pixel(tmp_path, monkeypatch, name, make, shape):
    """Files in each data set's own format come out as the pixels that were put in, each with its label."""
    make(tmp_path, monkeypatch)
    arrays = sources.torchvision(name, tmp_path, 0, sources.silent)
    n = {"EuroSAT": 24}.get(name, 20)
    assert arrays.train_images.shape == (n, *shape)
    assert arrays.test_images.shape == (30 - n, *shape)
    size = shape[1]
    put_in = {bytes(image[:size, :size]): label for image, label in zip(IMAGES, LABELS, strict=True)}
    for part in ("train", "test"):
        images, labels = getattr(arrays, f"{part}_images"), getattr(arrays, f"{part}_labels")
        tolerance = 1 if name == "USPS" else 0  # stored as text between -1 and 1, cut to a level by torchvision
        for image, label in zip(images, labels, strict=True):
            original = min(
                put_in, key=lambda raw: np.abs(np.frombuffer(raw, np.uint8).astype(int) - image[0].ravel()).sum()
            )
            difference = np.frombuffer(original, np.uint8).astype(int) - image.reshape(len(image), -1)
            assert np.abs(difference).max() <= tolerance
            assert put_in[original] == label


def test_torchvision_data_that_is_not_there_says_what_to_type(tmp_path):
    """Nothing is downloaded: without a folder, in an empty folder and for an unknown name the error tells the way."""
    with pytest.raises(
        InputError, match=r"no folder was given to look in\. Type: lrbench data fetch CIFAR10 --data-root DIR"
    ):
        stage(resolve("cifar10-resnet9"), None)
    with pytest.raises(InputError) as caught:
        stage(resolve("cifar10-resnet9"), tmp_path)
    assert f"{tmp_path}/cifar-10-batches-py/data_batch_1 is not there" in str(caught.value)
    assert f"Type: lrbench data fetch CIFAR10 --data-root {tmp_path}" in str(caught.value)
    with pytest.raises(InputError, match="Did you mean 'CIFAR10'"):
        stage(workload("torchvision:Cifar-10"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_torchvision_data_that_is_damaged_is_refused(tmp_path):
    """A file of the right name and the wrong content is not trained on."""
    for file in ("data_batch_1", "test_batch"):
        (tmp_path / "cifar-10-batches-py").mkdir(exist_ok=True)
        (tmp_path / "cifar-10-batches-py" / file).write_bytes(gzip.compress(b"x"))
    with pytest.raises(InputError, match="is not whole: Dataset not found or corrupted"):
        stage(resolve("cifar10-resnet9"), tmp_path)


# ---------------------------------------------------------------------------------------------------------- fit to fork


def test_staging_leaves_a_process_that_can_fork(pets):
    """After staging, the process has no more threads than before and has not touched CUDA."""
    code = f"""
import os, time, torch
torch.set_num_threads(1)
from lrbench.trial.data import stage
from lrbench.trial.workload import resolve
before = len(os.listdir("/proc/self/task"))
for source in ("digits", "synthetic", "imagefolder:{pets}"):
    stage(resolve({{"base": "digits-cnn", "data": source}}), None)
until = time.monotonic() + 10  # a thread that was joined is still listed until the kernel has buried it
while len(os.listdir("/proc/self/task")) > before and time.monotonic() < until:
    time.sleep(0.01)
assert len(os.listdir("/proc/self/task")) == before, (before, os.listdir("/proc/self/task"))
assert not torch.cuda.is_initialized()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
