"""encodings.json: scales and zero points by name, exact, for people and other programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from intaglio.errors import IntaglioError, RequestError, SpecError
from intaglio.host.complaint import first_complaint
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import QuantParams, QuantSpec

Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]


class _Grid(BaseModel):
    """One tensor's record: one scale for the tensor, or one for each index of `axis`."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    bits: int
    signed: bool
    symmetric: bool
    narrow: bool
    axis: int | None
    scale: float | list[float]
    zero_point: Int32 | list[Int32]


_GRID = TypeAdapter(_Grid)
_PARTS = ("activations", "weights")
HALVES = "halves"


def encodings_to_dict(encodings: Encodings) -> dict[str, Any]:
    """Return encodings as plain values; float32 scales are written so that they read back."""
    halves = {} if encodings.halves is None else {HALVES: sorted(encodings.halves)}
    return {
        "activations": {name: _record(grid) for name, grid in encodings.activations.items()},
        "weights": {name: _record(grid) for name, grid in encodings.weights.items()},
        **halves,
    }


def encodings_from_dict(content: Mapping[str, Any], where: str) -> Encodings:
    """Return the encodings that `encodings_to_dict` wrote.

    Raises:
        RequestError: If a key is missing or a value makes no sense; says `where` and which.
    """
    grids: list[dict[str, QuantParams]] = []
    for part in _PARTS:
        if not isinstance(content.get(part), dict):
            raise RequestError(f"{where}: '{part}' is missing, or no object of names and grids")
        # one by one: pydantic would collect the errors of millions of wrong ones
        made = {name: _grid(f"{part}.{name}", grid, where) for name, grid in content[part].items()}
        grids.append(made)
    activations, weights = grids
    halves = content.get(HALVES)
    if halves is None:
        return Encodings(activations, weights)
    if not isinstance(halves, list) or not all(isinstance(key, str) for key in halves):
        raise RequestError(f"{where}: '{HALVES}' is no list of names")
    return Encodings(activations, weights, frozenset(halves))


def _grid(key: str, plain: Any, where: str) -> QuantParams:
    try:
        return _params(_GRID.validate_python(plain))
    except ValidationError as error:
        first = first_complaint(error)
        path = ".".join([key, *[first.key] * bool(first.key)])
        raise RequestError(f"{where}: '{path}': {first.message}, got {first.seen}") from error
    except IntaglioError as error:
        raise RequestError(f"{where}: '{key}': {error}") from error


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
    zero_point = torch.tensor(grid.zero_point, dtype=torch.int32)
    if scale.shape != zero_point.shape:
        raise SpecError(f"{scale.numel()} scales and {zero_point.numel()} zero points")
    if scale.numel() == 0 or (scale.ndim == 0) != (spec.axis is None):
        raise SpecError(f"a grid with axis {spec.axis} has scales of shape {list(scale.shape)}")
    if bool(((zero_point < spec.qmin) | (zero_point > spec.qmax)).any()):
        raise SpecError(f"a zero point lies outside {spec.qmin} to {spec.qmax}")
    if spec.symmetric and bool(zero_point.any()):
        raise SpecError("a symmetric grid has a zero point that is not 0")
    return QuantParams(scale, zero_point, spec)
