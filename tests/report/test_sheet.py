"""The sheet of images that a run made: their very pixels, in rows, and in a real browser."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from intaglio.report import Report, render_html, summary_lines
from intaglio.report.sheet import GAP, MOST, MOST_PIXELS, contact_sheet, pixels_of
from intaglio.report.synthetic import Synthetic
from report.test_report_html import Reader
from report.test_report_page import READ, Elements

MADE = Synthetic(12, 150, 34.5678, 12.3456789, 0.41, 1, {"batch": 6, "lr": 0.5, "swing": True})
PREPARED = {"resize": None, "crop": 5, "mean": [0.5, 0.25, 0.0], "std": [0.5]}


def prepared_bytes(count: int = 12, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random bytes, [N, C, 5, 7], and the images that PREPARED makes of them."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, channels, 5, 7), generator=generator)
    mean = torch.tensor(PREPARED["mean"]).reshape(3, 1, 1)
    return pixels.to(torch.uint8), (pixels / 255.0 - mean) / 0.5


def opened(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_the_pixels_of_the_sheet_are_those_of_the_images_in_rows_of_eight():
    pixels, images = prepared_bytes()

    sheet = contact_sheet(images, PREPARED)

    found = opened(sheet.png)
    assert (sheet.width, sheet.height) == (8 * 7 + 7 * GAP, 2 * 5 + GAP)
    assert found.shape == (sheet.height, sheet.width, 3)
    assert sheet.count == 12
    for index, image in enumerate(pixels):
        top, left = index // 8 * (5 + GAP), index % 8 * (7 + GAP)
        assert np.array_equal(found[top : top + 5, left : left + 7], image.permute(1, 2, 0))
    assert (found[5 : 5 + GAP] == 255).all()
    assert (found[-5:, 4 * (7 + GAP) :] == 255).all()  # where no image is


def test_without_preprocessing_the_least_and_the_greatest_value_are_black_and_white():
    images = torch.tensor([-3.0, 1.0, 5.0, -1.0]).reshape(2, 1, 1, 2)

    pixels, is_prepared = pixels_of(images, {})

    assert pixels.flatten().tolist() == [0, 128, 255, 64]
    assert not is_prepared


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_numbers_of_channels_than_three_are_shown_in_grey(channels: int):
    images = torch.rand(3, channels, 4, 4)

    found = opened(contact_sheet(images, {}).png)

    assert found.shape == (4, 3 * 4 + 2 * GAP)
    wanted, _ = pixels_of(images, {})
    assert np.array_equal(found[:, :4], wanted[0, 0])


def test_values_that_no_byte_has_are_shown_as_the_nearest_one():
    images = torch.tensor([-9.0, 9.0, float("nan"), 0.0]).reshape(1, 1, 2, 2)

    pixels, _ = pixels_of(images, {"mean": [0.5], "std": [0.5]})

    assert pixels.flatten().tolist() == [0, 255, 0, 128]
    constant, _ = pixels_of(torch.full((1, 1, 2, 2), 7.0), {})
    assert constant.flatten().tolist() == [0, 0, 0, 0]


def test_no_more_than_64_images_and_fewer_large_ones_are_shown():
    many = contact_sheet(torch.rand(100, 3, 4, 4), {})
    large = contact_sheet(torch.rand(1, 3, 224, 224).expand(64, 3, 224, 224), {})

    assert many.count == MOST
    assert large.count == 40
    assert large.width * large.height <= MOST_PIXELS


def sheets(page: str) -> list[str]:
    """Return the addresses of a page's images."""
    return [attrs["src"] for tag, attrs in Reader(page).tags if tag == "img"]


def with_images(report: Report) -> Report:
    return replace(report, data="none", preprocess=PREPARED, synthetic=MADE)


def test_the_page_says_how_images_were_made_and_holds_them(report: Report):
    _, images = prepared_bytes()
    page = render_html(with_images(report), {}, images=images)

    (address,) = sheets(page)

    wanted = opened(contact_sheet(images, PREPARED).png)
    kind, content = address.split(",")
    assert kind == "data:image/png;base64"
    assert np.array_equal(opened(base64.b64decode(content)), wanted)
    assert "12 images were made of what batch norms state, and no image was opened" in page
    assert "150 steps for each batch (batch 6, lr 0.5, swing), 34.6 s" in page
    assert "was 12.35 before it and 0.41 after it" in page
    assert "noticed meanwhile: 1" in page
    assert "Shown are all, brought to 0 to 255 by the network" in page


def test_text_and_a_page_whose_images_are_gone_tell_the_same_without_a_picture(report: Report):
    made = with_images(report)

    page = render_html(made, {})

    assert "12 images were made of what batch norms state" in page
    assert sheets(page) == []
    assert any("12 images were made" in line for line in summary_lines(made))
    assert "12 images were made of what batch norms state" in " ".join(str(made).split())
    assert "images were made" not in str(report)


def test_report_json_holds_the_facts_and_nothing_where_none_were_made(report: Report):
    plain = with_images(report).to_dict()

    assert plain["synthetic"] == {
        "images": 12,
        "steps": 150,
        "seconds": 34.568,
        "norms_first": 12.345679,
        "norms_last": 0.41,
        "events": 1,
        "settings": {"batch": 6, "lr": 0.5, "swing": True},
    }
    assert Report.from_dict(plain).synthetic.norms_last == 0.41
    assert "synthetic" not in report.to_dict()


@pytest.mark.slow  # a browser is started
def test_a_browser_shows_the_sheet_enlarged_with_hard_edges(visit, report: Report):
    pixels, images = prepared_bytes()
    page = render_html(with_images(report), {}, images=images)
    script = (
        READ
        + """
    const sheet = shown("synthetic");
    const canvas = document.createElement("canvas");
    canvas.width = sheet.naturalWidth; canvas.height = sheet.naturalHeight;
    const pen = canvas.getContext("2d");
    pen.drawImage(sheet, 0, 0);
    report({
      size: [sheet.naturalWidth, sheet.naturalHeight], wide: sheet.getBoundingClientRect().width,
      style: getComputedStyle(sheet).imageRendering, complete: sheet.complete,
      third: [...pen.getImageData(2 * 9, 0, 7, 5).data].filter((_, i) => i % 4 < 3),
    });
    """
    )

    result = visit(page, script=script)
    seen = json.loads(Elements(result.dom).probe)

    assert result.console == []
    assert seen["complete"] is True
    assert seen["size"] == [70, 12]
    assert seen["style"] == "pixelated"
    assert seen["wide"] > 70
    assert seen["third"] == pixels[2].permute(1, 2, 0).flatten().tolist()
