"""What holds for one run: the caller's word, else the recipe's, else the default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from intaglio.calibrate.calibrator import CALIBRATORS
from intaglio.errors import RequestError, UnknownName
from intaglio.numerics.scheme import Scheme
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import Recipe, refuse_contradictions
from intaglio.runtimes import DEFAULT_TARGET, TARGETS
from intaglio.targets.target import Target, known_scheme

DEFAULT_RECIPE = "auto"
DEFAULT_SEED = 0
DEFAULT_MAX_DROP, DEFAULT_MINUTES = 1.0, 10.0
TUNING_IMAGES, TUNING_IMAGES_LOW_BITS = 256, 1000
"""With few bits rounding matters more, and overfits: the error of the late layers of a MobileNetV2
at 4 bits falls by a third from 256 images to 750."""


N = TypeVar("N", int, float)


@dataclass(frozen=True)
class Settings:
    """Choices that a recipe may name too, all decided and known to exist."""

    recipe: Recipe
    target: Target
    scheme: Scheme
    calibrator: str
    io: str
    seed: int
    keep_float: tuple[str, ...] = ()
    weight_bits: Mapping[str, int] = field(default_factory=dict)
    tuning_images: int = TUNING_IMAGES
    max_drop: float = DEFAULT_MAX_DROP
    minutes: float = DEFAULT_MINUTES


def settle(recipe: Recipe, target: str | None, options: Options) -> Settings:
    """Return what holds; None in `target` and `options` is: not said.

    Raises:
        UnknownName: If a name does not exist, or the target does not hold the scheme.
    """
    refuse_contradictions(recipe)
    found = TARGETS[target or recipe.target or DEFAULT_TARGET]
    calibrator = options.calibrator or recipe.calibrator
    CALIBRATORS[calibrator]  # raises UnknownName with the nearest names
    io = options.io or recipe.io or found.io_forms[0]
    if io not in found.io_forms:
        raise UnknownName(f"unknown io '{io}': known: {', '.join(found.io_forms)}")
    scheme = known_scheme(options.scheme or recipe.scheme or found.schemes[0], found)
    _refuse_undecided_bits(scheme, recipe)
    return Settings(
        recipe,
        found,
        scheme=scheme,
        calibrator=calibrator,
        io=io,
        seed=_first(options.seed, recipe.seed, default=DEFAULT_SEED),
        keep_float=options.keep_float or tuple(recipe.keep_float or ()),
        weight_bits=recipe.weight_bits,
        tuning_images=recipe.tuning_images or _images_for(scheme),
        max_drop=_wish("max_drop", options.max_drop, recipe, default=DEFAULT_MAX_DROP),
        minutes=_wish("minutes", options.minutes, recipe, default=DEFAULT_MINUTES),
    )


def _images_for(scheme: Scheme) -> int:
    is_low = scheme.mixed or min(scheme.weight_bits, scheme.activation_bits) < 8
    return TUNING_IMAGES_LOW_BITS if is_low else TUNING_IMAGES


def _refuse_undecided_bits(scheme: Scheme, recipe: Recipe) -> None:
    decides = recipe.search or recipe.weight_bits
    if scheme.mixed and not decides and "allocate-bits" not in recipe.step_names:
        raise RequestError(
            f"scheme '{scheme.name}' leaves each weight's bits open and recipe '{recipe.name}' does"
            " not decide them: take recipe 'auto', or give it 'weight_bits' or a step"
            " 'allocate-bits'"
        )


def _wish(name: str, said: float | None, recipe: Recipe, *, default: float) -> float:
    if said is not None and not recipe.search:
        raise RequestError(
            f"--{name.replace('_', '-')} is for a search, and recipe '{recipe.name}' does none:"
            " take one of them out, or --recipe auto"
        )
    least = 0.0 if name == "max_drop" else 1e-3
    if said is not None and not least <= said <= 1e6:
        raise RequestError(f"--{name.replace('_', '-')} {said} is out of range: from {least:g} on")
    stated: float | None = getattr(recipe, name)
    return _first(said, stated, default=default)


def _first(*wishes: N | None, default: N) -> N:
    return next((wish for wish in wishes if wish is not None), default)
