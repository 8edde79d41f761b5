"""The batched crop, flip and normalisation: one image after another, by hand, and on CUDA."""

import numpy as np
import pytest
import torch

from lrbench.tests.helpers.arrays import levels
from lrbench.trial.data import augmentation, batch, normalise


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
