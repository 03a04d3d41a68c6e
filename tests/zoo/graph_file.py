"""A list of a network's operations from the data pack, run one by one: a second computation.

They are TensorFlow Lite's in their order, with sizes and constants; what each does is said here in
other words than the zoo's, in PyTorch's order of axes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

Operation = Callable[[Mapping[str, Any], list[Any]], Tensor]


def run_graph_file(path: Path, images: Tensor) -> dict[int, Tensor]:
    """Return what each operation of `path`.graph.json makes of `images` [N, 3, H, W], by number."""
    graph = json.loads(path.with_name(f"{path.name}.graph.json").read_text())
    weights = load_file(path.with_name(f"{path.name}.safetensors"))
    made: dict[int, Any] = {graph["inputs"][0]["id"]: images}
    for operation in graph["ops"]:
        given = [_operand(one, made, weights) for one in operation["in"]]
        value = OPERATIONS[operation["op"]](operation, given)
        made[operation["out"][0]] = _activated(value, operation.get("act"))
    return made


def _operand(one: Any, made: Mapping[int, Any], weights: Mapping[str, Tensor]) -> Any:
    if isinstance(one, int):
        return made[one]
    return weights[one["const"]] if "const" in one else one["value"]


def _activated(value: Tensor, name: str | None) -> Tensor:
    if name is None:
        return value
    return value.clamp(0, {"relu": float("inf"), "relu6": 6.0}[name])


def _convolution(operation: Mapping[str, Any], given: list[Any]) -> Tensor:
    values, weight, bias = given
    stride, rate = operation["stride"], operation["dilation"]
    if operation["padding"] == "same":
        pads = []
        for axis in (1, 0):  # F.pad wants the last axis first
            size, step = values.shape[2 + axis], stride[axis]
            reach = rate[axis] * (weight.shape[2 + axis] - 1) + 1
            total = max(0, (-(-size // step) - 1) * step + reach - size)
            pads += [total // 2, total - total // 2]
        values = F.pad(values, pads)
    groups = values.shape[1] if operation["op"].startswith("depthwise") else 1
    return F.conv2d(values, weight, bias, stride, 0, rate, groups)


def _resize(operation: Mapping[str, Any], given: list[Any]) -> Tensor:
    """Interpolate by two matrices, one for each axis."""
    values, size = given
    for axis, out in zip((2, 3), size, strict=True):
        matrix = _interpolation(values.shape[axis], out, operation["align_corners"])
        values = torch.tensordot(values, matrix, dims=([axis], [1])).movedim(-1, axis)
    return values


def _interpolation(size: int, out: int, align_corners: bool) -> Tensor:
    """Return [out, size]: the share of each entry in each output."""
    matrix = torch.zeros(out, size)
    for index in range(out):
        if align_corners:
            position = index * (size - 1) / (out - 1)
        else:  # centres of pixels
            position = min(max((index + 0.5) * size / out - 0.5, 0.0), size - 1.0)
        first = min(int(position), size - 1)
        matrix[index, first] += 1 - (position - first)
        matrix[index, min(first + 1, size - 1)] += position - first
    return matrix


def _doubled(operation: Mapping[str, Any], given: list[Any]) -> Tensor:
    """Set each pixel's four outputs: kernels [C_out, 2, 2, C_in] of stride 2 never overlap."""
    assert operation["custom"] == "Convolution2DTransposeBias"
    values, weight, bias = given
    count, _, height, width = values.shape
    out = torch.empty(count, len(weight), 2 * height, 2 * width)
    for row in (0, 1):
        for column in (0, 1):
            part = torch.einsum("ncyx,oc->noyx", values, weight[:, row, column])
            out[:, :, row::2, column::2] = part + bias[:, None, None]
    return out


OPERATIONS: Mapping[str, Operation] = {
    "add": lambda _, given: given[0] + given[1],
    "average_pool_2d": lambda _, given: given[0].mean((2, 3), keepdim=True),  # of whole maps
    "concatenation": lambda _, given: torch.cat(given, 1),
    "conv_2d": _convolution,
    "custom": _doubled,
    "depthwise_conv_2d": _convolution,
    "hard_swish": lambda _, given: given[0] * (given[0] + 3).clamp(0, 6) / 6,
    "logistic": lambda _, given: 1 / (1 + (-given[0]).exp()),
    "mul": lambda _, given: given[0] * given[1],
    "relu": lambda _, given: given[0].clamp(min=0),
    "resize_bilinear": _resize,
}
