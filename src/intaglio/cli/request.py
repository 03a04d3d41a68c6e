"""What `compress` was asked to do: options before the recipe's words, and those before defaults."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

import torch

from intaglio.calibrate import CALIBRATORS
from intaglio.cli.options import LARGEST_SEED
from intaglio.data.dataset import Dataset, draw
from intaglio.data.images import open_dataset
from intaglio.errors import RequestError, UnknownName
from intaglio.recipe import Recipe, find_recipe
from intaglio.targets import TARGETS, Target

DEFAULT_TARGET, DEFAULT_SCHEME, DEFAULT_IO, DEFAULT_SEED = "litert", "w8a8", "float", 0
IO_FORMS = ("float", "int8")
NO_DATA = "none"
DEVICES = ("cpu", "cuda", "mps", "xpu")
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Choices:
    """Settings that a recipe may name too; None: not said on the command line."""

    target: str | None = None
    scheme: str | None = None
    recipe: str | None = None
    calibrator: str | None = None
    io: str | None = None
    limit: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Settled:
    """The same settings, all decided and known to exist."""

    recipe: Recipe
    target: Target
    scheme: str
    calibrator: str
    io: str
    limit: int | None
    seed: int


def settle(choices: Choices) -> Settled:
    """Return what holds: the command line's word, else the recipe's, else the default.

    Raises:
        RequestError: If a name does not exist, or a number is out of range.
    """
    recipe = find_recipe(choices.recipe or "plain")
    target = TARGETS[choices.target or recipe.target or DEFAULT_TARGET]
    calibrator = choices.calibrator or recipe.calibrator
    CALIBRATORS[calibrator]  # raises UnknownName with the nearest names
    io = choices.io or recipe.io or DEFAULT_IO
    if io not in IO_FORMS:
        raise UnknownName(f"unknown --io '{io}': known: {', '.join(IO_FORMS)}")
    seeds = (choices.seed, recipe.seed, DEFAULT_SEED)
    seed = next(number for number in seeds if number is not None)
    if not 0 <= seed <= LARGEST_SEED:
        raise RequestError(f"the recipe's seed {seed} is not within 0 to {LARGEST_SEED}")
    limit = choices.limit if choices.limit is not None else recipe.limit
    scheme = known_scheme(choices.scheme or recipe.scheme or DEFAULT_SCHEME, target)
    return Settled(recipe, target, scheme, calibrator, io, limit, seed)


def known_scheme(scheme: str, target: Target) -> str:
    """Return the scheme; raise UnknownName where the target does not hold it."""
    if scheme not in target.schemes:
        near = difflib.get_close_matches(scheme, target.schemes, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(target.schemes)}"
        raise UnknownName(f"scheme '{scheme}' cannot be held by target {target.name}: {hint}")
    return scheme


def known_device(name: str) -> str:
    """Return the device's name; raise RequestError where PyTorch cannot compute on it here."""
    try:
        device = torch.device(name)
        if device.type not in DEVICES:
            raise RequestError(f"unknown device '{name}': known: {', '.join(DEVICES)}")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise RequestError(f"device '{name}' cannot be used here ({reason}): try cpu") from error
    return name


def calibration_data(
    data: str | None, *, recipe: Recipe, evaluated: bool, limit: int | None, seed: int
) -> Dataset:
    """Return the images of --data to calibrate with.

    Raises:
        RequestError: If there are none, as every recipe of this version needs some.
    """
    if data is None and evaluated:
        raise RequestError(
            "--eval without --data: give one of --data DIR (images to calibrate with) and --data"
            " none (no image is opened for that)"
        )
    if data is None or data == NO_DATA:
        raise RequestError(
            f"recipe '{recipe.name}' needs images to calibrate with: give --data DIR, a folder, a"
            " .csv manifest or a .parquet file"
        )
    return draw(open_dataset(data), limit, seed)


def default_place(model: str, scheme: str) -> str:
    """Return ./<model>-<scheme> in letters that every file system takes."""
    name = model.replace("\\", "/").rpartition("/")[2].removesuffix(".pt2")
    return f"{UNSAFE.sub('_', name).strip('_.') or 'model'}-{scheme}"
