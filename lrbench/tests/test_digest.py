"""The digest: equal for equal bits, different for everything else."""

import hashlib
import itertools

import pytest
import torch

from lrbench.trial.digest import digest, digest_model

INF, NAN = float("inf"), float("nan")
# no two of these are the same tensor
DIFFERENT = {
    "ones of even length": torch.tensor([1.0, 1.0]),  # an XOR of either pair is 0
    "twos of even length": torch.tensor([2.0, 2.0]),
    "x": torch.tensor([1.0, 2.0, 3.0]),
    "minus x": torch.tensor([-1.0, -2.0, -3.0]),
    "x permuted": torch.tensor([3.0, 1.0, 2.0]),
    "zero": torch.tensor([0.0]),
    "minus zero": torch.tensor([-0.0]),
    "nothing": torch.tensor([]),
    "a scalar": torch.tensor(0.0),
    "float64": torch.tensor([0.0], dtype=torch.float64),
    "int32": torch.tensor([0], dtype=torch.int32),  # the bytes of float32 zero
    "int64": torch.tensor([0], dtype=torch.int64),
    "bool": torch.tensor([False]),
    "uint8": torch.tensor([0], dtype=torch.uint8),
    "a row": torch.tensor([[1.0, 2.0, 3.0]]),
    "a column": torch.tensor([[1.0], [2.0], [3.0]]),
    "bfloat16": torch.tensor([1.0, 2.0, 3.0], dtype=torch.bfloat16),
    "float16": torch.tensor([1.0, 2.0, 3.0], dtype=torch.float16),
    "infinity": torch.tensor([INF]),
    "minus infinity": torch.tensor([-INF]),
    "nan": torch.tensor([NAN]),
    "one bit more": torch.nextafter(torch.tensor([1.0, 2.0, 3.0]), torch.tensor(INF)),
}


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(DIFFERENT, 2)))
def test_different_tensors_have_different_digests(one, other):
    """Values, signs, order, dtype and shape each make another digest, down to the sign of a zero."""
    assert digest([("w", DIFFERENT[one])]) != digest([("w", DIFFERENT[other])])


@pytest.mark.parametrize("name", DIFFERENT)
def test_equal_tensors_have_equal_digests(name):
    """A copy of a tensor has its digest: nothing of the object or its memory goes in."""
    assert digest([("w", DIFFERENT[name])]) == digest([("w", DIFFERENT[name].clone())])


def test_it_is_the_sha256_that_the_docstring_names():
    """Name, dtype and shape stand before the bytes, so that another program can check a digest."""
    assert digest([("w", torch.tensor([1.0], dtype=torch.float32))]) == (
        hashlib.sha256(b"w|torch.float32|(1,)|" + bytes([0, 0, 0x80, 0x3F])).hexdigest()
    )


def test_names_and_their_order_count():
    """The same values under another name, in another order, or split in another place are another digest."""
    a, b = torch.tensor([1.0]), torch.tensor([2.0])
    digests = {
        digest([("a", a), ("b", b)]),
        digest([("b", b), ("a", a)]),
        digest([("a", b), ("b", a)]),
        digest([("a", a), ("c", b)]),
        digest([("a", torch.tensor([1.0, 2.0]))]),
        digest([("a", a)]),
        digest([]),
    }
    assert len(digests) == 7


def test_memory_format_and_strides_do_not_count():
    """channels_last, a transposed view and a slice have the digest of the same values laid out plainly."""
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5)
    assert digest([("x", images)]) == digest([("x", images.to(memory_format=torch.channels_last))])
    assert digest([("x", images[0, 0].T)]) == digest([("x", images[0, 0].T.contiguous())])
    assert digest([("x", images[:, 1:2])]) == digest([("x", images[:, 1:2].clone())])
    assert digest([("x", images[0, 0, 0, ::2])]) == digest([("x", torch.tensor([0.0, 2.0, 4.0]))])


def test_gradients_do_not_count():
    """A parameter has the digest of its values."""
    values = torch.tensor([1.0, 2.0])
    assert digest([("w", torch.nn.Parameter(values))]) == digest([("w", values)])


def test_a_model_is_its_parameters_and_buffers_by_name():
    """Every parameter and every buffer counts: running statistics as well as weights."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    before = digest_model(model)
    assert before == digest_model(model)
    for key in model.state_dict():
        changed = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
        changed.load_state_dict(model.state_dict())
        assert digest_model(changed) == before
        changed.state_dict()[key].add_(1)
        assert digest_model(changed) != before, key


def test_training_mode_does_not_count():
    """A model evaluates and trains with the same digest: no value changes."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Dropout(0.5))
    assert digest_model(model.train()) == digest_model(model.eval())
