"""Writes src/intaglio/cli/names.json, from which the command line answers without torch.

    python docs/make_names.py

Run it when a network of the zoo, a recipe, a target, a calibrator, a method of training or a task
is added or changed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intaglio.boxes.postprocess import TwoStage
from intaglio.calibrate import CALIBRATORS
from intaglio.data.preprocess import describe
from intaglio.methods.train.qat import METHODS
from intaglio.recipe.recipe import RECIPES
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.tasks import CLASSIFY, DETECT, SEGMENT, VALUES
from intaglio.zoo import ZOO, ZooEntry
from intaglio.zoo.faster_rcnn import FasterRcnn
from intaglio.zoo.fpn import CHANNELS

FILE = Path(__file__).resolve().parent.parent / "src" / "intaglio" / "cli" / "names.json"
COUNTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def content() -> dict[str, Any]:
    """Return what the file holds."""
    return {
        "models": [described(ZOO[name]) for name in ZOO],
        "recipes": [{"name": name, "description": RECIPES[name].description} for name in RECIPES],
        "calibrators": list(CALIBRATORS),
        "methods": list(METHODS),
        # ours alone: what packages add to these tables is known where they are installed
        "targets": sorted(target.name for target in (LITERT, LITERT_REFERENCE)),
        "tasks": sorted(task.name for task in (CLASSIFY, DETECT, SEGMENT, VALUES)),
    }


def described(entry: ZooEntry) -> dict[str, Any]:
    """Return a row of the list of models."""
    with torch.device("meta"):  # shapes alone: nothing is computed
        network = entry.build().eval()
        images = torch.empty(entry.input_shape)
        is_of_two = isinstance(network, FasterRcnn)
        macs = macs_of_two(network, images) if is_of_two else count_macs(network, images)
    return {
        "name": entry.name,
        "task": entry.task,
        "params": sum(weight.numel() for weight in network.parameters()),
        "macs": macs,
        "input_shape": list(entry.input_shape),
        "preprocess": describe(entry.preprocess),
    }


def macs_of_two(network: FasterRcnn, images: Tensor) -> int:
    """Return the multiply-accumulates of one image through both stages.

    The second looks at as many regions as the first proposes at most.
    """
    first, second = network.stages()
    post: TwoStage = network.postprocess((images.shape[-2], images.shape[-1]))
    region = torch.empty(1, CHANNELS, post.pooling.size, post.pooling.size)
    return count_macs(first, images) + post.regions.most * count_macs(second, region)


def count_macs(network: nn.Module, images: Tensor) -> int:
    """Return the multiply-accumulates of one image through the layers of COUNTED.

    The same count as `intaglio.cost.macs` makes of a captured graph, which takes seconds a network;
    for modules that are called, as all of the zoo's are.
    """
    found: list[int] = []

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        places = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        weight: Tensor = layer.weight  # type: ignore[assignment]
        found.append(places[0].numel() * weight[0].numel())

    hooks = [
        layer.register_forward_hook(add)
        for layer in network.modules()
        if isinstance(layer, COUNTED)
    ]
    with torch.no_grad():
        network(images[:1])
    for hook in hooks:
        hook.remove()
    return sum(found)


if __name__ == "__main__":
    FILE.write_text(json.dumps(content(), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {FILE}")
