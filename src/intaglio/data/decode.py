"""The bytes of an image file, which nobody vouches for, become a Pillow image or an error.

The format is told by the first bytes, never by the name, and only the formats below are tried: a
file cannot choose one of Pillow's rarer parsers. The plugin is called directly, because
`Image.open` merely warns about an image that is too large, and warning filters are shared by all
threads. Bytes cut from the end of a file are an error as soon as a pixel is missing. The checksums
of a PNG are compared, those of its pixels here, as Pillow reads over them; the other formats have
none, and damage in the middle of a JPEG's data that its decoder can read over is not seen.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from torch import Tensor

from intaglio.data.dataset import Item, Label, Source
from intaglio.data.mask import Mask, UnreadMask
from intaglio.data.pictured import Pictured
from intaglio.data.placed import placed, placement
from intaglio.data.preprocess import MAX_PIXELS, Preprocess, apply_as_array, to_channels
from intaglio.data.truth import Truth
from intaglio.errors import DataError, RequestError

# File endings, in lower case, that a folder is searched for.
IMAGE_ENDINGS = (
    ".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm",
)  # fmt: skip

_PLUGINS: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
    (b"RIFF", WebPImagePlugin.WebPImageFile),
    (b"II*\0", TiffImagePlugin.TiffImageFile),
    (b"MM\0*", TiffImagePlugin.TiffImageFile),
    *((b"P%d" % kind, PpmImagePlugin.PpmImageFile) for kind in range(1, 7)),
)
_LONGEST_SIGNATURE = 8
_READ_AT_ONCE = 2**16
_SKIP_HINT = "repair or remove it, or go on without it with --skip-bad-images"


class UnreadableImage(DataError):
    """One image that cannot be used: `--skip-bad-images` goes on past it and counts it."""


def decode(item: Item, channels: int) -> Image.Image:
    """Return the image with 8 bits in each of 3 (RGB) or 1 (grayscale) channels, not rotated.

    Raises:
        UnreadableImage: As `stored_image`; if its pixels have an unknown range.
        DataError, RequestError: As `stored_image`.
    """
    image = stored_image(item.source)
    try:
        return to_channels(image, channels, name=str(item.source))
    except DataError as error:
        raise UnreadableImage(f"{error}; {_SKIP_HINT}") from None


def stored_image(source: Source) -> Image.Image:
    """Return an image with the pixels and the palette of its file, decoded, not rotated.

    Raises:
        UnreadableImage: If the bytes cannot be read, are no image, are cut off or corrupt, or if
            the image has more than MAX_PIXELS pixels.
        DataError: If the file that holds it among others is corrupt.
        RequestError: If Pillow was told to accept truncated images, which would go unnoticed.
    """
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise RequestError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is switched on, so a truncated image would pass"
            " unnoticed; remove the line that sets it, in your model's module or what it imports"
        )
    try:
        file = source.open()
    except OSError as error:
        raise _unreadable(source, error) from error
    with file:
        return _decode_file(file, source)


def decode_as_array(
    item: Item, preprocess: Preprocess, input_shape: Sequence[int]
) -> tuple[NDArray[np.float32], Label]:
    """Return what the network sees of one image, [C, H, W], and its label.

    A label of boxes then knows where the picture lies in that; so does a mask, which is read now.

    Args:
        item: The image.
        preprocess: What is done to it.
        input_shape: The network's input (any, C, H, W), C of 1 or 3.

    Raises:
        UnreadableImage: As `decode`, of the image and of the file of its mask.
        DataError: As `decode`; if the image has not the size for the preprocessing, or its boxes
            or its mask are for another; if its mask holds what is no class.
        RequestError: As `decode`.
    """
    image = decode(item, input_shape[1])
    name, label = str(item.source), item.label
    seen = apply_as_array(preprocess, image, input_shape, name=name)
    size = (image.height, image.width)
    if isinstance(label, UnreadMask):
        shown = np.asarray(image.convert("RGB")) if isinstance(label, Pictured) else None
        label = Mask(label.read(size, name), placement(preprocess, size, input_shape), shown)
    elif isinstance(label, Truth):
        label = placed(label, size, (preprocess, input_shape), name=name)
    return seen, label


def batch_labels(labels: Sequence[Label]) -> Tensor | list[Truth] | list[Mask] | None:
    """Return the labels of a batch: class indices [N] int64, boxes or masks; None: one lacks."""
    indices = [label for label in labels if isinstance(label, int)]
    truths = [label for label in labels if isinstance(label, Truth)]
    if labels and len(truths) == len(labels):
        return truths
    masks = [label for label in labels if isinstance(label, Mask)]
    if labels and len(masks) == len(labels):
        return masks
    return torch.tensor(indices, dtype=torch.int64) if len(indices) == len(labels) else None


def _decode_file(file: IO[bytes], source: Source) -> Image.Image:
    try:
        signature = file.read(_LONGEST_SIGNATURE)
        plugin = _plugin(signature, source)
        if plugin is PngImagePlugin.PngImageFile:
            _check_png_pixels(file)
        file.seek(0)
        image = plugin(file)
        _check_size(image.size, source)
        image.load()
        return image
    except UnreadableImage:
        raise
    # Parsers of corrupt bytes raise whatever they stumble over: struct.error, OSError, KeyError,
    # SyntaxError, OverflowError, zlib.error; a list of them would always lack one.
    except Exception as error:
        raise _unreadable(source, error) from error


def _plugin(signature: bytes, source: Source) -> type[ImageFile.ImageFile]:
    for start, plugin in _PLUGINS:
        if signature.startswith(start):
            return plugin
    found = f"begins with {signature!r}" if signature else "is empty"
    raise UnreadableImage(
        f"{source}: not an image: the file {found}; JPEG, PNG, BMP, WebP, TIFF and PPM are"
        f" read; {_SKIP_HINT}"
    )


def _check_png_pixels(file: IO[bytes]) -> None:
    """Raise ValueError unless each chunk of pixels is there whole and has its checksum.

    Args:
        file: Behind its signature, where the first chunk begins.
    """
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        left = int.from_bytes(head[:4], "big")
        if head[4:] != b"IDAT":
            file.seek(left + 4, 1)
            continue
        checksum = zlib.crc32(b"IDAT")
        while left and (piece := file.read(min(left, _READ_AT_ONCE))):
            checksum = zlib.crc32(piece, checksum)
            left -= len(piece)
        if file.read(4) != checksum.to_bytes(4, "big"):
            raise ValueError("a checksum of its pixels is wrong")


def _check_size(size: tuple[int, int], source: Source) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise UnreadableImage(
            f"{source}: {width}x{height} pixels, more than {MAX_PIXELS} pixels are not"
            f" decoded; {_SKIP_HINT}"
        )


def _unreadable(source: Source, error: Exception) -> UnreadableImage:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UnreadableImage(
        f"{source}: truncated, corrupt or unreadable image ({reason}); {_SKIP_HINT}"
    )
