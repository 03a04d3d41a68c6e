"""What `compress` was asked to do: options before the recipe's words, and those before defaults."""

from __future__ import annotations

import os
import re

import torch

from intaglio.cli.options import LARGEST_SEED
from intaglio.data.dataset import Dataset, draw
from intaglio.data.images import open_dataset
from intaglio.errors import RequestError
from intaglio.methods.steps.steps import GIVING
from intaglio.recipe.needs import refuse_training, refuse_unmet_needs
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import find_recipe
from intaglio.recipe.settings import Settings, default_recipe, settle
from intaglio.store.weights import file_and_part

NO_DATA = "none"
DEVICES = ("cpu", "cuda", "mps", "xpu")
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def settled_choices(
    recipe: str | None,
    target: str | None,
    limit: int | None,
    options: Options,
    *,
    has_images: bool = True,
) -> tuple[Settings, int | None]:
    """Return what holds, and the most images to calibrate with (None: all).

    Args:
        has_images: Whether there are images to calibrate with: without, another recipe is usual.

    Raises:
        RequestError: If a name does not exist, or a number is out of range.
    """
    chosen = find_recipe(recipe or default_recipe(options.scheme, has_images=has_images))
    refuse_training(chosen)
    settings = settle(chosen, target, options)
    if not 0 <= settings.seed <= LARGEST_SEED:
        raise RequestError(f"the recipe's seed {settings.seed} is not within 0 to {LARGEST_SEED}")
    return settings, limit if limit is not None else chosen.limit


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
    data: str | None, settings: Settings, *, evaluated: bool, limit: int | None
) -> Dataset | None:
    """Return the images of --data to calibrate with; None where there are to be none.

    Raises:
        RequestError: If nobody said whether there are any, or the recipe needs what the command
            line does not give.
    """
    if settings.scheme.is_half:
        return None if data in (None, NO_DATA) else draw(open_dataset(data), limit, settings.seed)
    if data is None and evaluated:
        raise RequestError(
            "--eval without --data: give one of --data DIR (images to calibrate with) and --data"
            " none (no image is opened for that)"
        )
    if data is None:
        raise RequestError(
            f"there are no images to calibrate with: {GIVING['images']}, or say --data none: none"
            " is opened then"
        )
    has = {"task"} if data == NO_DATA else {"images", "labels", "task"}
    refuse_unmet_needs(settings.recipe, has)
    return None if data == NO_DATA else draw(open_dataset(data), limit, settings.seed)


def learning_data(data: str, limit: int | None, seed: int) -> Dataset:
    """Return the images of --data to learn from.

    Raises:
        RequestError: If there are to be none, or they cannot be used.
    """
    if data == NO_DATA:
        raise RequestError(
            f"--data none: there is nothing to learn from: {GIVING['images']}; 'intaglio compress'"
            " works without images"
        )
    return draw(open_dataset(data), limit, seed)


def default_place(model: str, scheme: str) -> str:
    """Return ./<model>-<scheme> in letters that every file system takes."""
    name = model.replace("\\", "/").rpartition("/")[2].removesuffix(".pt2")
    return f"{UNSAFE.sub('_', name).strip('_.') or 'model'}-{scheme}"


def read_paths(
    model: str, weights: str | None, data: str | None, evaluation: str | None
) -> dict[str, str]:
    """Return the files and folders that a run reads, by the name of the option."""
    named = {"--data": data, "--eval": evaluation}
    if weights:
        named["--weights"] = str(file_and_part(weights)[0])
    if os.path.isfile(model):
        named["MODEL"] = model
    return {option: path for option, path in named.items() if path and path != NO_DATA}
