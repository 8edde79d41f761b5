"""Staging: what comes with lrbench, the split, a user's own arrays, and the digest of it all."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lrbench.errors import InputError
from lrbench.tests.helpers.arrays import levels, user_arrays, workload
from lrbench.trial import sources
from lrbench.trial.data import stage
from lrbench.trial.fixed import fixed_permutation, splitmix64
from lrbench.trial.workload import resolve

DIGITS_SHA256 = "f7c9e464b10b4fb94717f607b24ca85692efbf2297431eeeacd5a6d0c3a04745"

# ----------------------------------------------------------------------------------------------------- fixed randomness


def test_splitmix64_gives_the_published_numbers():
    """The first numbers from start 1234567 are those of the algorithm's reference implementation."""
    assert splitmix64(1234567, 3).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_fixed_permutation_is_one_permutation_for_ever():
    """Splits must not move between machines or versions, so the order itself is pinned; purposes differ."""
    order = fixed_permutation(10, "validation part")
    assert sorted(order.tolist()) == list(range(10))
    assert order.tolist() == [0, 9, 6, 7, 2, 4, 5, 3, 1, 8]
    assert order.tolist() != fixed_permutation(10, "training limit").tolist()


# ------------------------------------------------------------------------------------------------------------ built-ins


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


# ------------------------------------------------------------------------------------------------------------ splitting


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


# ---------------------------------------------------------------------------------------------------------- user's data


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
