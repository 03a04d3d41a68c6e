"""What holds for one run: the caller's word, else the recipe's, else the default."""

from __future__ import annotations

from dataclasses import dataclass

from intaglio.calibrate.calibrator import CALIBRATORS
from intaglio.errors import UnknownName
from intaglio.options import Options
from intaglio.recipe import Recipe
from intaglio.targets import TARGETS, Target
from intaglio.targets.target import known_scheme

DEFAULT_TARGET, DEFAULT_SCHEME, DEFAULT_IO, DEFAULT_SEED = "litert", "w8a8", "float", 0
IO_FORMS = ("float", "int8")


@dataclass(frozen=True)
class Settings:
    """Choices that a recipe may name too, all decided and known to exist."""

    recipe: Recipe
    target: Target
    scheme: str
    calibrator: str
    io: str
    seed: int


def settle(recipe: Recipe, target: str | None, options: Options) -> Settings:
    """Return what holds; None in `target` and `options` is: not said.

    Raises:
        UnknownName: If a name does not exist, or the target does not hold the scheme.
    """
    found = TARGETS[target or recipe.target or DEFAULT_TARGET]
    calibrator = options.calibrator or recipe.calibrator
    CALIBRATORS[calibrator]  # raises UnknownName with the nearest names
    io = options.io or recipe.io or DEFAULT_IO
    if io not in IO_FORMS:
        raise UnknownName(f"unknown io '{io}': known: {', '.join(IO_FORMS)}")
    scheme = known_scheme(options.scheme or recipe.scheme or DEFAULT_SCHEME, found)
    seeds = (options.seed, recipe.seed, DEFAULT_SEED)
    seed = next(number for number in seeds if number is not None)
    return Settings(recipe, found, scheme, calibrator, io, seed)
