"""Images and boxes that are changed together: a box stays around what it was around."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from intaglio.data.augment import Augment, augmented
from intaglio.data.augment_boxes import (
    Part,
    Reframe,
    cut_out,
    drawn_part,
    mirrored,
    moved_truths,
    reframed,
    shrunk,
)
from intaglio.data.truth import Placement, Truth

HEIGHT, WIDTH = 24, 32
NOTHING = Reframe()


def truth_of(*boxes, placement=Placement()):  # noqa: B008  it is frozen
    table = np.asarray(boxes, np.float32).reshape(-1, 4)
    count = len(table)
    areas = (table[:, 2:] - table[:, :2]).astype(np.float64).prod(1)
    return Truth(
        table,
        np.arange(count),
        np.zeros(count, np.bool_),
        areas,
        (HEIGHT, WIDTH),
        placement,
    )


def painted(*boxes) -> Tensor:
    """An image [1, H, W] that is 1 within whole boxes and 0 elsewhere."""
    image = torch.zeros(1, HEIGHT, WIDTH)
    for left, top, right, bottom in boxes:
        image[:, top:bottom, left:right] = 1.0
    return image


def extent(image: Tensor, least: float = 0.5) -> list[float]:
    """The box around what is at least so bright."""
    rows, columns = (image[0] >= least).nonzero().unbind(1)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


def test_a_mirrored_box_has_its_ends_mirrored_and_swapped():
    boxes = np.array([[1, 2, 5, 9], [0, 0, WIDTH, 3]], np.float32)

    found = mirrored(boxes, WIDTH)

    assert found.tolist() == [[27, 2, 31, 9], [0, 0, 32, 3]]
    assert np.array_equal(mirrored(found, WIDTH), boxes)


@pytest.mark.parametrize("augment", [Augment(flip=True), Augment(crop=5), Augment(True, 5)])
def test_boxes_follow_what_is_mirrored_and_moved_exactly(augment):
    box = [9, 8, 19, 14]
    images, truths = torch.stack([painted(box)] * 40), [truth_of(box)] * 40

    seen = augmented(augment, images, range(40), batch=40, seed=3, step=7)
    found = moved_truths(augment, truths, range(40), batch=40, seed=3, step=7)

    assert [one.boxes[0].tolist() for one in found] == [extent(image) for image in seen]
    assert len({tuple(one.boxes[0].tolist()) for one in found}) > 1


def test_any_part_of_a_batch_gets_what_it_has_in_the_whole():
    augment, reframe = Augment(True, 4), Reframe(cut=0.5, shrink=2.0)
    images = torch.rand(8, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    truths = [truth_of([3, 4, 20, 18], [10, 2, 30, 9])] * 8

    def changed(places):
        own = [truths[place] for place in places]
        seen, left = reframed(reframe, images[places], own, positions=places, seed=1, step=2)
        return seen, moved_truths(augment, left, places, batch=8, seed=1, step=2)

    whole = changed(list(range(8)))
    for places in ([0, 1, 2], [7, 5], [4]):
        part = changed(places)
        assert torch.equal(part[0], whole[0][places])
        for one, place in zip(part[1], places, strict=True):
            assert np.array_equal(one.boxes, whole[1][place].boxes)


def test_boxes_are_seen_where_the_picture_was_placed():
    truth = truth_of([4, 4, 24, 16], placement=Placement(0.5, 0.25, 2, 3))
    images = torch.zeros(1, 1, HEIGHT, WIDTH)

    same, (found,) = reframed(NOTHING, images, [truth], positions=[0], seed=0, step=0)

    assert same is images
    assert found.boxes.tolist() == [[4, 4, 14, 7]]
    assert found.placement == Placement()
    assert found.size == (HEIGHT, WIDTH)
    assert found.areas.tolist() == [30]


def test_a_part_that_is_cut_out_is_enlarged_with_its_boxes():
    boxes = [[8, 6, 16, 12], [16, 12, 20, 16], [0, 0, 10, 9], [14, 7, 18, 20]]

    # half of each side from (8, 6): everything is twice as large
    image, found = cut_out(painted(boxes[0]), truth_of(*boxes), Part(8, 6, 24, 18))

    # the third box has its centre (5, 4.5) outside; of the last one the end is cut off
    assert found.boxes.tolist() == [[0, 0, 16, 12], [16, 12, 24, 20], [12, 2, 20, 24]]
    assert found.classes.tolist() == [0, 1, 3]
    assert found.areas.tolist() == [192, 64, 176]
    assert extent(image) == [0, 0, 16, 12]


def test_the_whole_image_is_a_part_that_changes_nothing():
    boxes = [[8, 6, 16, 12], [16, 12, 20, 16]]
    image = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))

    same, found = cut_out(image, truth_of(*boxes), Part(0, 0, WIDTH, HEIGHT))

    assert torch.equal(same, image)
    assert found.boxes.tolist() == boxes


def test_an_image_that_is_shrunk_lies_in_its_mean_with_its_boxes():
    box = [8, 4, 24, 20]
    image = painted(box)

    # half as large, all of what is free to the left and none of it above
    small, found = shrunk(image, truth_of(box), (0.5, 1.0, 0.0))

    assert found.boxes.tolist() == [[16 + 4, 2, 16 + 12, 10]]
    assert extent(small) == [20, 2, 28, 10]
    mean = float(image.mean())
    assert torch.equal(small[:, HEIGHT // 2 :], torch.full((1, HEIGHT // 2, WIDTH), mean))


def test_shares_of_images_are_cut_and_shrunk_as_asked():
    images = torch.rand(1, 1, HEIGHT, WIDTH).expand(400, -1, -1, -1)
    truths = [truth_of([0, 0, WIDTH, HEIGHT])] * 400

    def changed(reframe):
        seen, found = reframed(reframe, images, truths, positions=range(400), seed=0, step=0)
        return found, sum(not torch.equal(a, b) for a, b in zip(seen, images, strict=True))

    # 400 draws of a share of 1/4 have a deviation of 9, of 1/2 one of 10; of a part that is cut a
    # few are the whole image again
    _, cut = changed(Reframe(cut=0.25))
    assert 100 - 45 < cut <= 100 + 45
    found, small = changed(Reframe(shrink=4.0))
    assert abs(small - 200) < 50
    assert min(one.areas[0] for one in found) >= WIDTH * HEIGHT / 17  # 1 / 16, in whole pixels
    assert changed(Reframe(shrink=1.0))[1] == 0


def test_parts_have_an_object_in_them_and_are_not_small_or_narrow():
    truth = truth_of([3, 4, 9, 12], [20, 2, 30, 9])
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(300):
        part = drawn_part(truth, (HEIGHT, WIDTH), generator)
        wide, tall = (part.right - part.left) / WIDTH, (part.bottom - part.top) / HEIGHT
        seen.add((part.left, part.top, part.right, part.bottom))
        # sides are rounded to whole pixels: by half of one in 24
        assert 0.3 - 0.5 / 24 <= min(wide, tall) <= max(wide, tall) <= 1.0
        assert 0.5 <= wide / tall <= 2.0
        centres = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / 2
        low, high = [part.left, part.top], [part.right, part.bottom]
        assert ((centres >= low) & (centres < high)).all(axis=1).any()
    assert len(seen) > 100


def test_an_image_without_objects_is_cut_as_well():
    image = torch.rand(1, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))

    seen, (found,) = reframed(Reframe(cut=1.0), image, [truth_of()], positions=[0], seed=0, step=0)

    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert not torch.equal(seen, image)


def test_what_is_given_is_not_changed():
    images, truth = torch.rand(6, 1, HEIGHT, WIDTH), truth_of([3, 4, 20, 18])
    before, boxes = images.clone(), truth.boxes.copy()

    reframed(Reframe(0.5, 3.0), images, [truth] * 6, positions=range(6), seed=0, step=0)

    assert torch.equal(images, before)
    assert np.array_equal(truth.boxes, boxes)
