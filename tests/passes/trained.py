"""The data pack's MobileNetV2 and photographs, for tests on trained weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from intaglio.data.images import batches, draw, open_dataset
from intaglio.data.preprocess import parse_preprocess
from intaglio.ir.graph import Graph
from intaglio.passes.canonicalize import canonicalize
from intaglio.read.module.export import capture
from intaglio.read.named import build_model, parse_model
from intaglio.store.weights import load_weights


@dataclass(frozen=True)
class Trained:
    """The graph as captured, the canonical one, and images [N, 3, 224, 224]."""

    captured: Graph
    graph: Graph
    images: Tensor


def mobilenet_v2(data_pack: Path, images: int) -> Trained:
    """Return the network with so many calibration images."""
    built = build_model(parse_model("mobilenet_v2_tf"))
    load_weights(built.module, data_pack / "weights" / "mobilenet_v2_1.0_224_tf.safetensors")
    assert built.input_shape is not None
    assert built.preprocess is not None
    captured = capture(built.module, torch.zeros(built.input_shape))
    graph = captured.copy()
    canonicalize(graph)
    chosen = draw(open_dataset(data_pack / "imagenet" / "calib.csv"), images, 0)
    preprocess = parse_preprocess("resize=none", built.preprocess)
    (batch,) = batches(chosen, preprocess, built.input_shape, batch_size=images)
    return Trained(captured, graph, batch.images)
