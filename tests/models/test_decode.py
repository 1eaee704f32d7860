"""An image file becomes the same pixels wherever it is read; a broken one is named."""

from __future__ import annotations

import io

import numpy as np
import pytest
from images import jpeg
from PIL import Image

from tinyml.core.errors import DataError
from tinyml.models.data.decode import decode


def png(pixels: np.ndarray, **more: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **more)
    return stream.getvalue()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_an_image_of_the_right_size_keeps_its_bytes() -> None:
    pixels = noise(12, 12, 3)
    np.testing.assert_array_equal(decode(png(pixels), 12, 3), pixels)
    np.testing.assert_array_equal(decode(png(pixels[..., 0]), 12, 1)[..., 0], pixels[..., 0])


def test_the_centre_of_a_long_image_is_taken() -> None:
    pixels = noise(12, 20, 3)
    np.testing.assert_array_equal(decode(png(pixels), 12, 3), pixels[:, 4:16])
    tall = noise(31, 8, 3)
    np.testing.assert_array_equal(decode(png(tall), 8, 3), tall[11:19])


def test_the_shorter_side_becomes_the_side_without_aliasing() -> None:
    stripes = np.zeros((64, 100, 3), np.uint8)
    stripes[:, ::2] = 255
    made = decode(png(stripes), 16, 3)
    assert made.shape == (16, 16, 3)
    assert np.abs(made[:, 1:-1].astype(int) - 127).max() < 12
    assert decode(png(noise(5, 7, 3)), 16, 3).shape == (16, 16, 3)


@pytest.mark.parametrize("size", [(33, 47), (47, 33), (1, 100), (100, 1), (16, 17), (227, 341)])
def test_any_size_gives_a_square(size: tuple[int, int]) -> None:
    assert decode(png(noise(*size, 3)), 16, 3).shape == (16, 16, 3)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_jpegs_become_colour(mode: str) -> None:
    made = decode(jpeg(1, (16, 16), mode), 16, 3)
    plain = decode(jpeg(1, (16, 16)), 16, 3)
    assert made.shape == (16, 16, 3)
    if mode == "L":
        assert np.array_equal(made[..., 0], made[..., 2])
    else:
        assert np.abs(made.astype(int) - plain).mean() < 12


def test_colour_becomes_grey_by_luminance() -> None:
    pixels = noise(8, 8, 3)
    made = decode(png(pixels), 8, 1)[..., 0]
    assert np.abs(made - pixels @ np.array([0.299, 0.587, 0.114])).max() < 1.5


def test_transparency_is_dropped_and_sixteen_bits_are_scaled() -> None:
    clear = noise(8, 8, 4)
    np.testing.assert_array_equal(decode(png(clear), 8, 3), clear[..., :3])
    deep = noise(8, 8).astype(np.uint16) * 257
    np.testing.assert_array_equal(decode(png(deep), 8, 1)[..., 0], noise(8, 8))


def test_the_cameras_orientation_is_applied() -> None:
    pixels = noise(8, 8, 3)
    turned = Image.Exif()
    turned[0x0112] = 6
    np.testing.assert_array_equal(decode(png(pixels, exif=turned), 8, 3), np.rot90(pixels, -1))


def test_whatever_is_broken_is_named_in_one_line() -> None:
    whole = {"JPEG": jpeg(1, (40, 40)), "PNG": jpeg(1, (40, 40), kind="PNG")}
    bad = [b"", b"hello", b"GIF89a" + bytes(50), b"%!PS-Adobe-3.0 EPSF"]
    bad += [content[:n] for content in whole.values() for n in (8, 30, 200, len(content) // 2)]
    for content in bad:
        with pytest.raises(DataError, match=r"^a\.jpg is ") as caught:
            decode(content, 8, 3, name="a.jpg")
        assert "\n" not in caught.value.message
        assert "0x" not in caught.value.message


def test_no_change_of_bytes_is_a_crash() -> None:
    random = np.random.default_rng(0)
    for content in (jpeg(1, (24, 24)), jpeg(1, (24, 24), kind="PNG"), jpeg(1, kind="BMP")):
        for _ in range(300):
            changed = bytearray(content)
            for at in random.integers(0, len(changed), 3):
                changed[at] = random.integers(256)
            try:
                assert decode(bytes(changed), 8, 3).shape == (8, 8, 3)
            except DataError:
                continue
