"""Detectors that are captured as a whole are recognised where one reading alone fits."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from detectors.centernet_style import CLASSES, decode, small_centernet
from detectors.pictures import batch
from detectors.ultralytics_style import small_yolov8
from detectors.yolov5_style import small_yolov5
from intaglio.boxes.as_data import as_json, from_json
from intaglio.boxes.coders import Bins, Centers, YoloV5
from intaglio.boxes.detect import detections
from intaglio.boxes.postprocess import PostProcess
from intaglio.boxes.yolo import yolo_decoded
from intaglio.read.module.export import capture
from intaglio.read.module.families.recognised import postprocess_of, recognised_whole
from intaglio.read.module.families.shown import Shown, shown
from intaglio.read.module.families.yolo_decoded import decoded_yolo
from intaglio.read.module.families.yolo_raw import raw_yolo

MADE: dict[str, Callable[[], nn.Module]] = {
    "yolov8": small_yolov8,
    "yolov8 with maps": lambda: small_yolov8(export=False),
    "yolov5": small_yolov5,
    "centernet": small_centernet,
}


@functools.cache
def detector(name: str) -> nn.Module:
    return MADE[name]()


@functools.cache
def found(name: str) -> PostProcess | None:
    module = detector(name)
    return recognised_whole(module, capture(module, batch(1)), batch(1))


def outputs_of(name: str) -> list[np.ndarray]:
    leaves = torch.utils._pytree.tree_leaves(detector(name)(batch(2, seed=5)))
    return [own.numpy() for own in leaves]


def seen(module: nn.Module, outputs: list[Tensor], names: tuple[str, ...] = ()) -> Shown:
    return shown(module, outputs, names, (96, 128))


class Said(nn.Module):
    """Attributes of a head, and nothing else."""

    def __init__(self, **said: object) -> None:
        super().__init__()
        for name, value in said.items():
            setattr(self, name, value)


@pytest.mark.parametrize(
    ("name", "family", "coder"),
    [
        ("yolov8", "yolo_decoded", Centers()),
        ("yolov8 with maps", "yolo_free", Bins(16)),
        ("yolov5", "yolov5", YoloV5()),
    ],
)
def test_a_yolo_is_recognised_by_what_it_gives(name, family, coder):
    post = found(name)

    assert post is not None
    assert (post.family, post.classes, post.input_size) == (family, CLASSES, (96, 128))
    assert all(level.coder == coder for level in post.levels)
    assert from_json(as_json(post)) == post


@pytest.mark.parametrize("name", ["yolov8 with maps", "yolov5"])
def test_raw_maps_are_read_where_they_stand_beside_boxes(name):
    """One grid for pixels and scores together would leave nothing of the scores."""
    post = found(name)

    assert post is not None
    assert [level.scores.output for level in post.levels] == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "objectness", "layout"),
    [("yolov8 with maps", False, "columns"), ("yolov5", True, "rows")],
)
def test_raw_maps_give_the_detections_of_the_decoded_output(name, objectness, layout):
    post, outputs = found(name), outputs_of(name)
    assert post is not None
    axis = 2 if layout == "columns" else 1
    plain = yolo_decoded(
        (96, 128),
        outputs[0].shape[axis],
        classes=CLASSES,
        objectness=objectness,
        layout=layout,
    )
    plain = PostProcess(**{**vars(post), "levels": plain.levels, "activation": "none"})

    for raw, known in zip(detections(post, outputs), detections(plain, outputs), strict=True):
        assert len(raw) > 10
        # The first of two boxes whose scores are equal to the last bit may differ.
        np.testing.assert_allclose(raw.scores, known.scores, atol=1e-6)


def test_centernet_gives_the_boxes_of_its_highest_peaks():
    post = found("centernet")
    assert post is not None
    maps = detector("centernet")(batch(2, seed=5))[0]
    known = decode(maps)

    made = detections(post, [maps[name].numpy() for name in ("hm", "wh", "reg")])

    for number, own in enumerate(made):
        np.testing.assert_allclose(own.scores[:40], known["scores"][number], atol=1e-6)
        np.testing.assert_array_equal(own.classes[:40], known["labels"][number])
        np.testing.assert_allclose(own.boxes[:40], known["boxes"][number], atol=1e-4)


def test_low_scores_are_kept_as_average_precision_wants():
    post = found("yolov8")

    assert post is not None
    assert post.select.above is not None
    assert post.select.above <= 0.005
    assert post.most == 300


def test_names_of_classes_are_those_that_the_module_has():
    module = small_yolov8()
    module.names = {0: "cup", 1: "cat", 2: "car", 3: "hat"}

    post = recognised_whole(module, capture(module, batch(1)), batch(1))

    assert post is not None
    assert post.names == ("cup", "cat", "car", "hat")


# What is not recognised


def decoded_output() -> Tensor:
    return detector("yolov8")(batch(1))


def test_boxes_without_a_count_of_classes_have_two_readings_and_are_not_recognised():
    assert decoded_yolo(seen(Said(stride=[8, 16, 32]), [decoded_output()])) is None


def test_counts_of_classes_that_fit_with_and_without_objectness_are_not_recognised():
    said = Said(stride=[8, 16, 32], nc=4, num_classes=3)

    assert decoded_yolo(seen(said, [decoded_output()])) is None


def test_two_corners_are_not_taken_for_a_centre_and_sides():
    boxes = decoded_output()
    half = boxes[:, 2:4] / 2
    corners = torch.cat((boxes[:, :2] - half, boxes[:, :2] + half, boxes[:, 4:]), 1)
    said = Said(nc=CLASSES)

    assert decoded_yolo(seen(said, [boxes])) is not None
    assert decoded_yolo(seen(said, [corners])) is None


def test_boxes_in_parts_of_the_input_are_not_taken_for_pixels():
    parts = decoded_output().clone()
    parts[:, :4] /= torch.tensor([128.0, 96, 128, 96]).view(1, 4, 1)

    assert decoded_yolo(seen(Said(nc=CLASSES), [parts])) is None


def test_logits_are_not_taken_for_scores():
    logits = decoded_output().clone()
    logits[:, 4:] = logits[:, 4:].logit()

    assert decoded_yolo(seen(Said(nc=CLASSES), [logits])) is None


def test_positions_that_no_maps_add_up_to_are_not_recognised():
    assert decoded_yolo(seen(Said(nc=CLASSES), [decoded_output()[:, :, 1:]])) is None


def test_raw_maps_that_contradict_the_decoded_output_are_not_recognised():
    outputs = [torch.from_numpy(own[:1]) for own in outputs_of("yolov5")]
    outputs[0] = outputs[0].clone()
    outputs[0][..., 2:4] *= 1.1

    assert raw_yolo(seen(detector("yolov5"), outputs)) is None


def maps(channels: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = ((12, 16), (6, 8), (3, 4))
    return [torch.randn((1, channels, *size), generator=generator) for size in sizes]


ANCHORS = [[10, 13, 16, 30], [30, 61, 62, 45], [59, 80, 90, 90]]


@pytest.mark.parametrize("order", [1, -1])
def test_raw_maps_with_anchors_alone_are_read_as_those_of_yolov3(order):
    said = Said(nc=3, anchors=ANCHORS, stride=[8, 16, 32])

    post = raw_yolo(seen(said, maps(2 * 8)[::order]))

    assert post is not None
    assert (post.family, post.classes) == ("yolov3", 3)
    rows = [level.places.rows for level in post.levels]  # type: ignore[union-attr]
    assert rows == [12, 6, 3][::order]
    widths = [
        level.places.anchors[0][2] * 2  # type: ignore[union-attr]
        for level in post.levels
    ]
    assert widths == [10, 30, 59][::order]


def test_anchors_in_strides_are_the_same_as_anchors_in_pixels():
    strides = torch.tensor([8.0, 16, 32])
    pixels = torch.tensor(ANCHORS)
    found = [
        raw_yolo(seen(Said(nc=3, anchors=anchors, stride=[8, 16, 32]), maps(16)))
        for anchors in (pixels, pixels / strides[:, None])
    ]

    assert found[0] is not None
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "said",
    [
        {"nc": 3},
        {"anchors": ANCHORS},
        {"nc": 4, "anchors": ANCHORS},
        {"nc": 3, "anchors": [[10, 13], [30, 61], [59, 80]]},
    ],
)
def test_raw_maps_whose_numbers_do_not_add_up_are_not_recognised(said):
    assert raw_yolo(seen(Said(**said), maps(16))) is None


def test_maps_without_names_are_not_taken_for_centernets():
    module = detector("centernet")
    outputs = list(module(batch(1))[0].values())
    graph = capture(module, batch(1))
    graph.output_names = ()

    assert recognised_whole(module, graph, batch(1)) is None
    assert seen(module, outputs).output_names == ()


def test_a_classifier_is_not_even_run():
    calls = []
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    graph = capture(module, batch(1))
    module.register_forward_hook(lambda *_: calls.append(1))

    assert recognised_whole(module, graph, batch(1)) is None
    assert calls == []


def test_a_network_of_maps_is_no_detector():
    module = nn.Conv2d(3, 21, 1)

    assert recognised_whole(module, capture(module, batch(1)), batch(1)) is None


def test_what_a_captured_module_says_itself_is_believed():
    module, post = detector("yolov8"), found("yolov5")

    assert postprocess_of(capture(module, batch(1)), module, batch(1), post) == post
