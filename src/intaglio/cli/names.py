"""Names of what there is, for answers that must not wait for torch; from names.json.

`python docs/make_names.py` writes that file from the tables of the package, and a test holds the
two equal.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from intaglio.registry import Registry

_CONTENT = json.loads(resources.files("intaglio.cli").joinpath("names.json").read_bytes())

MODELS: list[dict[str, Any]] = _CONTENT["models"]
"""The zoo by name: "task", "params", "macs", "input_shape" and "preprocess" of each network."""
RECIPES: list[dict[str, str]] = _CONTENT["recipes"]
"""The recipes by name, each with its "description"."""


def _table(kind: str, names: list[str], group: str | None = None) -> Registry[None]:
    """Return a table of names alone; it knows, and imports nothing of, what packages add."""
    table: Registry[None] = Registry(kind, group)
    for name in names:
        table.register(name)(None)
    return table


TABLES = (
    _table("recipe", [row["name"] for row in RECIPES]),
    _table("target", _CONTENT["targets"], group="intaglio.runtimes"),
    _table("calibrator", _CONTENT["calibrators"]),
    _table("method", _CONTENT["methods"]),
    _table("task", _CONTENT["tasks"], group="intaglio.tasks"),
)
"""What a request may name, by the name of its field."""


def refuse_unknown_names(request: object) -> None:
    """Raise where a request names something that does not exist, before anything is loaded for it.

    Raises:
        UnknownName: With the nearest names, in the words of the table that has the things.
    """
    for table in TABLES:
        name = getattr(request, table.kind, None)
        if name and not name.endswith(".toml") and name not in table:
            table[name]
