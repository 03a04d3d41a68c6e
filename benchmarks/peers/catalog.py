"""The rows: which tool, with which settings. Settings are those that did best on this network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """A row of a peer.

    Attributes:
        tool: Names requirements/TOOL.txt and with_TOOL.py.
        name: The setting's name in that script.
        scheme: What is quantized to how many bits.
        text: The setting in words.
        calibration_images: How many images it calibrates on.
    """

    tool: str
    name: str
    scheme: str
    text: str
    calibration_images: int


PER_CHANNEL = "w8a8 per-channel"
PER_TENSOR = "w8a8 per-tensor"
FOUR_BITS = "w4a8"  # pointwise layers and classifier at 4 bits per channel, the others at 8

SETTINGS = (
    Setting("nncf", "per channel", PER_CHANNEL, "mixed, accurate bias correction", 300),
    Setting(
        "nncf",
        "per channel, no overflow fix",
        PER_CHANNEL,
        "mixed, accurate bias correction, overflow fix off",
        300,
    ),
    Setting("mct", "per channel", PER_CHANNEL, "default (IMX500, power-of-two ranges)", 50),
    Setting("brevitas", "per channel", PER_CHANNEL, "layerwise, CLE + bias correction", 50),
    Setting("aimet", "per channel", PER_CHANNEL, "min-max, depthwise + ReLU6 fused by hand", 100),
    Setting("onnxruntime", "per channel", PER_CHANNEL, "min-max, graph computed in float", 100),
    Setting(
        "onnxruntime",
        "per channel, integer kernels",
        PER_CHANNEL,
        "min-max, its own integer kernels",
        100,
    ),
    Setting("brevitas", "per tensor", PER_TENSOR, "layerwise, CLE + bias correction", 50),
    Setting("mct", "per tensor", PER_TENSOR, "default but for one threshold a tensor", 50),
    Setting(
        "nncf",
        "per tensor",
        PER_TENSOR,
        "mixed, accurate bias correction, overflow fix off",
        300,
    ),
    Setting("aimet", "per tensor", PER_TENSOR, "CLE, min-max, fused by hand", 100),
    Setting("onnxruntime", "per tensor", PER_TENSOR, "min-max, graph computed in float", 100),
    Setting(
        "aimet",
        "4 bits",
        FOUR_BITS,
        "AdaRound, cut to 64 images and 500 x 4 a layer",
        100,
    ),
    Setting("brevitas", "4 bits", FOUR_BITS, "layerwise, CLE + GPTQ + bias correction", 50),
)
TOOLS = tuple(dict.fromkeys(setting.tool for setting in SETTINGS))
