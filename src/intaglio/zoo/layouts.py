"""Under which keys public files have the weights of the zoo's networks."""

from __future__ import annotations

from collections.abc import Iterator

from intaglio.store.layout import Layout

NORM_PARTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

YOLO_HEADS = {
    64: "coarse_neck",
    65: "coarse.0",
    66: "coarse.1",
    67: "coarse.2",
    73: "fine_neck.0",
    74: "fine_neck.1",
    75: "fine.0",
    76: "fine.1",
    77: "fine.2",
}
"""Number of a layer of the darknet file to the network's, each with a norm."""
YOLO_PREDICTIONS = {68: "coarse.3", 78: "fine.3"}
YOLO_SHORTCUTS = (9, 16, 20, 27, 31, 35, 42, 46, 53, 57)
"""Numbers of the darknet file's layers that add: between bottlenecks, without weights."""


def darknet_yolov3_nano() -> Layout:
    """Return the layout of YOLOv3-Nano's layers by their number in the darknet file.

    Keys are L.<number>.conv.{weight,bias} and L.<number>.bn.{weight,bias,running_mean,...}.
    """
    keys: dict[str, str] = {}
    for number, layer in (*_yolo_bottlenecks(), *YOLO_HEADS.items()):
        keys |= {f"L.{number}.conv.{part}": f"{layer}.0.{part}" for part in ("weight", "bias")}
        keys |= {f"L.{number}.bn.{part}": f"{layer}.1.{part}" for part in NORM_PARTS}
    for number, layer in YOLO_PREDICTIONS.items():
        keys |= {f"L.{number}.conv.{part}": f"{layer}.{part}" for part in ("weight", "bias")}
    return Layout("darknet", keys)


def _yolo_bottlenecks() -> Iterator[tuple[int, str]]:
    """Yield number and layer of the convolutions of `features`, in order."""
    parts = ["features.0", "features.1.depthwise", "features.1.project"]
    for block in range(2, 17):
        parts += [f"features.{block}.{part}" for part in ("expand", "depthwise", "project")]
    numbers = [number for number in range(58) if number not in YOLO_SHORTCUTS]
    yield from zip(numbers, parts, strict=True)


SSD_BACKBONE = "FeatureExtractor.MobilenetV1"
SSD_WEIGHT = "weights_quant.FakeQuantWithMinMaxVars"
SSD_EXTRAS = ((192, 384), (96, 192), (96, 192), (48, 96))
"""Channels of the 1x1 and of the 3x3 convolution, which are in the file's keys."""


def tensorflow_ssd_mobilenet_v1() -> Layout:
    """Return the layout of a TensorFlow Lite file of SSD MobileNetV1, width 0.75, folded.

    Its tensors have the names of the operations in the quantization-aware training that made them;
    its anchors are what `boxes` computes, rounded to the 8 bits of the file.
    """
    keys: dict[str, str] = {}
    for (name, bias), layer in _ssd_convolutions().items():
        keys |= {f"{name}.{SSD_WEIGHT}": f"{layer}.weight", f"{name}.{bias}": f"{layer}.bias"}
    return Layout("tensorflow", keys, beside=frozenset({"anchors"}))


def _ssd_convolutions() -> dict[tuple[str, str], str]:
    """Return (file's operation, its bias) to the network's convolution."""
    inner, fold = f"{SSD_BACKBONE}.MobilenetV1", "Conv2D_Fold_bias"
    found = {(f"{inner}.Conv2d_0", fold): "features.0.0"}
    for index in range(1, 14):
        layer = f"{inner}.Conv2d_{index}"
        found[f"{layer}_depthwise", "depthwise_Fold_bias"] = f"features.{index}.0.0"
        found[f"{layer}_pointwise", fold] = f"features.{index}.1.0"
    for index, (narrow, wide) in enumerate(SSD_EXTRAS):
        layer = f"{SSD_BACKBONE}.Conv2d_13_pointwise"
        found[f"{layer}_1_Conv2d_{index + 2}_1x1_{narrow}", fold] = f"extras.{index}.0.0"
        found[f"{layer}_2_Conv2d_{index + 2}_3x3_s2_{wide}", fold] = f"extras.{index}.1.0"
    for index in range(6):
        head = f"BoxPredictor_{index}"
        found[f"{head}.BoxEncodingPredictor", "Conv2D_bias"] = f"boxes.{index}"
        found[f"{head}.ClassPredictor", "Conv2D_bias"] = f"scores.{index}"
    return found
