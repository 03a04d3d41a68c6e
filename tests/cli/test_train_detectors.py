"""`intaglio train` of whole detectors, and of networks on a classifier's backbone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

import intaglio as package
from cli.tiny import SHAPE, intaglio, printed_json

NETWORKS = """
from dataclasses import replace
import torch
from torch import nn
from intaglio.zoo.faster_rcnn import REGIONS, fasterrcnn_mobilenet_v2_fpn


def two_stages():
    network = fasterrcnn_mobilenet_v2_fpn(3, width=0.25)
    network.region_limits = replace(REGIONS, before=30, most=20)
    return network


def on_a_body():
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8)),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )
    network.backbone_keys = {"0.": "features."}
    return network
"""
SIDE = 64
ON_A_BODY = ("bodied:on_a_body", *SHAPE, "--data", "images", "--scheme", "float", "--batch", 4)


@pytest.fixture
def place(place: Path) -> Path:
    """The current directory: with the module `bodied`, and boxes in COCO's form in `boxes`."""
    (place / "bodied.py").write_text(NETWORKS, encoding="utf-8")
    images, objects = [], []
    (place / "boxes" / "images").mkdir(parents=True)
    for number in range(4):
        pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
        left, top = 4 + 6 * number, 20 - 5 * number
        pixels[top : top + 32, left : left + 36, number % 2] = 255
        Image.fromarray(pixels).save(place / "boxes" / "images" / f"{number}.png")
        size = {"width": SIDE, "height": SIDE}
        images.append({"id": number, "file_name": f"{number}.png", **size})
        box = {"bbox": [left, top, 36, 32], "area": 36 * 32, "iscrowd": 0}
        objects.append({"id": number + 1, "image_id": number, "category_id": number % 2, **box})
    categories = [{"id": number, "name": name} for number, name in enumerate(("red", "green"))]
    content = {"images": images, "annotations": objects, "categories": categories}
    (place / "boxes" / "instances.json").write_text(json.dumps(content), encoding="utf-8")
    return place


def body() -> dict[str, Tensor]:
    """A classifier's weights, with layers behind the body."""
    generator = torch.Generator().manual_seed(3)
    shapes = {
        "features.0.weight": (8, 3, 3, 3),
        "features.0.bias": (8,),
        "features.1.weight": (8,),
        "features.1.bias": (8,),
        "features.1.running_mean": (8,),
        "features.1.running_var": (8,),
        "classifier.weight": (10, 8),
    }
    return {name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """Return the one line with which a training is refused."""
    capsys.readouterr()
    assert intaglio("train", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return str(err)


@pytest.mark.slow
def test_a_whole_faster_r_cnn_is_trained_from_boxes_of_coco_and_compressed(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    boxes = ("--data", "boxes/instances.json", "--eval", "boxes/instances.json")
    asked = ("bodied:two_stages", "--input-shape", f"1,3,{SIDE},{SIDE}", *boxes)
    how = ("--epochs", 2, "--batch", 2, "--lr", 0.001)

    assert intaglio("train", *asked, "--scheme", "float", *how, "--out", "out", "--json") == 0

    said = printed_json(capsys)
    assert (said["scheme"], said["steps"]) == ("float", 4)
    assert said["start"].keys() == said["final"].keys() >= {"ap", "n"}
    made = {file.name for file in Path("out").iterdir()}
    assert made == {
        "weights.safetensors", "state.safetensors", "train.json", "recipe.toml", "SHA256SUMS"
    }  # fmt: skip
    weights = ("--weights", "out/weights.safetensors", "--recipe", "plain")
    assert intaglio("compress", *asked[:5], *weights, "--out", "small") == 0
    assert len(package.load("small").parts) == 1


@pytest.mark.slow
def test_in_integers_a_whole_detector_is_refused_with_what_to_do(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    asked = ("bodied:two_stages", "--input-shape", f"1,3,{SIDE},{SIDE}")

    said = refused(capsys, *asked, "--data", "boxes/instances.json", "--out", "out")

    assert "train with --scheme float" in said
    assert "intaglio compress MODEL --weights OUT/weights.safetensors" in said
    assert not Path("out").exists()


def test_a_classifiers_weights_go_into_the_body_and_are_told(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    save_file(body(), "classifier.safetensors")
    still = ("--epochs", 0.3, "--lr", 1e-12)  # so that what was read is what is written

    said = intaglio(
        "train", *ON_A_BODY, *still, "--backbone-weights", "classifier.safetensors", "--out", "out"
    )

    assert said == 0
    told = "6 tensors of 'classifier.safetensors' were read into the backbone"
    assert told in capsys.readouterr().out
    made = load_file("out/weights.safetensors")
    for name in ("0.weight", "0.bias", "1.weight", "1.bias"):
        torch.testing.assert_close(made[f"0.{name}"], body()[f"features.{name}"])
    assert made["4.weight"].shape == (4, 8)
    assert 'backbone_weights = "' in Path("out/recipe.toml").read_text("utf-8")


def test_backbone_weights_that_do_not_fit_are_refused(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    save_file(body(), "classifier.safetensors")
    save_file({"other.weight": torch.ones(3, 3), "x.bias": torch.ones(1)}, "other.safetensors")
    save_file({**body(), "features.1.bias": torch.ones(9)}, "wide.safetensors")
    fitting = ("--backbone-weights", "classifier.safetensors")

    none = refused(capsys, *ON_A_BODY, "--backbone-weights", "other.safetensors")
    some = refused(capsys, *ON_A_BODY, "--backbone-weights", "wide.safetensors")
    both = refused(capsys, *ON_A_BODY, *fitting, "--weights", "classifier.safetensors")
    plain = ("tiny_networks:classifier", *ON_A_BODY[1:])

    assert "'other.safetensors' have none of the 6 tensors" in none
    assert "'wide.safetensors' do not fit the body" in some
    assert "'features.1.bias' has the shape [9], not [8]" in some
    assert "give one of them" in both
    assert "no backbone_keys" in refused(capsys, *plain, *fitting)
    assert "--backbone-weights" in refused(
        capsys, *ON_A_BODY, *fitting, "--out", "classifier.safetensors"
    )
