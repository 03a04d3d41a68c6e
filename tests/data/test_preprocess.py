"""Preprocessing: against an independent computation, and its errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from intaglio.data.preprocess import (
    MAX_PIXELS,
    Preprocess,
    apply,
    describe,
    parse_preprocess,
    preprocess_text,
    to_channels,
)
from intaglio.errors import DataError, RequestError

IMAGENET = Preprocess(256, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
IMAGENET_CROP_ONLY = Preprocess(crop=224)


def antialiased_bilinear(values: np.ndarray, size: int) -> np.ndarray:
    """Resample axis 0 in float64 with a triangle filter as wide as the reduction asks for."""
    factor = len(values) / size
    width = max(factor, 1.0)
    centres = (np.arange(size) + 0.5) * factor
    distances = np.abs(np.arange(len(values))[None, :] + 0.5 - centres[:, None]) / width
    weights = np.clip(1.0 - distances, 0.0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.tensordot(weights, values, axes=(1, 0))


def test_a_photograph_is_resized_cropped_and_normalized_as_computed_by_hand(
    data_pack: Path,
) -> None:
    file = sorted((data_pack / "coco128" / "images").iterdir())[0]
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB")).astype(np.float64)  # [H, W, 3]
        found = apply(IMAGENET, image, (1, 3, 224, 224))
    shorter = min(pixels.shape[:2])
    height, width = (256 * side // shorter for side in pixels.shape[:2])

    rows = antialiased_bilinear(pixels, height)
    resized = antialiased_bilinear(rows.transpose(1, 0, 2), width).transpose(1, 0, 2)
    top, left = round((height - 224) / 2), round((width - 224) / 2)
    cropped = resized[top : top + 224, left : left + 224]
    expected = (cropped / 255 - IMAGENET.mean) / IMAGENET.std  # [224, 224, 3]

    # Pillow rounds to bytes after each of the two directions: at most 1 + a little of a byte.
    assert np.abs(found.numpy().transpose(1, 2, 0) - expected).max() < 1.1 / 255 / 0.224
    assert found.dtype == torch.float32


def test_a_crop_without_resize_keeps_every_pixel_of_a_real_image(data_pack: Path) -> None:
    file = sorted((data_pack / "imagenet" / "val227").iterdir())[0]
    preprocess = Preprocess(None, 224, (0.5,), (0.5,))
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB"))
        found = apply(preprocess, image, (1, 3, 224, 224)).numpy()

    cropped = pixels[2:226, 2:226].astype(np.float32)  # (227 - 224) / 2 rounds half to even: 2
    expected = (cropped / np.float32(255) - np.float32(0.5)) / np.float32(0.5)

    assert np.array_equal(found, expected.transpose(2, 0, 1))


@given(st.integers(8, 40), st.integers(8, 40), st.integers(1, 8))
def test_the_crop_is_centred_to_within_a_pixel(width: int, height: int, crop: int) -> None:
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    image = Image.fromarray(np.stack([columns, rows, rows], axis=2).astype(np.uint8))

    found = apply(Preprocess(crop=crop), image, (1, 3, crop, crop)) * 255

    assert abs(found[0].mean().item() - (width - 1) / 2) <= 0.5 + 1e-4
    assert abs(found[1].mean().item() - (height - 1) / 2) <= 0.5 + 1e-4


def test_with_nothing_set_the_values_are_bytes_over_255_in_the_order_red_green_blue() -> None:
    image = Image.new("RGB", (2, 1), (255, 51, 0))

    found = apply(Preprocess(), image, (1, 3, 1, 2))

    expected = torch.tensor([[[1.0, 1.0]], [[0.2, 0.2]], [[0.0, 0.0]]])
    assert torch.equal(found, expected)


def test_one_number_serves_all_channels() -> None:
    image = Image.new("RGB", (1, 1), (255, 255, 255))

    one = apply(Preprocess(mean=(0.5,), std=(0.25,)), image, (1, 3, 1, 1))
    three = apply(Preprocess(mean=(0.5,) * 3, std=(0.25,) * 3), image, (1, 3, 1, 1))

    assert one.flatten().tolist() == [2.0, 2.0, 2.0]
    assert torch.equal(one, three)


def test_one_input_channel_gets_the_luma() -> None:
    image = Image.new("RGB", (1, 1), (100, 50, 200))

    found = apply(Preprocess(), image, (1, 1, 1, 1))

    assert found.shape == (1, 1, 1)
    luma = 0.299 * 100 + 0.587 * 50 + 0.114 * 200
    assert abs(found.item() * 255 - luma) <= 0.51  # rounded to a byte


def test_an_image_of_the_right_size_is_not_resampled_by_resize() -> None:
    generator = np.random.default_rng(0)
    image = Image.fromarray(generator.integers(0, 256, (9, 15, 3), dtype=np.uint8))

    resized = apply(Preprocess(resize=9, crop=9), image, (1, 3, 9, 9))

    assert torch.equal(resized, apply(Preprocess(crop=9), image, (1, 3, 9, 9)))


def test_sixteen_bits_keep_the_high_byte_and_transparency_is_dropped() -> None:
    deep = Image.fromarray(np.array([[0x12FF, 0xFF00]], dtype=np.uint16))
    clear = Image.new("RGBA", (1, 1), (10, 20, 30, 0))
    palette = Image.new("P", (1, 1), 0)
    palette.putpalette([10, 20, 30])
    palette.info["transparency"] = b"\0"

    assert list(to_channels(deep, 1, name="deep").tobytes()) == [0x12, 0xFF]
    for image in (clear, palette):
        assert to_channels(image, 3, name="clear").getpixel((0, 0)) == (10, 20, 30)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
@pytest.mark.parametrize("channels", [1, 3])
def test_all_usual_modes_are_converted(mode: str, channels: int) -> None:
    image = to_channels(Image.new(mode, (3, 2)), channels, name="image")

    assert image.mode == {1: "L", 3: "RGB"}[channels]


@pytest.mark.parametrize("mode", ["I", "F", "LAB"])
def test_pixels_that_cannot_be_converted_are_refused(mode: str) -> None:
    with pytest.raises(DataError, match=rf"deep\.tif: pixels of .*mode {mode}\b"):
        to_channels(Image.new(mode, (3, 2)), 1, name="deep.tif")


def test_an_image_smaller_than_the_crop_is_an_error_with_sizes_and_remedy() -> None:
    with pytest.raises(DataError) as caught:
        apply(IMAGENET_CROP_ONLY, Image.new("RGB", (200, 300)), (1, 3, 224, 224), name="a/b.jpg")

    message = str(caught.value)
    for part in ("a/b.jpg", "200x300", "224", "--preprocess resize=256"):
        assert part in message


@pytest.mark.parametrize(
    ("preprocess", "shape", "remedy"),
    [
        (Preprocess(), (1, 3, 224, 224), "--preprocess resize=256,crop=224"),
        (Preprocess(resize=256), (1, 3, 224, 224), "--preprocess crop=224"),
        (Preprocess(crop=32), (1, 3, 28, 28), "--preprocess resize=32,crop=28"),
        (Preprocess(), (1, 3, 20, 28), "exactly that size"),
    ],
)
def test_another_size_than_the_network_takes_is_an_error_with_a_remedy(
    preprocess: Preprocess, shape: tuple[int, ...], remedy: str
) -> None:
    with pytest.raises(DataError, match=r"x\.png: the image is") as caught:
        apply(preprocess, Image.new("RGB", (64, 48)), shape, name="x.png")

    assert remedy in str(caught.value)


def test_a_sliver_that_would_become_huge_is_refused_before_it_is_made() -> None:
    with pytest.raises(DataError, match=str(MAX_PIXELS)):
        apply(Preprocess(resize=256), Image.new("L", (1, 60_000)), (1, 1, 256, 256), name="sliver")


@pytest.mark.parametrize("shape", [(1, 2, 8, 8), (3, 8, 8), (1, 3, 0, 8), (1, 4, 8, 8), ()])
def test_inputs_that_are_no_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="Python API"):
        apply(Preprocess(), Image.new("RGB", (8, 8)), shape)


def test_three_numbers_do_not_fit_one_channel() -> None:
    with pytest.raises(DataError, match="mean has 3 numbers, but the network's input has 1"):
        apply(IMAGENET, Image.new("L", (300, 300)), (1, 1, 224, 224))


def test_a_text_replaces_only_the_parts_it_names() -> None:
    assert parse_preprocess("resize=none", IMAGENET) == Preprocess(
        None, 224, IMAGENET.mean, IMAGENET.std
    )
    assert parse_preprocess(" crop = 192 , std=none,mean=0.5", IMAGENET) == Preprocess(
        256, 192, (0.5,), ()
    )
    everything = "resize=256,crop=224,mean=0.485/0.456/0.406,std=0.229/0.224/0.225"
    assert parse_preprocess(everything, Preprocess()) == IMAGENET


positive = st.floats(1e-3, 1e3)


@given(
    st.integers(32, 999),
    st.integers(1, 32),
    st.lists(positive, min_size=3, max_size=3),
    positive,
)
def test_what_is_written_as_text_is_read_back(
    resize: int, crop: int, mean: list[float], std: float
) -> None:
    text = f"resize={resize},crop={crop},mean={'/'.join(map(repr, mean))},std={std!r}"

    assert parse_preprocess(text, IMAGENET) == Preprocess(resize, crop, tuple(mean), (std,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resise=256", "unknown preprocess part 'resise': did you mean resize?"),
        ("gamma=2", "unknown preprocess part 'gamma': known: resize, crop, mean, std"),
        ("crop", "'crop' is not PART=VALUE"),
        ("", "'' is not PART=VALUE"),
        ("crop=224,", "'' is not PART=VALUE"),
        ("crop=1,crop=2", "crop is given twice"),
        ("crop=22.5", "crop='22.5' is not a whole number"),
        ("crop=-3", "crop='-3' is not a whole number"),
        ("crop=٣", "is not a whole number"),
        ("crop=" + "9" * 5000, "is not a whole number"),
        ("resize=0", "resize=0: give 1 pixel or more"),
        ("resize=200", "resize=200,crop=224: the crop is larger than the resized image"),
        ("mean=a/b/c", "mean='a/b/c' is not a number"),
        ("mean=0.5/0.5", "mean has 2 numbers"),
        ("std=1/1/1/1", "std has 4 numbers"),
        ("std=0.2/0/0.2", "std: 0 is not within"),
        ("std=-1", "std: -1 is not within"),
        ("std=nan", "std: nan is not within"),
        ("mean=inf", "mean: inf is not within"),
    ],
)
def test_a_text_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_preprocess(text, IMAGENET)

    assert message in str(caught.value)


def test_the_description_is_made_of_json_values() -> None:
    assert describe(Preprocess(crop=224, std=(0.5,))) == {
        "resize": None,
        "crop": 224,
        "mean": None,
        "std": [0.5],
    }


def test_fit_puts_the_whole_picture_on_the_input_whatever_its_sides() -> None:
    picture = Image.new("RGB", (40, 20), (255, 0, 51))

    stretched = apply(Preprocess(fit="stretch"), picture, (1, 3, 30, 10))
    boxed = apply(Preprocess(fit="letterbox", mean=(0.5,), std=(0.5,)), picture, (1, 3, 20, 20))

    assert stretched.shape == (3, 30, 10)
    assert (stretched == torch.tensor([1.0, 0.0, 0.2]).reshape(3, 1, 1)).all()
    assert boxed.shape == (3, 20, 20)
    assert (boxed[0, 5:15] == 1.0).all()  # (1 - 0.5) / 0.5
    grey = (torch.tensor(114.0) / 255 - 0.5) / 0.5
    assert (boxed[:, :5] == grey).all()  # bars are normalized as the picture is
    assert (boxed[:, 15:] == grey).all()


def test_fit_is_parsed_described_and_turned_off() -> None:
    detector = Preprocess(mean=(0.5,), fit="stretch")

    assert parse_preprocess("fit=letterbox", Preprocess()) == Preprocess(fit="letterbox")
    assert parse_preprocess("fit=none", detector) == Preprocess(mean=(0.5,))
    assert parse_preprocess("mean=none", detector) == Preprocess(fit="stretch")
    cropped = parse_preprocess("fit=none,resize=64,crop=32", detector)
    assert cropped == Preprocess(64, 32, (0.5,))
    assert describe(detector)["fit"] == "stretch"
    assert "fit" not in describe(IMAGENET)  # reports of classifiers are as they were


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(fit="letterbox"),
        Preprocess(mean=(0.1, 1 / 3, 0.3), std=(1 / 255,), fit="stretch"),
        IMAGENET,
        Preprocess(),
    ],
)
def test_the_text_of_a_preprocessing_parses_to_it_again(preprocess: Preprocess) -> None:
    assert parse_preprocess(preprocess_text(preprocess), Preprocess()) == preprocess


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fit=strech", "preprocess fit=strech: known: stretch, letterbox and none"),
        ("fit=", "preprocess fit=: known"),
        ("fit=letterbox,crop=32", "give resize=none,crop=none beside it, or fit=none"),
        ("fit=letterbox,fit=none", "fit is given twice"),
        ("fitt=letterbox", "did you mean fit"),
    ],
)
def test_a_wrong_fit_is_refused_with_what_there_is(text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        parse_preprocess(text, Preprocess())


def test_fit_over_a_classifiers_own_preprocessing_is_refused_with_the_way_on() -> None:
    with pytest.raises(RequestError, match="resize=none,crop=none"):
        parse_preprocess("fit=stretch", IMAGENET)

    whole = parse_preprocess("resize=none,crop=none,fit=stretch", IMAGENET)
    assert (whole.resize, whole.crop, whole.fit) == (None, None, "stretch")
