"""encodings.json: scales and zero points by name, exact, for people and other programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from intaglio.errors import IntaglioError, RequestError
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import QuantParams, QuantSpec


class _Grid(BaseModel):
    """One tensor's record: one scale for the tensor, or one for each index of `axis`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    bits: int
    signed: bool
    symmetric: bool
    narrow: bool
    axis: int | None
    scale: float | list[float]
    zero_point: int | list[int]


class _File(BaseModel):
    activations: dict[str, _Grid]
    weights: dict[str, _Grid]


def encodings_to_dict(encodings: Encodings) -> dict[str, Any]:
    """Return encodings as plain values; float32 scales are written so that they read back exactly."""
    return {
        "activations": {name: _record(grid) for name, grid in encodings.activations.items()},
        "weights": {name: _record(grid) for name, grid in encodings.weights.items()},
    }


def encodings_from_dict(content: Mapping[str, Any], where: str) -> Encodings:
    """Return the encodings that `encodings_to_dict` wrote.

    Raises:
        RequestError: If a key is missing or a value makes no sense; says `where` and which.
    """
    try:
        file = TypeAdapter(_File).validate_python(dict(content))
        return Encodings(
            {name: _params(grid) for name, grid in file.activations.items()},
            {name: _params(grid) for name, grid in file.weights.items()},
        )
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise RequestError(f"{where}: '{path}': {first['msg']}") from error
    except IntaglioError as error:
        raise RequestError(f"{where}: {error}") from error


def _record(grid: QuantParams) -> dict[str, Any]:
    spec = grid.spec
    return {
        "bits": spec.bits,
        "signed": spec.signed,
        "symmetric": spec.symmetric,
        "narrow": spec.narrow,
        "axis": spec.axis,
        "scale": grid.scale.tolist(),
        "zero_point": grid.zero_point.tolist(),
    }


def _params(grid: _Grid) -> QuantParams:
    spec = QuantSpec(grid.bits, grid.signed, grid.symmetric, grid.axis, grid.narrow)
    scale = torch.tensor(grid.scale, dtype=torch.float32)
    return QuantParams(scale, torch.tensor(grid.zero_point, dtype=torch.int32), spec)
