"""The result of training: weights by the user's names, what was done, and the integer network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save as to_bytes
from torch import Tensor

from intaglio.host.files import TRAIN_MARK, write_file
from intaglio.host.folder import claim_place, whole_folder
from intaglio.host.place import Place
from intaglio.host.training import copy_state, drop_training
from intaglio.job.result import Result
from intaglio.recipe.recipe import Recipe, to_toml

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, eq=False)
class TrainResult:
    """What `train` returns.

    Attributes:
        result: The integer network, as `compress` returns one; None: it stays in float.
        weights: All tensors of the user's network, by its own names.
        record: What train.json says.
        recipe: What was really run.
        kept: Folder in which the state of the run is kept until the result is saved; None where
            nothing was.
    """

    result: Result | None
    weights: Mapping[str, Tensor]
    record: Mapping[str, Any]
    recipe: Recipe
    kept: Path | None = None

    def save(self, place: str | Path | Place, *, replace: bool = False) -> None:
        """Write the result as a folder, whole or not at all; the kept state is then in it.

        Args:
            place: Where nothing is, or an empty folder.
            replace: Whether an older result may be there, which is then replaced as a whole.

        Raises:
            OutputError: If the place cannot be written, or holds anything else; nothing there has
                then changed.
        """
        claimed = place if isinstance(place, Place) else claim_place(place, replace=replace)
        with whole_folder(claimed) as folder:
            self.write_into(folder)
        if self.kept is not None:
            drop_training(self.kept)

    def write_into(self, folder: Path) -> None:
        """Write the result's files into a folder that exists."""
        if self.result is not None:
            self.result.write_into(folder)
        write_file(folder / "recipe.toml", to_toml(self.recipe))
        write_file(folder / WEIGHTS, to_bytes(dict(self.weights)))
        write_file(folder / TRAIN_MARK, train_json(self.record))
        if self.kept is not None:
            copy_state(self.kept, folder)


DIGITS = 4


def plain(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures as JSON values, rounded; what was not measured is left out.

    An infinite SQNR is None, as in report.json.
    """
    return {name: _plain(value) for name, value in figures.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value


def train_json(record: Mapping[str, Any]) -> str:
    """Return the text of train.json: strict JSON in ASCII, ending with a newline."""
    return json.dumps(record, indent=1, allow_nan=False) + "\n"
