"""What is done to a photograph before a network sees it: resize, centre crop, scale, normalize.

The order is fixed, and it is the one that ImageNet networks are commonly evaluated with:

1. the image becomes RGB, or grayscale for a network with one input channel;
2. `resize`: the shorter side gets this many pixels, the longer side in proportion, rounded down
   (Pillow's bilinear filter, which widens with the reduction and so does not alias);
3. `crop`: a square of this many pixels is cut from the centre; where the margin is odd, the offset
   is rounded half to even, as torchvision's CenterCrop does (227 to 224: 2 pixels off at the left);
4. the bytes 0..255 become float32 in 0..1, then (value - mean) / std per channel, in float32.

In place of 2 and 3 `fit` puts the whole picture on the network's input: `stretch` resizes each side
by itself, `letterbox` both by one factor, with grey bars beside the picture (fit.py).

A camera's orientation tag (EXIF) is not obeyed and a colour profile is not applied: the networks
were trained that way. Of an animation the first frame is taken. Transparency is dropped.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from intaglio.data.fit import FITS, Sides, fit
from intaglio.errors import DataError, RequestError

# 256 MiB of RGB bytes. Pillow only warns there; no photograph for a small network needs more.
MAX_PIXELS = 89_478_485

_PARTS = ("resize", "crop", "mean", "std", "fit")
_CHANNEL_COUNTS = (1, 3)
# Beyond these a float32 activation would lose all digits or become infinite.
_LARGEST_MEAN = 1e6
_STD_RANGE = (1e-6, 1e6)


@dataclass(frozen=True)
class Preprocess:
    """What is done to an image; a part that is None or empty is not done.

    With nothing set the network gets RGB / 255, values 0..1, of images that have its input size.

    Attributes:
        resize: Pixels of the shorter side after resizing, or None.
        crop: Pixels of each side of the centre crop, or None; never more than `resize`.
        mean: Subtracted after the division by 255; one number a channel or one for all.
        std: Divided by after that; one number a channel or one for all; > 0.
        fit: "stretch" or "letterbox": the whole picture on the network's input, in place of
            `resize` and `crop`.

    Raises:
        RequestError: If a number is out of its range, `crop` is larger than `resize`, or one of
            them is given beside `fit`.
    """

    resize: int | None = None
    crop: int | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    fit: str | None = None

    def __post_init__(self) -> None:
        for part, pixels in (("resize", self.resize), ("crop", self.crop)):
            if pixels is not None and pixels < 1:
                raise RequestError(f"preprocess {part}={pixels}: give 1 pixel or more, or none")
        if self.resize is not None and self.crop is not None and self.crop > self.resize:
            raise RequestError(
                f"preprocess resize={self.resize},crop={self.crop}: the crop is larger than the"
                f" resized image; give resize={self.crop} or more, or resize=none"
            )
        if self.fit is not None:
            self._check_fit(self.fit)
        _check_numbers("mean", self.mean, -_LARGEST_MEAN, _LARGEST_MEAN)
        _check_numbers("std", self.std, *_STD_RANGE)

    def _check_fit(self, kind: str) -> None:
        if kind not in FITS:
            raise RequestError(f"preprocess fit={kind}: known: {', '.join(FITS)} and none")
        if self.resize is not None or self.crop is not None:
            raise RequestError(
                f"preprocess fit={kind} takes the whole picture, resize and crop a part of it: give"
                " resize=none,crop=none beside it, or fit=none"
            )


def _check_numbers(part: str, numbers: tuple[float, ...], low: float, high: float) -> None:
    if numbers and len(numbers) not in _CHANNEL_COUNTS:
        raise RequestError(
            f"preprocess {part} has {len(numbers)} numbers; give one for all channels,"
            f" or three (red/green/blue)"
        )
    for number in numbers:
        if not (math.isfinite(number) and low <= number <= high):
            raise RequestError(f"preprocess {part}: {number:g} is not within {low:g} to {high:g}")


def parse_preprocess(text: str, base: Preprocess) -> Preprocess:
    """Return `base` with the parts that `text` names replaced.

    Args:
        text: Such as "resize=256,crop=224,mean=0.485/0.456/0.406,std=0.229/0.224/0.225". Each part
            at most once, in any order; `none` turns a part off; one number serves all channels.
        base: The network's own preprocessing, or Preprocess() where it has none.

    Raises:
        RequestError: If a part is unknown, given twice, or is not what `Preprocess` allows.
    """
    parts: dict[str, str] = {}
    for piece in text.split(","):
        part, equals, value = (side.strip() for side in piece.partition("="))
        if not equals:
            raise RequestError(
                f"preprocess '{piece.strip()}' is not PART=VALUE, such as crop=224 or resize=none"
            )
        if part not in _PARTS:
            near = difflib.get_close_matches(part, _PARTS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_PARTS)}"
            raise RequestError(f"unknown preprocess part '{part}': {hint}")
        if part in parts:
            raise RequestError(f"preprocess {part} is given twice in '{text}'")
        parts[part] = value
    return replace(
        base,
        resize=_parse_pixels("resize", parts["resize"]) if "resize" in parts else base.resize,
        crop=_parse_pixels("crop", parts["crop"]) if "crop" in parts else base.crop,
        mean=_parse_numbers("mean", parts["mean"]) if "mean" in parts else base.mean,
        std=_parse_numbers("std", parts["std"]) if "std" in parts else base.std,
        fit=_parse_word(parts["fit"]) if "fit" in parts else base.fit,
    )


def _parse_pixels(part: str, value: str) -> int | None:
    if value == "none":
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 6):
        raise RequestError(
            f"preprocess {part}='{value}' is not a whole number of pixels below 1000000, nor none"
        )
    return int(value)


def _parse_numbers(part: str, value: str) -> tuple[float, ...]:
    if value == "none":
        return ()
    try:
        return tuple(float(number) for number in value.split("/"))
    except ValueError:
        raise RequestError(
            f"preprocess {part}='{value}' is not a number, nor three like 0.5/0.5/0.5, nor none"
        ) from None


def _parse_word(value: str) -> str | None:
    return None if value == "none" else value


def describe(preprocess: Preprocess) -> dict[str, int | str | list[float] | None]:
    """Return the parts as JSON values for reports; None stands for a part that is not done.

    `fit` is among them only where it is done: classifiers have none.
    """
    parts: dict[str, int | str | list[float] | None] = {
        "resize": preprocess.resize,
        "crop": preprocess.crop,
        "mean": list(preprocess.mean) or None,
        "std": list(preprocess.std) or None,
    }
    return parts if preprocess.fit is None else {**parts, "fit": preprocess.fit}


def preprocess_text(preprocess: Preprocess) -> str:
    """Return the text for --preprocess that says all parts."""
    return described_text(describe(preprocess))


def described_text(described: Mapping[str, Any]) -> str:
    """Return the text for --preprocess of what `describe` returned, or a report says."""
    parts = {
        name: "/".join(map(repr, value)) if isinstance(value, list) else value or "none"
        for name, value in described.items()
    }
    return ",".join(f"{name}={value}" for name, value in parts.items())


def apply(
    preprocess: Preprocess, image: Image.Image, input_shape: Sequence[int], *, name: str = "image"
) -> Tensor:
    """Return what the network sees of one image: [C, H, W] float32, channels R, G, B.

    Args:
        preprocess: What to do.
        image: Any mode that `to_channels` takes; it is not changed.
        input_shape: The network's input (any, C, H, W) with C of 1 (grayscale) or 3 (RGB).
        name: The file or row, for error messages.

    Raises:
        DataError: If the image is smaller than the crop, or what comes out is not H x W.
    """
    return torch.from_numpy(apply_as_array(preprocess, image, input_shape, name=name))


def apply_as_array(
    preprocess: Preprocess, image: Image.Image, input_shape: Sequence[int], *, name: str
) -> NDArray[np.float32]:
    """Do what `apply` does, as a NumPy array [C, H, W].

    NumPy works on one thread; torch would start a second pool of threads in a decoding thread.
    """
    channels, height, width = check_input_shape(input_shape)
    image = to_channels(image, channels, name=name)
    if preprocess.fit is not None:
        image = fit(image, preprocess.fit, (width, height))
    else:
        image = _crop(preprocess, _resize(preprocess, image, name), name)
    if image.size != (width, height):
        raise DataError(_wrong_size(preprocess, image.size, (width, height), name))
    pixels = np.asarray(image).reshape(height, width, channels)  # [H, W, C]
    return _normalize(preprocess, np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def check_input_shape(input_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return (channels, height, width) of an image network's input shape [N, C, H, W].

    Raises:
        DataError: If the shape has not four sizes, or images cannot have that many channels.
    """
    shape = tuple(input_shape)
    if len(shape) != 4 or shape[1] not in _CHANNEL_COUNTS or min(shape[2:]) < 1:
        raise DataError(
            f"image files cannot feed a network whose input is {list(shape)}: it must be"
            f" [1, 3, H, W] or [1, 1, H, W]; give other inputs as tensors through the Python API"
        )
    return shape[1], shape[2], shape[3]


def to_channels(image: Image.Image, channels: int, *, name: str) -> Image.Image:
    """Return the image with 8 bits in each of 3 (RGB) or 1 (luma, ITU-R 601-2) channels.

    Grayscale of 16 bits keeps its high byte. CMYK is converted without a colour profile.

    Raises:
        DataError: If the pixels have no known range (32-bit integer or float) or no such colours.
    """
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise DataError(
            f"{name}: pixels of 32 bits (mode {image.mode}) have no known range;"
            f" save it with 8 or 16 bits"
        )
    elif image.mode == "P" and "transparency" in image.info:
        # Pillow warns when it drops a palette's transparency in one step; the colours are the same.
        image = image.convert("RGBA")
    mode = "RGB" if channels == 3 else "L"
    try:
        return image if image.mode == mode else image.convert(mode)
    except ValueError:
        raise DataError(
            f"{name}: pixels of mode {image.mode} cannot become {mode}; save it as RGB or grayscale"
        ) from None


def resized_sides(preprocess: Preprocess, sides: Sides) -> Sides:
    """Return (width, height) after `resize` of a picture that has `sides` before it."""
    if preprocess.resize is None:
        return sides
    shorter = min(sides)
    return preprocess.resize * sides[0] // shorter, preprocess.resize * sides[1] // shorter


def crop_corner(preprocess: Preprocess, sides: Sides) -> Sides:
    """Return (left, top) of the centre crop in a picture that has `sides`; (0, 0) without one."""
    if preprocess.crop is None:
        return 0, 0
    left, top = (round((side - preprocess.crop) / 2) for side in sides)
    return left, top


def _resize(preprocess: Preprocess, image: Image.Image, name: str) -> Image.Image:
    if preprocess.resize is None:
        return image
    width, height = resized_sides(preprocess, image.size)
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{name}: {_size(image.size)} pixels would become {width}x{height} with"
            f" resize={preprocess.resize}, more than {MAX_PIXELS} pixels; crop the file"
        )
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _crop(preprocess: Preprocess, image: Image.Image, name: str) -> Image.Image:
    crop = preprocess.crop
    if crop is None:
        return image
    if min(image.size) < crop:
        raise DataError(
            f"{name}: the image is {_size(image.size)} pixels, too small for the crop of {crop};"
            f" give larger images or enlarge them, e.g. --preprocess resize={_usual_resize(crop)}"
        )
    left, top = crop_corner(preprocess, image.size)
    return image.crop((left, top, left + crop, top + crop))


def _normalize(preprocess: Preprocess, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (pixels / 255 - mean) / std in float32; pixels [C, H, W]."""
    values = pixels.astype(np.float32)
    values /= np.float32(255)
    if preprocess.mean:
        values -= _per_channel("mean", preprocess.mean, len(values))
    if preprocess.std:
        values /= _per_channel("std", preprocess.std, len(values))
    return values


def _per_channel(part: str, numbers: tuple[float, ...], channels: int) -> NDArray[np.float32]:
    """Return the numbers as [C, 1, 1], or [1, 1, 1] where one serves all."""
    if len(numbers) not in (1, channels):
        raise DataError(
            f"preprocess {part} has {len(numbers)} numbers, but the network's input has {channels}"
            f" channel; give one number, e.g. --preprocess {part}={numbers[0]:g}"
        )
    return np.asarray(numbers, dtype=np.float32).reshape(-1, 1, 1)


def _wrong_size(
    preprocess: Preprocess, size: tuple[int, int], wanted: tuple[int, int], name: str
) -> str:
    done = " and ".join(
        f"{part}={pixels}"
        for part, pixels in (("resize", preprocess.resize), ("crop", preprocess.crop))
        if pixels is not None
    )
    found = f"{name}: the image is {_size(size)} pixels{f' after {done}' if done else ''}"
    if wanted[0] != wanted[1]:
        return (
            f"{found}, but the network takes {_size(wanted)}; a crop is square, so give images of"
            f" exactly that size with --preprocess resize=none,crop=none"
        )
    side = wanted[0]
    remedy = f"--preprocess resize={_usual_resize(side)},crop={side}"
    if preprocess.resize is not None and preprocess.resize >= side:
        remedy = f"--preprocess crop={side}"
    return (
        f"{found}, but the network takes {_size(wanted)}; give {remedy}, or another --input-shape"
    )


def _usual_resize(crop: int) -> int:
    """Return the shorter side that goes with a crop by ImageNet's custom, 256 for 224."""
    return round(crop * 256 / 224)


def _size(size: tuple[int, int]) -> str:
    """Return a Pillow size (width, height) as text."""
    return f"{size[0]}x{size[1]}"
