"""Staging, splits, and the batched crop, flip and normalisation."""

import bz2
import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lrbench.errors import InputError
from lrbench.trial import sources
from lrbench.trial.data import augmentation, batch, normalise, stage
from lrbench.trial.fixed import fixed_permutation, splitmix64
from lrbench.trial.workload import Workload, resolve

DIGITS_SHA256 = "f7c9e464b10b4fb94717f607b24ca85692efbf2297431eeeacd5a6d0c3a04745"


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


# ------------------------------------------------------------------------------------------------- fixed randomness


def test_splitmix64_gives_the_published_numbers():
    """The first numbers from start 1234567 are those of the algorithm's reference implementation."""
    assert splitmix64(1234567, 3).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_fixed_permutation_is_one_permutation_for_ever():
    """Splits must not move between machines or versions, so the order itself is pinned; purposes differ."""
    order = fixed_permutation(10, "validation part")
    assert sorted(order.tolist()) == list(range(10))
    assert order.tolist() == [0, 9, 6, 7, 2, 4, 5, 3, 1, 8]
    assert order.tolist() != fixed_permutation(10, "training limit").tolist()


# ------------------------------------------------------------------------------------------------------- built-ins


@pytest.mark.parametrize(
    ("name", "shape", "num_train", "num_val", "num_test", "num_classes"),
    [
        ("digits-cnn", (1, 8, 8), 1295, 143, 359, 10),
        ("mnist5k-cnn", (1, 28, 28), 3600, 400, 1000, 10),
        ("alexnet", (3, 64, 64), 231, 25, 64, 2),
    ],
)
def test_built_in_data_is_staged_as_uint8(name, shape, num_train, num_val, num_test, num_classes):
    """A tenth of the training images is held out, and every class is in every part that is big enough."""
    staged = stage(resolve(name), None)
    for part, n in (("train", num_train), ("val", num_val), ("test", num_test)):
        images, labels = getattr(staged, f"{part}_images"), getattr(staged, f"{part}_labels")
        assert images.shape == (n, *shape)
        assert images.dtype == torch.uint8
        assert images.is_contiguous()
        assert labels.shape == (n,)
        assert labels.dtype == torch.int64
        assert labels.unique().tolist() == list(range(num_classes))
    assert staged.num_classes == num_classes
    assert staged.mean.dtype == staged.std.dtype == torch.float32


def test_digits_are_the_bytes_they_always_were():
    """The digest of the staged digits is pinned: another one means that old rows cannot be compared with new ones."""
    assert stage(resolve("digits-cnn"), None).sha256 == DIGITS_SHA256


def test_digits_are_what_scikit_learn_says():
    """The file is read without importing scikit-learn, and holds what load_digits gives."""
    from sklearn.datasets import load_digits

    arrays, theirs = sources.digits(), load_digits()
    images = np.concatenate([arrays.train_images, arrays.test_images])[:, 0]
    assert np.array_equal(images, np.minimum(theirs.images * 16, 255))
    assert np.concatenate([arrays.train_labels, arrays.test_labels]).tolist() == theirs.target.tolist()


def test_mnist5k_has_each_digit_as_often():
    """Of each digit 400 images to train on and 100 to test on, none of them blank."""
    arrays = sources.mnist5k()
    assert np.bincount(arrays.train_labels).tolist() == [400] * 10
    assert np.bincount(arrays.test_labels).tolist() == [100] * 10
    assert arrays.train_images.max(axis=(1, 2, 3)).min() > 200


def test_synthetic_images_can_be_learned():
    """The nearest mean of the training images tells the class of every test image, at every size asked for."""
    for size in (0, 32, 160):
        arrays = sources.synthetic(size)
        assert arrays.train_images.shape[1:] == (3, size or 64, size or 64)
        train, test = (x.reshape(len(x), -1).astype(np.float64) for x in (arrays.train_images, arrays.test_images))
        means = np.stack([train[arrays.train_labels == c].mean(axis=0) for c in (0, 1)])
        nearest = ((test[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
        assert nearest.tolist() == arrays.test_labels.tolist()


# --------------------------------------------------------------------------------------------------------- splitting


def test_validation_part_is_held_out_of_the_training_images():
    """Training and validation images are together the given ones, none twice, labels still theirs."""
    given = user_arrays()
    staged = stage(workload(lambda root: given), None)
    assert len(staged.val_images) == 2
    ours = torch.cat([staged.train_images, staged.val_images]).numpy()
    labels = torch.cat([staged.train_labels, staged.val_labels]).tolist()
    pairs = {bytes(image): label for image, label in zip(ours, labels, strict=True)}
    assert pairs == {bytes(i): n for i, n in zip(given["train_images"], given["train_labels"], strict=True)}
    assert np.array_equal(staged.test_images, given["test_images"])


def test_train_limit_takes_images_of_the_whole():
    """A limit of 100 stages 90 + 10 images, all from the training images; 0 takes all of them."""
    limited = stage(workload("digits", train_limit=100), None)
    assert (len(limited.train_images), len(limited.val_images), len(limited.test_images)) == (90, 10, 359)
    whole = {bytes(image) for image in sources.digits().train_images}
    assert all(bytes(image.numpy()) in whole for image in torch.cat([limited.train_images, limited.val_images]))


def test_a_fifth_of_every_class_is_held_out_where_there_is_no_test_part():
    """Rounded to the nearest image, at least one; a lone image is trained on; the same images at every call."""
    labels = np.repeat([0, 1, 2, 3], [10, 13, 2, 1])
    images = levels(len(labels), 1, 2, 2)
    arrays, again = (sources.hold_out_fifth(images, labels) for _ in range(2))
    assert np.bincount(arrays.test_labels, minlength=4).tolist() == [2, 3, 1, 0]
    assert np.bincount(arrays.train_labels, minlength=4).tolist() == [8, 10, 1, 1]
    assert np.array_equal(arrays.test_images, again.test_images)


def test_mean_and_deviation_are_those_of_the_training_images():
    """Counted levels give what NumPy gives in float64; a channel of one level divides by 1."""
    given = user_arrays()
    given["train_images"][:, 2] = 7
    staged = stage(workload(lambda root: given), None)
    pixels = staged.train_images.numpy()[:, :2].astype(np.float64) / 255
    assert staged.mean[:2].tolist() == pixels.mean(axis=(0, 2, 3)).astype(np.float32).tolist()
    assert staged.std[:2].tolist() == pixels.std(axis=(0, 2, 3)).astype(np.float32).tolist()
    assert (staged.mean[2].item(), staged.std[2].item()) == (np.float32(7 / 255), 1.0)


def test_data_is_read_once_in_a_process():
    """A second call gives the same tensors without reading; another limit or size reads again."""
    calls = []

    def source(root):
        calls.append(root)
        return user_arrays()

    first = stage(workload(source), None)
    assert stage(workload(source, flip=True), None) is first
    assert stage(workload(source, train_limit=10), None) is not first
    assert stage(workload(source, image_size=4), Path("somewhere")).train_images.shape[2:] == (4, 4)
    assert calls == [None, None, Path("somewhere").absolute()]


def test_the_digest_tells_data_apart():
    """One changed pixel, or one changed label, changes the digest; the same data has the same."""
    one = stage(workload(lambda root: user_arrays()), None).sha256
    pixel, label = user_arrays(), user_arrays()
    pixel["test_images"][0, 0, 0, 0] += 1
    label["test_labels"][0] = 1
    assert stage(workload(lambda root: user_arrays()), None).sha256 == one
    assert len({one, *(stage(workload(lambda root, a=a: a), None).sha256 for a in (pixel, label))}) == 3


# -------------------------------------------------------------------------------------------------------- user's data


def test_a_users_data_may_be_tensors():
    """Tensors are taken like arrays, and labels of any whole type become int64."""
    given = {key: torch.from_numpy(array.astype(np.uint8)) for key, array in user_arrays().items()}
    staged = stage(workload(lambda root: given), None)
    assert staged.test_labels.dtype == torch.int64
    assert staged.test_labels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train_images": levels(20, 6, 6, 3)}, "train_images have shape (20, 6, 6, 3), channels last"),
        ({"train_images": levels(20, 6, 6)}, "Grey images gain their channel by images[:, None]"),
        ({"train_images": levels(20, 3, 6, 6) / 255}, "train_images are float64; wanted: uint8"),
        ({"train_images": levels(19, 3, 6, 6)}, "train_images are 19 and train_labels are 20"),
        ({"test_images": levels(4, 3, 5, 6)}, "train_images are (3, 6, 6) each and test_images (3, 5, 6)"),
        ({"test_labels": np.array([0, 1, 2, 4])}, "test_labels hold class 4, which train_labels lack"),
        ({"test_labels": np.array([0, 1, 2, -1])}, "test_labels go down to -1"),
        ({"train_labels": np.eye(20)}, "train_labels are float64 (20, 20); wanted: whole numbers"),
        ({"val_images": levels(4, 3, 6, 6)}, "val_images is unknown"),
        ({"test_images": levels(0, 3, 6, 6), "test_labels": np.arange(0)}, "test_images have shape (0, 3, 6, 6)"),
    ],
)
def test_a_users_wrong_arrays_are_refused_with_the_remedy(change, words):
    """What is wrong with a user's arrays is said before anything is built on them."""
    with pytest.raises(InputError) as caught:
        stage(workload(lambda root: user_arrays(**change)), None)
    assert words in str(caught.value)


def test_all_mistakes_in_a_users_arrays_are_told_at_once():
    """Two wrong arrays and a missing one make three problems."""
    given = user_arrays(train_images=levels(20, 6, 6, 3), test_images=levels(4, 6, 6))
    del given["test_labels"]
    with pytest.raises(InputError) as caught:
        stage(workload(lambda root: given), None)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"train_limit": 21}, "train_limit = 21, and there are 20 training images"),
        ({"train_limit": 1}, "1 training and 4 test images; at least 2 and 1"),
        ({"crop_padding": 6}, "crop_padding = 6 reflects more than the image, which is 6 pixels; allowed: 0 to 5"),
    ],
)
def test_a_workload_that_does_not_suit_its_data_is_refused(keys, words):
    """Limits and paddings are checked against the images."""
    with pytest.raises(InputError) as caught:
        stage(workload(lambda root: user_arrays(), **keys), None)
    assert words in str(caught.value)


def test_one_class_is_nothing_to_learn():
    """Data whose labels are all 0 is refused."""
    given = user_arrays(train_labels=np.zeros(20, int), test_labels=np.zeros(4, int))
    with pytest.raises(InputError, match="nothing to tell apart"):
        stage(workload(lambda root: given), None)


# -------------------------------------------------------------------------------------------------------- image files


def save(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)


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


# -------------------------------------------------------------------------------------------------------- torchvision


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


# ------------------------------------------------------------------------------------------------------------ batches


def reference(image: np.ndarray, offset, flip: bool, mean, std, padding: int) -> np.ndarray:
    """Pad one image by reflection, cut at the offset, mirror, normalise: slow and plain."""
    _, height, width = image.shape
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)), mode="reflect")
    cut = padded[:, offset[0] : offset[0] + height, offset[1] : offset[1] + width]
    cut = cut[:, :, ::-1] if flip else cut
    pixels = cut.astype(np.float32) / np.float32(255)
    return (pixels - mean.numpy()[:, None, None]) / std.numpy()[:, None, None]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("shape", "padding"),
    [((3, 32, 32), 4), ((1, 8, 8), 1), ((3, 5, 9), 4), ((2, 7, 7), 6), ((3, 6, 6), 0)],
)
def test_a_batch_is_what_one_image_after_another_gives(shape, padding, flip, memory_format):
    """Crop, flip and normalisation of a batch equal those of a loop over images, bit for bit."""
    images = torch.from_numpy(levels(40, *shape))
    mean, std = torch.linspace(0.2, 0.6, shape[0]), torch.linspace(0.1, 0.3, shape[0])
    offsets, flips = augmentation(torch.Generator().manual_seed(5), 40, padding, flip)
    index = torch.randperm(40, generator=torch.Generator().manual_seed(6))[:16]
    ours = batch(images, index, offsets, flips, mean, std, padding, memory_format)
    assert ours.is_contiguous(memory_format=memory_format)
    assert ours.dtype == torch.float32
    for row, i in zip(ours, index.tolist(), strict=True):
        wanted = reference(images[i].numpy(), offsets[i].tolist(), flip and bool(flips[i]), mean, std, padding)
        assert np.array_equal(row.numpy(), wanted)


def test_normalisation_by_hand():
    """Levels 0, 51 and 255 with mean 0.2 and deviation 0.4 become -0.5, 0 and 2."""
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    assert normalise(pixels, torch.tensor([0.2]), torch.tensor([0.4])).flatten().tolist() == [-0.5, 0.0, 2.0]


def test_reflection_by_hand():
    """A row 10 20 30 40, padded by 2, is 30 20 10 20 30 40 30 20: the edge is not repeated."""
    images = torch.tensor([10, 20, 30, 40], dtype=torch.uint8).view(1, 1, 1, 4).expand(1, 1, 4, 4).contiguous()
    no_flips = torch.zeros(0, dtype=torch.bool)
    seen = {}
    for column in range(5):
        offsets = torch.tensor([[2, column]])
        x = batch(images, torch.tensor([0]), offsets, no_flips, torch.zeros(1), torch.ones(1), 2)
        seen[column] = (x[0, 0, 0] * 255).round().int().tolist()
    assert seen == {
        0: [30, 20, 10, 20],
        1: [20, 10, 20, 30],
        2: [10, 20, 30, 40],
        3: [20, 30, 40, 30],
        4: [30, 40, 30, 20],
    }


def test_augmentation_follows_its_generator():
    """The same seed draws the same crops and flips, another seed others; all offsets and both flips occur."""
    offsets, flips = augmentation(torch.Generator().manual_seed(1), 1000, 4, True)
    again = augmentation(torch.Generator().manual_seed(1), 1000, 4, True)
    other = augmentation(torch.Generator().manual_seed(2), 1000, 4, True)
    assert torch.equal(offsets, again[0])
    assert torch.equal(flips, again[1])
    assert not torch.equal(offsets, other[0])
    assert not torch.equal(flips, other[1])
    assert offsets.unique().tolist() == list(range(9))
    assert 400 < flips.sum() < 600


def test_augmentation_draws_only_what_is_asked_for():
    """Without crop and flip the generator is not touched, and a batch looks at neither offsets nor flips."""
    generator = torch.Generator().manual_seed(1)
    before = generator.get_state()
    offsets, flips = augmentation(generator, 5, 0, False)
    assert torch.equal(generator.get_state(), before)
    assert offsets.tolist() == [[0, 0]] * 5
    assert flips.shape == (0,)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_batch_on_cuda_equals_one_on_the_cpu_and_waits_for_nothing():
    """The same pixels on both devices, to float32's last bits, and no operation that synchronises."""
    images, mean, std = torch.from_numpy(levels(64, 3, 32, 32)), torch.full((3,), 0.5), torch.full((3,), 0.25)
    offsets, flips = augmentation(torch.Generator().manual_seed(0), 64, 4, True)
    index = torch.arange(0, 64, 2)
    there = [tensor.cuda() for tensor in (images, index, offsets, flips, mean, std)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        ours = batch(*there, 4, torch.channels_last)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(ours.cpu(), batch(images, index, offsets, flips, mean, std, 4, torch.channels_last))


# -------------------------------------------------------------------------------------------------------- fit to fork


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
