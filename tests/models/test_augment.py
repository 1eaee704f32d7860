"""Batches of bytes become inputs: the decision's numbers, moved and mirrored by the seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tinyml.core.image_processor import ImageProcessor
from tinyml.models.data.augment import augment, normalise

COLOUR = ImageProcessor(("a", "b"), 9)
GREY = ImageProcessor(("a", "b"), 9, (0.1307,), (0.3081,))
PROCESSORS = pytest.mark.parametrize("processor", [COLOUR, GREY], ids=["colour", "grey"])


def batch(processor: ImageProcessor, count: int = 64) -> torch.Tensor:
    shape = (count, processor.side, processor.side, processor.channels)
    return torch.from_numpy(np.random.default_rng(0).integers(1, 256, shape, np.uint8))


@PROCESSORS
def test_normalised_is_bit_for_bit_what_prediction_gives(processor: ImageProcessor) -> None:
    images = batch(processor)
    made = normalise(images, processor)
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert made.dtype == torch.float32
    np.testing.assert_array_equal(made.numpy(), processor.preprocess(images.numpy()))


@PROCESSORS
def test_nothing_to_do_is_normalise(processor: ImageProcessor) -> None:
    images = batch(processor)
    assert torch.equal(
        augment(images, processor, flip=False, shift=0), normalise(images, processor)
    )


@PROCESSORS
@pytest.mark.parametrize("flip", [False, True])
def test_each_image_is_one_of_the_moved_and_mirrored_ones(
    processor: ImageProcessor, flip: bool
) -> None:
    images, shift, side = batch(processor), 2, processor.side
    made = augment(images, processor, flip=flip, shift=shift)
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert made.shape == (64, processor.channels, side, side)
    seen: set[tuple[int, int, bool]] = set()
    for image, moved in zip(images.numpy(), made.numpy(), strict=True):
        padded = np.pad(image, ((shift, shift), (shift, shift), (0, 0)))
        wanted = {
            (top, left, mirrored): processor.preprocess(
                window[None, :, ::-1] if mirrored else window[None]
            )[0]
            for top in range(5)
            for left in range(5)
            for mirrored in ((False, True) if flip else (False,))
            for window in [padded[top : top + side, left : left + side]]
        }
        same = [place for place, want in wanted.items() if np.array_equal(want, moved)]
        assert len(same) == 1
        seen.add(same[0])
    assert {top for top, _, _ in seen} == {left for _, left, _ in seen} == set(range(5))
    assert {mirrored for _, _, mirrored in seen} == ({False, True} if flip else {False})


def test_the_generator_decides_and_the_global_one_is_left_alone() -> None:
    images = batch(COLOUR)

    def made(seed: int) -> torch.Tensor:
        own = torch.Generator().manual_seed(seed)
        return augment(images, COLOUR, flip=True, shift=4, generator=own)

    before = torch.get_rng_state()
    assert torch.equal(made(1), made(1))
    assert not torch.equal(made(1), made(2))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(5)
    one = augment(images, COLOUR, flip=True, shift=4)
    torch.manual_seed(5)
    assert torch.equal(one, augment(images, COLOUR, flip=True, shift=4))


def test_a_batch_from_a_mapped_file_is_not_written_to(tmp_path: object) -> None:
    path = f"{tmp_path}/images.npy"
    np.save(path, batch(COLOUR).numpy())
    mapped = np.load(path, mmap_mode="c")
    images = torch.from_numpy(mapped)
    augment(images, COLOUR, flip=True, shift=1)
    normalise(images, COLOUR)
    np.testing.assert_array_equal(mapped, batch(COLOUR).numpy())
