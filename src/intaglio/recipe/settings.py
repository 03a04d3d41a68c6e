"""What holds for one run: the caller's word, else the recipe's, else the default.

A wish that options and recipes may both name is a field of `Options`, one of `Recipe` and one, with
its default, of `Settings`, all of one name; nothing else has to know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from intaglio.calibrate.calibrator import CALIBRATORS
from intaglio.errors import RequestError, UnknownName
from intaglio.numerics.scheme import DEPLOYABLE, HALF, Scheme, parse_scheme
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import AUTO, DATA_FREE, WORKFLOW, Recipe, refuse_contradictions
from intaglio.recipe.without_images import spelled
from intaglio.runtimes import DEFAULT_TARGET, SIMULATION, target_named
from intaglio.targets.target import BESIDE, IN_FILE, Target, runnable_scheme
from intaglio.tasks import TASKS, Task

DEFAULT_RECIPE = "auto"
HALF_RECIPE = "plain"
DEFAULT_SEED = 0
TUNING_IMAGES, TUNING_IMAGES_LOW_BITS = 256, 1000
"""With few bits rounding matters more, and overfits: the error of the late layers of a MobileNetV2
at 4 bits falls by a third from 256 images to 750."""
WISHES = tuple(wish.name for wish in fields(Options) if wish.name in Recipe.model_fields)
"""What options may say in place of the recipe, by name."""
RANGES = {"max_drop": (0.0, 100.0), "min_sqnr": (0.0, 200.0), "minutes": (1e-3, 1e6)}
"""The least and the most that a wish takes."""


@dataclass(frozen=True)
class Settings:
    """Choices that a recipe may name too, all decided and known to exist.

    The defaults are what holds where neither the caller nor the recipe says anything; those of the
    scheme and of what the file takes are the target's. `float_reasons` says of layers among
    `keep_float` that nobody asked for why they are there; `is_spelled`, whether the recipe's steps
    were chosen here, and may be chosen anew for the network (job/fitted.py); `own_task`, the task
    that the network brings.
    """

    recipe: Recipe
    target: Target
    scheme: Scheme
    calibrator: str
    io: str
    postprocess: str = BESIDE
    seed: int = DEFAULT_SEED
    keep_float: tuple[str, ...] = ()
    weight_bits: Mapping[str, int] = field(default_factory=dict)
    tuning_images: int = TUNING_IMAGES
    task: str | None = None
    max_drop: float = 1.0
    min_sqnr: float = 25.0
    minutes: float = 10.0
    allow_float: bool = False
    float_reasons: Mapping[str, str] = field(default_factory=dict)
    is_spelled: bool = False
    own_task: Task | None = None

    @property
    def is_simulated(self) -> bool:
        """Whether the twin alone runs the scheme: no file of the target holds it."""
        return self.target.simulates(self.scheme)


def default_recipe(scheme: str | None, *, has_images: bool = True) -> str:
    """Return the recipe where nobody says one: a float format has nothing to search for."""
    if scheme == HALF:
        return HALF_RECIPE
    return DEFAULT_RECIPE if has_images else DATA_FREE


def settle(recipe: Recipe, target: str | None, options: Options) -> Settings:
    """Return what holds; None in `target` and `options` is: not said.

    Raises:
        UnknownName: If a name does not exist, or the target does not hold the scheme.
        RequestError: If two wishes contradict, or a number is out of range.
    """
    refuse_contradictions(recipe)
    found = target_named(target or recipe.target or _usual_target(recipe, options))
    scheme = runnable_scheme(options.scheme or recipe.scheme, found)
    given, recipe = recipe, spelled(recipe, scheme)
    said = _said(recipe) | _said(options)
    said.pop("scheme", None)
    CALIBRATORS[said.setdefault("calibrator", recipe.calibrator)]  # raises UnknownName
    if "task" in said:
        TASKS[said["task"]]  # as above
    io = said.pop("io", found.io_forms[0])
    if io not in found.io_forms:
        raise UnknownName(f"unknown io '{io}': known: {', '.join(found.io_forms)}")
    _refuse_undecided_bits(scheme, recipe)
    if scheme.is_half:
        _refuse_of_half(recipe, {**said, "io": io}, _said(options))
    _refuse_wishes(recipe, _said(options))
    _refuse_place(said.get("postprocess", BESIDE), found, scheme)
    return Settings(
        recipe,
        found,
        scheme=scheme,
        io=io,
        weight_bits=recipe.weight_bits,
        tuning_images=recipe.tuning_images or _images_for(scheme),
        is_spelled=recipe is not given,
        own_task=options.provenance.task,
        **said,
    )


def _usual_target(recipe: Recipe, options: Options) -> str:
    """Return the target where nobody says one: schemes of papers have no device."""
    text = options.scheme or recipe.scheme
    is_published = text is not None and parse_scheme(text).coverage != DEPLOYABLE
    return SIMULATION.name if is_published else DEFAULT_TARGET


def _said(source: Recipe | Options) -> dict[str, Any]:
    """Return the wishes that a recipe, or the caller, names; what is empty is not said.

    0 and False are words: they count before what the recipe says.
    """
    words = {name: getattr(source, name) for name in WISHES}
    return {
        name: tuple(word) if isinstance(word, list) else word
        for name, word in words.items()
        if word not in (None, "", (), [])
    }


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


def _refuse_of_half(recipe: Recipe, said: Mapping[str, Any], by_caller: Mapping[str, Any]) -> None:
    """Raise where something is asked for that has no meaning in float16.

    Args:
        said: What caller and recipe say together.
        by_caller: What the caller says.
    """
    calibrates = recipe.calibrator != Recipe.model_fields["calibrator"].default
    if recipe.search or recipe.steps or recipe.weight_bits or calibrates:
        does = "searches" if recipe.search else "is for integers"
        raise RequestError(
            f"scheme '{HALF}' rounds weights to float16 and runs no steps, and recipe"
            f" '{recipe.name}' {does}: leave it out, or say '{HALF_RECIPE}'"
        )
    if "calibrator" in by_caller:
        raise RequestError(
            f"--calibrator {by_caller['calibrator']}: scheme '{HALF}' has no ranges to find: leave"
            " it out"
        )
    if said["io"] != "float":
        raise RequestError(
            f"--io {said['io']}: a file of scheme '{HALF}' takes and gives float32: leave it out"
        )
    if said.get("allow_float"):
        raise RequestError(
            f"--allow-float: scheme '{HALF}' computes all layers in float: leave it out; a layer"
            " whose weights float16 does not hold is stored in float32 without being asked"
        )


def _refuse_place(place: str, target: Target, scheme: Scheme) -> None:
    """Raise where a file cannot hold what is to come of a detector's outputs."""
    if place not in (BESIDE, IN_FILE):
        raise UnknownName(f"unknown postprocess '{place}': known: {BESIDE}, {IN_FILE}")
    if place not in target.postprocess_places:
        raise RequestError(
            f"--postprocess {place}: files of target {target.name} end in the network's outputs:"
            " leave it out"
        )
    if place == IN_FILE and target.simulates(scheme):
        raise RequestError(
            f"--postprocess {place}: scheme '{scheme.name}' is simulated, so that there is no file"
            f" to end in boxes: leave it out, or use one of {', '.join(target.schemes)}"
        )


def _refuse_wishes(recipe: Recipe, said: Mapping[str, Any]) -> None:
    """Raise where a caller's wish contradicts the recipe, or is out of range."""
    if "minutes" in said and not recipe.search:
        raise RequestError(
            f"--minutes is for a search, and recipe '{recipe.name}' does none: take one of them"
            " out, or --recipe auto"
        )
    if recipe.ladder == WORKFLOW and "calibrator" in said:
        raise RequestError(
            f"--calibrator {said['calibrator']}: recipe '{recipe.name}' tries calibrators of its"
            " own: take one of them out"
        )
    if recipe.ladder == WORKFLOW and said.get("allow_float") is False:
        raise RequestError(
            f"allow_float=False: recipe '{recipe.name}' leaves layers in float where calibrators"
            f" miss the wish: take it out, or recipe '{AUTO}', which does so only where allowed"
        )
    for name, (least, most) in RANGES.items():
        if name in said and not least <= said[name] <= most:
            option = f"--{name.replace('_', '-')}"
            raise RequestError(f"{option} {said[name]} is out of range: from {least:g} to {most:g}")
