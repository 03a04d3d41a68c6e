"""Under which keys public files have the weights of the zoo's segmenters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from intaglio.store.layout import Layout

HEAD_LAYERS = {
    "image_pooling": "image_pooling.0",
    "aspp0": "aspp.0.0",
    "concat_projection": "projection.0",
    "logits.semantic": "logits",
}
"""Name of DeepLab's operations behind MobileNetV2 to the network's convolutions."""
GATED_BLOCKS = (1, 4, 5, 6, 7, 8)
"""Blocks of the encoder of the selfie segmenter that have a gate."""


def tensorflow_deeplabv3() -> Layout:
    """Return the layout of a TensorFlow Lite file of DeepLabv3 on MobileNetV2, folded."""
    keys: dict[str, str] = {}
    for name, layer in (*_deeplab_backbone(), *HEAD_LAYERS.items()):
        weights, bias = "weights", "Conv2D_bias"
        if name.endswith(".depthwise"):
            weights, bias = "depthwise_weights", "depthwise_bias"
        keys |= {f"{name}.{weights}": f"{layer}.weight", f"{name}.{bias}": f"{layer}.bias"}
    return Layout("tensorflow", keys)


def _deeplab_backbone() -> Iterator[tuple[str, str]]:
    """Yield the file's operations and the network's convolutions of MobileNetV2."""
    yield "MobilenetV2.Conv", "features.0.0"
    yield "MobilenetV2.expanded_conv.depthwise", "features.1.conv.0.0"
    yield "MobilenetV2.expanded_conv.project", "features.1.conv.1"
    for index in range(1, 17):
        name, layer = f"MobilenetV2.expanded_conv_{index}", f"features.{index + 1}.conv"
        yield f"{name}.expand", f"{layer}.0.0"
        yield f"{name}.depthwise", f"{layer}.1.0"
        yield f"{name}.project", f"{layer}.2"


def mediapipe_selfie_segmentation() -> Layout:
    """Return the layout of a TensorFlow Lite file of the selfie segmenter, folded.

    Its layers are numbered in the order in which Keras made them, those of each kind on their own.
    """
    counts: Counter[str] = Counter()
    keys: dict[str, str] = {}
    for layer in _selfie_convolutions():
        kind = "depthwise_conv2d" if "depthwise" in layer else "conv2d"
        name = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
        keys |= {f"{name}.Kernel": f"{layer}.weight", f"{name}.Bias": f"{layer}.bias"}
    keys |= {"segment.Kernel": "segment.weight", "segment.Bias": "segment.bias"}
    return Layout("mediapipe", keys)


def _selfie_convolutions() -> Iterator[str]:
    """Yield the convolutions of the network in the file's order, but the transposed one."""
    yield "features.0.0"
    for block in range(1, 9):
        gate = ("gate.fc1", "gate.fc2") if block in GATED_BLOCKS else ()
        for part in ("expand.0", "depthwise.0", *gate, "project.0"):
            yield f"features.{block}.{part}"
    yield from ("head.features.0", "head.gate")
    for level in range(3):
        for part in ("reduce.0", "gate.fc1", "gate.fc2", "pointwise.0", "depthwise.0"):
            yield f"decoder.{level}.{part}"
