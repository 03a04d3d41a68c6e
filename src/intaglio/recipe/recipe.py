"""Recipes: which steps are run, by name or from a TOML file, and what was run, written as one."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from intaglio.calibrate.calibrator import CALIBRATORS
from intaglio.errors import RequestError, UnknownName
from intaglio.host.complaint import first_complaint
from intaglio.host.files import require_plain_file
from intaglio.methods import STEPS, make_step
from intaglio.methods.datafree.synthesis import Synthesis
from intaglio.methods.learn.options import TrainOptions
from intaglio.methods.steps.steps import NUMBERS, STRUCTURE
from intaglio.registry import Registry

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
"""Keys that TOML takes without quotes."""
LARGEST_BYTES, MOST_DOTS, LONGEST_KEY = 2**18, 500, 80
QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'[^']*'""")
ALWAYS_WRITTEN = {"name", "description", "calibrator"}
AUTO, WORKFLOW = LADDERS = ("auto", "workflow")
"""What a search may climb; each has a recipe of its name."""

DATA_FREE = "datafree"
"""The recipe where there are no images and nobody says one."""

Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class TrainTable(TrainOptions):
    """The `[train]` table of a recipe: the words of `TrainOptions`, and how grids follow.

    Attributes:
        method: A name of `intaglio.methods.train.qat.methods()`; None: not said.
    """

    method: str | None = None


class Recipe(BaseModel):
    """What is done to a network, and with which settings.

    Attributes:
        name: What it is called in reports.
        description: One line for lists.
        calibrator: Name of the calibrator of activations.
        steps: What is done beside, in order: {"name": ..., and the step's settings}.
        search: Whether steps and calibrator are searched for (job/ladder.py) until `max_drop` is
            met or `minutes` are spent; `steps` are then not stated.
        ladder: Which rungs a search tries, one of LADDERS; None: those of "auto".
        task: What the network is for, where its outputs do not tell.
        max_drop: Points of the task's metric that may be lost: a search ends there, and the
            verdict is about it.
        min_sqnr: The same in dB for outputs that have no metric.
        minutes: What a search may take.
        tuning_images: How many images steps look at; None: 256, or 1000 where weights have fewer
            than 8 bits. A recipe without steps streams through all.
        judged_share: Share of those images that nothing is tuned on, and results are judged on.
        weight_bits: Layer to bits of its weight, where it is not to have the scheme's.
        target, scheme, io, postprocess, seed, limit, keep_float, allow_float: As on the command
            line; None: not said by the recipe.
        synthetic: Images that are made of batch norms where there are none, for the steps to look
            at; None: none are made.
        train: How the network is trained; for `intaglio train` alone.
        ran: What a run used beside that: model, weights, data. For the reader; not read back.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "plain"
    description: str = ""
    calibrator: str = "minmax"
    search: bool = False
    ladder: Literal["auto", "workflow"] | None = None
    task: str | None = None
    max_drop: Annotated[float, Field(ge=0.0, le=100.0)] | None = None
    min_sqnr: Annotated[float, Field(ge=0.0, le=200.0)] | None = None
    minutes: Annotated[float, Field(gt=0.0)] | None = None
    tuning_images: Annotated[int, Field(ge=1)] | None = None
    judged_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    target: str | None = None
    scheme: str | None = None
    io: str | None = None
    postprocess: str | None = None
    seed: Int64 | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    keep_float: list[str] | None = None
    allow_float: bool | None = None
    weight_bits: dict[str, int] = {}
    steps: list[dict[str, Any]] = []
    synthetic: Synthesis | None = None
    train: TrainTable | None = None
    ran: dict[str, str | Int64 | float | bool | None] = {}

    @property
    def step_names(self) -> list[str]:
        """The names of its steps, in order."""
        return [str(step.get("name", "")) for step in self.steps]


RECIPES: Registry[Recipe] = Registry("recipe")
"""By name; recipe/built_in.py fills it."""


def find_recipe(text: str) -> Recipe:
    """Return a recipe by name, or from a .toml file.

    Raises:
        UnknownName: If there is no such recipe, or it names an unknown calibrator.
        RequestError: If the file cannot be read or says something that no recipe says.
    """
    recipe = _from_file(Path(text)) if text.endswith(".toml") else RECIPES[text]
    CALIBRATORS[recipe.calibrator]  # raises UnknownName with the nearest names
    refuse_contradictions(recipe)
    return recipe


def refuse_contradictions(recipe: Recipe) -> None:
    """Raise where a recipe says two things that cannot both hold, naming both.

    Raises:
        RequestError: If two keys or steps contradict, or a step's setting has the wrong type.
        UnknownName: If a step or one of its settings does not exist.
    """
    where = f"recipe '{recipe.name}'"
    for key in ("steps", "weight_bits", "synthetic"):
        if recipe.search and getattr(recipe, key):
            raise RequestError(
                f"{where}: 'search' and '{key}' contradict: a search finds them; take one out"
            )
    _refuse_idle_words(recipe)
    numbers = ""
    for wish in recipe.steps:
        make_step(wish)
        kind = STEPS[str(wish["name"])]
        if kind.phase == STRUCTURE and numbers:
            raise RequestError(
                f"{where}: step '{kind.name}' changes the float network and comes behind"
                f" '{numbers}', which tunes integers: put it before"
            )
        numbers = kind.name if kind.phase == NUMBERS else numbers
        if kind.name == "allocate-bits" and recipe.weight_bits:
            raise RequestError(
                f"{where}: step 'allocate-bits' and 'weight_bits' both decide bits: take one out"
            )


def _refuse_idle_words(recipe: Recipe) -> None:
    """Raise where a recipe says something that nothing of what it does would follow."""
    where = f"recipe '{recipe.name}'"
    if not recipe.search and recipe.minutes is not None:
        raise RequestError(
            f"{where}: 'minutes' is for a search, but 'search' is false: take one out, or take"
            " recipe 'auto'"
        )
    if not recipe.search and recipe.ladder is not None:
        raise RequestError(
            f"{where}: 'ladder' is for a search, but 'search' is false: take it out, or say"
            " search = true"
        )
    if recipe.ladder != WORKFLOW:
        return
    if recipe.calibrator != Recipe.model_fields["calibrator"].default:
        raise RequestError(
            f"{where}: ladder '{WORKFLOW}' tries calibrators of its own, and contradicts"
            f" calibrator '{recipe.calibrator}': take one out"
        )
    if recipe.allow_float is False:
        raise RequestError(
            f"{where}: ladder '{WORKFLOW}' leaves layers in float where calibrators miss the wish,"
            f" and contradicts allow_float = false: take one out, or ladder '{AUTO}'"
        )


def to_toml(recipe: Recipe) -> str:
    """Return a recipe as TOML; `find_recipe` reads it back."""
    apart = {"ran", "steps", "synthetic", "train", "weight_bits"}
    values = recipe.model_dump(exclude=apart, exclude_none=True)
    said = recipe.model_dump(exclude_defaults=True).keys() | ALWAYS_WRITTEN
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if key in said]
    lines += _table("weight_bits", recipe.weight_bits)
    for step in recipe.steps:
        lines += ["", "[[steps]]"]
        tables = {key: value for key, value in step.items() if isinstance(value, dict)}
        lines += [f"{_key(k)} = {_toml(v)}" for k, v in step.items() if k not in tables]
        for key, value in tables.items():
            lines += ["", f"[steps.{_key(key)}]"]
            lines += [f"{_key(k)} = {_toml(v)}" for k, v in value.items() if v is not None]
    if recipe.synthetic is not None:
        lines += _table("synthetic", recipe.synthetic.model_dump())
    if recipe.train is not None:
        lines += _table("train", recipe.train.model_dump(exclude_unset=True))
    lines += _table("ran", recipe.ran)
    return "\n".join(lines) + "\n"


def _table(name: str, values: Mapping[str, object]) -> list[str]:
    if not values:
        return []
    stated = [f"{_key(k)} = {_toml(v)}" for k, v in values.items() if v is not None]
    return ["", f"[{name}]", *stated]


def _key(key: str) -> str:
    return key if BARE_KEY.fullmatch(key) else _toml(key)


def _toml(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON spells them otherwise
    if isinstance(value, str):
        # a byte of a file's name that is no UTF-8 is a lone surrogate, which no TOML can hold
        value = value.encode("utf-8", "backslashreplace").decode("utf-8")
    # the basic strings of TOML are those of JSON, but for one character and without such pairs
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _read_toml(path: Path) -> Mapping[str, object]:
    require_plain_file(path, LARGEST_BYTES)
    text = path.read_text(encoding="utf-8")
    # tomllib takes time and memory with the square of a dotted key's parts
    if any(QUOTED.sub("", line).count(".") > MOST_DOTS for line in text.splitlines()):
        raise ValueError(f"a line has more than {MOST_DOTS} dots outside of quotes")
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _refuse_endless_numbers(content)
    return content


def _refuse_endless_numbers(content: Mapping[str, object]) -> None:
    """Raise ValueError for a whole number beyond TOML's 64 bits, which tomllib lets pass.

    One in hexadecimal may be so long that Python does not write it in a message either.
    """
    waiting: list[tuple[str, object]] = list(content.items())
    for key, value in waiting:  # it grows meanwhile
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(f"key {key[:LONGEST_KEY]!r} has a whole number beyond 64 bits")
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(key, inner) for inner in value]


def _from_file(path: Path) -> Recipe:
    try:
        content = _read_toml(path)
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: cannot be read as a recipe: {error}") from error
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        first = first_complaint(error)
        known = ", ".join(Recipe.model_fields)
        if first.kind == "extra_forbidden":
            tables: dict[str, type[BaseModel]] = {"train": TrainTable, "synthetic": Synthesis}
            table = first.key.partition(".")[0]
            if table in tables and table != first.key:
                known = f"in [{table}] {', '.join(tables[table].model_fields)}"
            raise UnknownName(
                f"{path}: unknown key '{first.key}' in a recipe: known are {known}"
            ) from error
        raise RequestError(
            f"{path}: key '{first.key}': {first.message}, got {first.seen}"
        ) from error
