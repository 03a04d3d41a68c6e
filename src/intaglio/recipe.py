"""Recipes: which steps are run, by name or from a TOML file, and what was run, written as one."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from intaglio.calibrate.calibrator import CALIBRATORS
from intaglio.errors import RequestError, UnknownName
from intaglio.registry import Registry

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
"""Keys that TOML takes without quotes."""


class Recipe(BaseModel):
    """What is done to a network, and with which settings.

    Attributes:
        name: What it is called in reports.
        description: One line for lists.
        calibrator: Name of the calibrator of activations.
        target, scheme, io, seed, limit: As on the command line; None: not said by the recipe.
        ran: What a run used beside that: model, weights, data. For the reader; not read back.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "plain"
    description: str = ""
    calibrator: str = "minmax"
    target: str | None = None
    scheme: str | None = None
    io: Literal["float", "int8"] | None = None
    seed: int | None = None
    limit: int | None = None
    ran: dict[str, str | int | float | bool | None] = {}


RECIPES: Registry[Recipe] = Registry("recipe")
RECIPES.register("plain")(
    Recipe(name="plain", description="fold batch norms, min-max ranges, nothing else")
)
RECIPES.register("plain-moving-average")(
    Recipe(
        name="plain-moving-average",
        description="as plain, with moving-average ranges: rare outliers are clipped",
        calibrator="moving-average",
    )
)


def find_recipe(text: str) -> Recipe:
    """Return a recipe by name, or from a .toml file.

    Raises:
        UnknownName: If there is no such recipe, or it names an unknown calibrator.
        RequestError: If the file cannot be read or says something that no recipe says.
    """
    recipe = _from_file(Path(text)) if text.endswith(".toml") else RECIPES[text]
    if recipe.calibrator not in CALIBRATORS:
        CALIBRATORS[recipe.calibrator]  # raises UnknownName with the nearest names
    return recipe


def to_toml(recipe: Recipe) -> str:
    """Return a recipe as TOML; `find_recipe` reads it back."""
    values = recipe.model_dump(exclude={"ran"}, exclude_none=True)
    lines = [f"{key} = {_toml(value)}" for key, value in values.items()]
    if recipe.ran:
        lines += ["", "[ran]"]
        lines += [
            f"{key if BARE_KEY.fullmatch(key) else _toml(key)} = {_toml(value)}"
            for key, value in recipe.ran.items()
            if value is not None
        ]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON spells them otherwise
    if isinstance(value, str):
        # a byte of a file's name that is no UTF-8 is a lone surrogate, which no TOML can hold
        value = value.encode("utf-8", "backslashreplace").decode("utf-8")
    # the basic strings of TOML are those of JSON, but for one character and without such pairs
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _from_file(path: Path) -> Recipe:
    try:
        content: Mapping[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RequestError(f"{path}: cannot be read as a recipe: {error}") from error
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = ", ".join(Recipe.model_fields)
        if first["type"] == "extra_forbidden":
            raise UnknownName(
                f"{path}: unknown key '{where}' in a recipe: known are {known}"
            ) from error
        raise RequestError(
            f"{path}: key '{where}': {first['msg']}, got {first['input']!r}"
        ) from error
