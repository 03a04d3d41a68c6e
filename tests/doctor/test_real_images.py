"""Real weights, real images: right ones are not accused, however few; wrong ones are, of enough."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import intaglio
from doctor.clinic import named
from intaglio.data.images import batches, draw, open_dataset
from intaglio.doctor import diagnose
from intaglio.doctor.first_layer import FirstLayer
from intaglio.doctor.preprocessing import Mistake, mistake_of
from intaglio.ir.graph import Graph
from intaglio.store.weights import load_weights
from intaglio.zoo import ZOO

SHAPE = (1, 3, 32, 32)
DRAWS = 40


@pytest.fixture(scope="module")
def resnet20(data_pack: Path) -> Graph:
    module = intaglio.zoo.resnet20_cifar10()
    load_weights(module, data_pack / "weights" / "resnet20_cifar10.safetensors")
    return intaglio.capture(module.eval(), torch.zeros(SHAPE))


@pytest.fixture(scope="module")
def pool(data_pack: Path) -> Tensor:
    chosen = draw(open_dataset(data_pack / "cifar10_jpeg" / "train.parquet"), 512, 0)
    with batches(chosen, ZOO["resnet20_cifar10"].preprocess, SHAPE, batch_size=64) as stream:
        return torch.cat([batch.images for batch in stream])


def mistake(graph: Graph, images: Tensor) -> Mistake:
    layer = FirstLayer.of(graph)
    assert layer is not None
    seen = layer.seen()
    seen.add(images)
    return mistake_of(seen)


def test_eight_right_images_have_no_finding(resnet20: Graph, pool: Tensor) -> None:
    for first in (0, 8):
        assert named(diagnose(resnet20, [pool[first : first + 8]])) == []


@pytest.mark.parametrize("count", [8, 32, 128])
def test_no_draw_of_right_images_is_called_wrong(resnet20: Graph, pool: Tensor, count: int) -> None:
    generator = torch.Generator().manual_seed(count)

    for _ in range(DRAWS):
        drawn = pool[torch.randperm(len(pool), generator=generator)[:count]]
        assert not mistake(resnet20, drawn).any


def test_swapped_channels_are_found_in_images_enough(resnet20: Graph, pool: Tensor) -> None:
    (found,) = diagnose(resnet20, [pool[:64].flip(1)]).findings

    assert (found.cause, found.layer) == ("wrong-preprocessing", "conv1")
    assert "other order" in found.remedy
    assert found.evidence["images"] == 64
    assert found.evidence["images_needed"] == 32
    assert not mistake(resnet20, pool[:16].flip(1)).any


def test_bytes_are_found_in_eight_images(resnet20: Graph, pool: Tensor) -> None:
    assert mistake(resnet20, 58.0 * pool[:8] + 120.0).scaled
