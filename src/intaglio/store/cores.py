"""cores.json: which parts of a user's detector a result holds, read as the file of a stranger."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from intaglio.errors import RequestError
from intaglio.host.complaint import LONGEST, first_complaint
from intaglio.host.files import MOST_CORES
from intaglio.host.strict_json import read_json

Size = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
Shape = Annotated[tuple[Size, ...], Field(max_length=8)]
MOST_VALUES = 2**28
"""Of all pictures together, which are made anew to cut a module: 1 GiB in float32."""


@dataclass(frozen=True)
class StoredCore:
    """A core, and where in the user's module it is.

    Attributes:
        name: Path of its first layer.
        places: Paths of its layers that the module calls by themselves, in order.
        input_shape: Of one input, without the batch.
        outputs: Names of what it gives.
    """

    name: str
    places: tuple[str, ...]
    input_shape: Shape
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class StoredWhole:
    """The cores of a module, the one that is given the pictures first.

    Attributes:
        cores: At least one.
        takes: What the module took when it was cut: one "tensor", or a list of "pictures".
        shapes: Of that tensor, or of each picture.
        format: Raised when the meaning changes.
    """

    cores: Annotated[tuple[StoredCore, ...], Field(min_length=1, max_length=MOST_CORES)]
    takes: Literal["tensor", "pictures"]
    shapes: Annotated[tuple[Shape, ...], Field(min_length=1, max_length=1024)]
    format: Literal[1] = 1


def cores_text(whole: StoredWhole) -> str:
    """Return the text of the file."""
    return json.dumps(asdict(whole), indent=1) + "\n"


def read_cores(path: Path) -> StoredWhole | None:
    """Return what the file says; None where there is none.

    Raises:
        RequestError: If it is damaged; names what is wrong.
    """
    if not path.is_file():
        return None
    try:
        whole = TypeAdapter(StoredWhole).validate_python(read_json(path))
        _check(whole)
        return whole
    except ValidationError as error:
        said = first_complaint(error)
        raise RequestError(
            f"{path}: {said.key}: {said.message}, got {said.seen}: it is damaged"
        ) from error
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: cannot be read, or is damaged: {error}") from error


def _check(whole: StoredWhole) -> None:
    """Raise ValueError for what fits its types and cannot be."""
    names = [core.name for core in whole.cores]
    if len(set(names)) < len(names):
        raise ValueError(f"two cores have one name: {', '.join(names)[:LONGEST]}")
    if whole.takes == "tensor" and len(whole.shapes) > 1:
        raise ValueError(f"one tensor has {len(whole.shapes)} shapes")
    if sum(map(math.prod, whole.shapes)) > MOST_VALUES:
        raise ValueError(f"its pictures have more than {MOST_VALUES} values")
