"""Images and masks that are changed together: a pixel keeps its class wherever it goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from intaglio.data.augment import Augment, augmented, drawn
from intaglio.data.augment_masks import (
    Frame,
    Zoom,
    drawn_frame,
    framed_image,
    framed_mask,
    moved_masks,
    zoomed,
)
from intaglio.data.mask import IGNORED
from intaglio.errors import RequestError

HEIGHT, WIDTH = 12, 16


def random_masks(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    masks = torch.randint(1, 20, (count, HEIGHT, WIDTH), generator=generator, dtype=torch.uint8)
    masks[:, 5:7] = IGNORED
    return masks


def slowly_framed(mask: Tensor, frame: Frame) -> list[list[int]]:
    """A plain loop over the canvas: scaled by Pillow, then put where the frame says."""
    sides = (frame.columns, frame.rows)
    scaled = np.asarray(Image.fromarray(mask.numpy()).resize(sides, Image.Resampling.NEAREST))
    found = [[IGNORED] * mask.shape[1] for _ in range(mask.shape[0])]
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            y, x = row - frame.top, column - frame.left
            if 0 <= y < frame.rows and 0 <= x < frame.columns:
                found[row][column] = int(scaled[y, x])
    return found


# Mirrored and moved


@pytest.mark.parametrize("augment", [Augment(flip=True), Augment(crop=5), Augment(True, 5)])
def test_masks_move_as_images_do_and_nothing_that_counts_comes_in(augment: Augment) -> None:
    masks = random_masks(40)

    images = augmented(augment, masks[:, None].float(), range(40), batch=40, seed=3, step=7)
    found = moved_masks(augment, masks, range(40), batch=40, seed=3, step=7)

    # the image of a mask, whose classes begin with 1, has 0 where nothing of it is seen
    assert torch.equal(found, torch.where(images[:, 0] == 0, 255, images[:, 0]).to(torch.uint8))
    moved = drawn(augment, 40, seed=3, step=7).down.any()
    assert bool((images == 0).any()) == bool(moved)
    assert found.dtype == torch.uint8


def test_masks_that_are_not_moved_are_those_given_and_never_changed() -> None:
    masks = random_masks(8)
    before = masks.clone()

    assert moved_masks(Augment(), masks, range(8), batch=8, seed=0, step=0) is masks
    moved_masks(Augment(True, 3), masks, range(8), batch=8, seed=0, step=0)
    assert torch.equal(masks, before)


def test_any_part_of_a_batch_gets_what_it_has_in_the_whole() -> None:
    augment, zoom, masks = Augment(True, 4), Zoom(0.5, 2.0), random_masks(8)
    images = torch.rand(8, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))

    def changed(places: list[int], step: int = 2) -> tuple[Tensor, Tensor]:
        found = zoomed(zoom, images[places], masks[places], positions=places, seed=1, step=step)
        return found[0], moved_masks(augment, found[1], places, batch=8, seed=1, step=step)

    whole = changed(list(range(8)))
    for places in ([0, 1, 2], [7, 5], [4]):
        part = changed(places)
        assert torch.equal(part[0], whole[0][places])
        assert torch.equal(part[1], whole[1][places])
    assert not torch.equal(changed(list(range(8)), step=3)[1], whole[1])


# Zoomed


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_a_framed_mask_is_what_pillow_scales_put_in_its_place(
    rows: int, columns: int, data: st.DataObject
) -> None:
    top = data.draw(st.integers(min(0, HEIGHT - rows), max(0, HEIGHT - rows)))
    left = data.draw(st.integers(min(0, WIDTH - columns), max(0, WIDTH - columns)))
    mask, frame = random_masks(1)[0], Frame(rows, columns, top, left)

    found = framed_mask(mask, frame).tolist()

    assert found == slowly_framed(mask, frame)


@given(st.integers(0, 10**6), st.sampled_from([(0.5, 2.0), (1.0, 1.5), (0.25, 0.5), (2.0, 2.0)]))
def test_a_frame_has_a_scale_within_bounds_and_shows_as_much_as_it_can(
    step: int, bounds: tuple[float, float]
) -> None:
    zoom = Zoom(*bounds)

    frame = drawn_frame(zoom, (HEIGHT, WIDTH), seed=5, step=step, position=0)

    for side, length, first in (
        (HEIGHT, frame.rows, frame.top),
        (WIDTH, frame.columns, frame.left),
    ):
        assert round(side * zoom.low) <= length <= round(side * zoom.high)
        assert min(0, side - length) <= first <= max(0, side - length)


def test_every_scale_and_every_place_is_drawn_about_as_often() -> None:
    zoom = Zoom(0.5, 1.5)
    frames = [drawn_frame(zoom, (100, 100), seed=0, step=n, position=0) for n in range(4000)]

    scales = np.array([frame.rows for frame in frames]) / 100
    counts, _ = np.histogram(scales, 10, (0.5, 1.5))
    # 400 each are expected; 5 standard deviations of a binomial count of 1/10 are 95
    assert abs(counts - 400).max() < 95
    fixed = [drawn_frame(Zoom(0.5, 0.5), (8, 8), seed=0, step=n, position=0) for n in range(4000)]
    places = np.bincount([frame.top for frame in fixed], minlength=5)
    assert len(places) == 5
    assert abs(places - 800).max() < 127  # 800 each, 5 deviations of a binomial count of 1/5
    cut = [drawn_frame(Zoom(2.0, 2.0), (4, 4), seed=0, step=n, position=0) for n in range(4000)]
    assert {frame.top for frame in cut} == {0, -1, -2, -3, -4}


def test_a_doubled_image_keeps_its_classes_at_the_pixels_they_were_of() -> None:
    mask = random_masks(1)[0]
    image = mask[None].float()

    frame = Frame(2 * HEIGHT, 2 * WIDTH, -6, -8)
    shown, classes = framed_image(image, frame), framed_mask(mask, frame)

    assert torch.equal(classes[:2, :2], mask[3, 4].expand(2, 2))
    expected = mask.repeat_interleave(2, 0).repeat_interleave(2, 1)[6:18, 8:24]
    assert torch.equal(classes, expected)
    assert shown.shape == image.shape


def test_image_and_mask_keep_together_at_every_scale() -> None:
    """A white square stays white where its class is, but for two pixels at its border."""
    mask = torch.zeros(48, 64, dtype=torch.uint8)
    mask[12:36, 16:48] = 1
    image = mask[None, None].float()
    for step in range(40):
        images, masks = zoomed(Zoom(0.5, 2.0), image, mask[None], positions=[0], seed=0, step=step)
        # of the 5x5 pixels around, at most twice as large, no part of an edge between is nearer
        around = masks.float().unfold(1, 5, 1).unfold(2, 5, 1).flatten(3)[0]
        white, black = (around == 1).all(2), (around == 0).all(2)
        assert white.any()
        assert (images[0, 0, 2:-2, 2:-2][white] - 1).abs().max() < 1e-5  # float32's rounding
        assert not black.any() or images[0, 0, 2:-2, 2:-2][black].abs().max() < 1e-5


def test_around_a_smaller_image_are_its_mean_and_nothing_that_counts() -> None:
    image, mask = torch.rand(3, HEIGHT, WIDTH), random_masks(1)[0]

    frame = Frame(6, 8, 2, 3)
    shown, classes = framed_image(image, frame), framed_mask(mask, frame)

    around = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    around[2:8, 3:11] = False
    assert (classes[around] == IGNORED).all()
    assert torch.equal(shown[:, around], image.mean((1, 2))[:, None].expand(-1, int(around.sum())))
    assert (classes[~around] != IGNORED).any()


def test_a_zoom_of_1_gives_back_what_was_given_and_another_changes_nothing_given() -> None:
    images, masks = torch.rand(2, 3, HEIGHT, WIDTH), random_masks(2)
    before = images.clone(), masks.clone()

    shown, classes = zoomed(Zoom(), images, masks, positions=[0, 1], seed=0, step=0)
    assert shown is images
    assert classes is masks
    zoomed(Zoom(0.5, 2.0), images, masks, positions=[0, 1], seed=0, step=0)
    assert torch.equal(images, before[0])
    assert torch.equal(masks, before[1])


@pytest.mark.parametrize("bounds", [(2.0, 0.5), (0.0, 1.0), (1.0, 17.0), (float("nan"), 1.0)])
def test_scales_out_of_bounds_are_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(RequestError, match="give the smaller scale first, both within"):
        Zoom(*bounds)
