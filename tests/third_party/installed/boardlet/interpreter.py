"""Runs a .board file: JSON and numpy's integers, and nothing of intaglio or torch.

Values are raw integers in the order [C, H, W] or [C]; a file says shapes, grids and multipliers.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


def load(content: bytes) -> dict[str, Any]:
    """Return a file's model; raise ValueError where it is none."""
    model = json.loads(content)
    if not isinstance(model, dict) or model.get("format") != "boardlet 1":
        raise ValueError("it does not say 'boardlet 1'")
    return model


def run(model: dict[str, Any], image: npt.NDArray[np.float32]) -> dict[str, Integers]:
    """Return every value of the network for one image [C, H, W]."""
    first = model["input"]
    steps = np.floor(image.astype(np.float64) / np.float64(np.float32(first["scale"])) + 0.5)
    values = {first["name"]: (steps + first["zero"]).clip(first["low"], first["high"])}
    values[first["name"]] = values[first["name"]].astype(np.int64)
    for op in model["ops"]:
        inputs = [values[name] - zero for name, zero in zip(op["inputs"], op["zeros"], strict=True)]
        values[op["name"]] = FUNCTIONS[op["op"]](op, inputs)
    return values


def _rounded(total: Integers, op: dict[str, Any]) -> Integers:
    """Return total * multiplier / 2**shift, halves down, on the result's grid."""
    shape = (-1, *[1] * (total.ndim - 1))
    mantissa = np.asarray(op["mantissa"], np.int64).reshape(shape)
    shift = np.asarray(op["shift"], np.int64).reshape(shape)
    scaled = (total * mantissa + (np.int64(1) << (shift - 1)) - 1) >> shift
    return (scaled + op["zero"]).clip(op["low"], op["high"])


def _stored(op: dict[str, Any]) -> Integers:
    data = np.frombuffer(base64.b64decode(op["weight"]), np.int8)
    return data.reshape(op["weight_shape"]).astype(np.int64)


def _convolved(op: dict[str, Any], inputs: list[Integers]) -> Integers:
    weight, groups = _stored(op), op["groups"]
    top, bottom, left, right = op["padding"]
    x = np.pad(inputs[0], ((0, 0), (top, bottom), (left, right)))
    (down, across), (rows, columns) = op["stride"], weight.shape[2:]
    height, width = op["shape"][1:]
    total = np.zeros(op["shape"], np.int64)
    outs, ins = weight.shape[0] // groups, weight.shape[1]
    for group in range(groups):
        part = x[group * ins : (group + 1) * ins]
        kernel = weight[group * outs : (group + 1) * outs]
        for row in range(rows):
            for column in range(columns):
                seen = part[
                    :,
                    row : row + (height - 1) * down + 1 : down,
                    column : column + (width - 1) * across + 1 : across,
                ]
                total[group * outs : (group + 1) * outs] += np.einsum(
                    "oi,ihw->ohw", kernel[:, :, row, column], seen
                )
    return _rounded(total + np.asarray(op["bias"], np.int64).reshape(-1, 1, 1), op)


def _connected(op: dict[str, Any], inputs: list[Integers]) -> Integers:
    return _rounded(_stored(op) @ inputs[0] + np.asarray(op["bias"], np.int64), op)


def _added(op: dict[str, Any], inputs: list[Integers]) -> Integers:
    first, second = op["factors"]
    total = inputs[0] * first + inputs[1] * second
    scaled = (total + (1 << (op["shift"] - 1)) - 1) >> op["shift"]
    return (scaled + op["zero"]).clip(op["low"], op["high"])


def _averaged(op: dict[str, Any], inputs: list[Integers]) -> Integers:
    return _rounded(inputs[0].sum((1, 2), keepdims=op["keeps"]), op)


def _reshaped(op: dict[str, Any], inputs: list[Integers]) -> Integers:
    return inputs[0].reshape(op["shape"]) + op["zero"]


FUNCTIONS = {
    "conv2d": _convolved,
    "linear": _connected,
    "add": _added,
    "mean": _averaged,
    "reshape": _reshaped,
}
