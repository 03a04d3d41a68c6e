"""Images that a run made, side by side on one sheet, and the section that shows it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from PIL import Image
from pydantic import JsonValue
from torch import Tensor

from intaglio.report.parts import ReportData
from intaglio.report.section import Picture, Section
from intaglio.report.synthetic import Synthetic

KEY, TITLE = "synthetic", "Images that were made"
MOST, PER_ROW, GAP = 64, 8, 2
MOST_PIXELS = 2**21
"""Of a sheet: beyond it the page would be mostly that; there are then fewer rows."""
WIDE = 1040
"""CSS pixels that the page has; a smaller sheet is shown a whole number of times as large."""
BETWEEN = 255


def synthetic_section(report: ReportData, images: Tensor | None) -> Section | None:
    """Return how images were made, and some of them; None where none were.

    Args:
        images: [N, C, H, W] as the network takes them; None where they are at hand no more.
    """
    made = report.synthetic
    if made is None:
        return None
    if images is None or not len(images):
        return Section(KEY, TITLE, Picture(b"", 0, 0, ""), told=_told(made))
    sheet = contact_sheet(images, report.preprocess)
    shown = f"the first {sheet.count:,}" if sheet.count < len(images) else "all"
    how = "by the network's preprocessing" if sheet.is_prepared else "by their own ends"
    scale = max(1, WIDE // sheet.width)
    body = Picture(
        sheet.png,
        sheet.width * scale,
        sheet.height * scale,
        f"{shown} of the images that were made",
        pixelated=scale > 1,
    )
    hint = f"Shown are {shown}, brought to 0 to 255 {how}."
    return Section(KEY, TITLE, body, told=_told(made), hint=hint)


def _told(made: Synthetic) -> str:
    batches = ", ".join(
        name if value is True else f"{name} {value}" for name, value in made.settings.items()
    )
    losses = ""
    if made.norms_first is not None and made.norms_last is not None:
        losses = f"; the loss of the batch norms was {made.norms_first:.4g} before it and"
        losses += f" {made.norms_last:.4g} after it"
    noticed = f"; noticed meanwhile: {made.events}, see the warnings" if made.events else ""
    return (
        f"{made.images:,} images were made of what batch norms state, and no image was opened:"
        f" {made.steps:,} steps for each batch{f' ({batches})' if batches else ''},"
        f" {made.seconds:.1f} s{losses}{noticed}"
    )


@dataclass(frozen=True)
class Sheet:
    """A sheet of images.

    Attributes:
        png: The file's content.
        width, height: Of it, in pixels.
        count: How many images are on it, the first ones.
        is_prepared: Whether the preprocessing told which pixels they are; else their ends did.
    """

    png: bytes
    width: int
    height: int
    count: int
    is_prepared: bool


def contact_sheet(images: Tensor, preprocess: Mapping[str, JsonValue]) -> Sheet:
    """Return images in rows of PER_ROW, with GAP pixels between them.

    Args:
        images: [N, C, H, W] as the network takes them, N >= 1. Three channels are colours, of
            others the first one is shown in grey.
        preprocess: As a report has it; empty where nothing is known.
    """
    count, _, height, width = images.shape
    columns = min(PER_ROW, count)
    row_pixels = columns * (width + GAP) * (height + GAP)
    count = min(count, MOST, columns * max(1, MOST_PIXELS // row_pixels))
    pixels, is_prepared = pixels_of(images[:count], preprocess)
    rows = -(-count // columns)
    size = rows * (height + GAP) - GAP, columns * (width + GAP) - GAP
    sheet = torch.full((*size, pixels.shape[1]), BETWEEN, dtype=torch.uint8)  # [H, W, C]
    for index, image in enumerate(pixels):
        row, column = divmod(index, columns)
        top, left = row * (height + GAP), column * (width + GAP)
        sheet[top : top + height, left : left + width] = image.permute(1, 2, 0)
    return Sheet(_png(sheet), size[1], size[0], count, is_prepared)


def pixels_of(images: Tensor, preprocess: Mapping[str, JsonValue]) -> tuple[Tensor, bool]:
    """Return images as bytes, and whether the preprocessing told which.

    Args:
        images: [N, C, H, W] as the network takes them.

    Returns:
        [N, 3, H, W] or [N, 1, H, W] uint8.
    """
    parts = [
        torch.tensor(preprocess.get(name) or [usual], dtype=torch.float32).reshape(-1, 1, 1)
        for name, usual in (("mean", 0.0), ("std", 1.0))
    ]
    is_prepared = bool(preprocess) and all(len(part) in (1, images.shape[1]) for part in parts)
    images = images.detach().float().cpu()
    if is_prepared:
        levels = images * parts[1] + parts[0]
    else:
        low, high = images.min(), images.max()
        levels = (images - low) / (high - low).where(high > low, 1.0)
    if levels.shape[1] != 3:
        levels = levels[:, :1]
    return levels.mul(255.0).round().nan_to_num(0.0).clamp(0.0, 255.0).to(torch.uint8), is_prepared


def _png(pixels: Tensor) -> bytes:
    """Return pixels [H, W, 1 or 3] as a file."""
    file = io.BytesIO()
    array = pixels.numpy()
    Image.fromarray(array if array.shape[2] == 3 else array[:, :, 0]).save(file, "PNG")
    return file.getvalue()
