"""What a training was asked for: the caller's word, else the recipe's `[train]` table's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from intaglio.errors import RequestError
from intaglio.ir.graph import Graph
from intaglio.methods.learn.lesson import Learned
from intaglio.methods.learn.options import DEFAULT_LR, TrainOptions
from intaglio.methods.learn.processes import ALONE, Processes
from intaglio.methods.train.qat import METHODS
from intaglio.numerics.scheme import HALF, parse_scheme
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import RECIPES, Recipe, TrainTable, find_recipe
from intaglio.recipe.settings import Settings, settle

FLOAT = "float"
"""The scheme of a network that stays in float."""
DEFAULT_METHOD = "lsq"
START = Recipe(
    name="plain",
    description="what training at 8 bits starts from: ranges of least error",
    calibrator="mse",
)
"""Learned grids grow slowly back from a range that rare outliers have drawn wide."""
START_AT_LOW_BITS = {True: "accurate", False: "accurate-per-tensor"}
"""By whether weights have one scale a channel. At few bits training makes up for a bad start only
slowly, or never. ResNet20 on CIFAR-10 (n = 2000) starts with 54.6 % top-1 at w4a4
from min and max, with 65.3 % from ranges of least error and with 81.1 % from this; at w2a4 with
10.2, 10.0 and 76.4 %; at w8a8 with 81.1, 81.3 and 81.1 %."""


@dataclass(frozen=True, eq=False)
class TrainRun:
    """What a training may be told beside how it learns.

    Attributes:
        recipe: What makes the integers that training starts from, and what its [train] table says.
        target: The runtime; None: the recipe's, else "litert".
        choices: What else `compress` may be told (keep_float, calibrator, device, progress, ...).
        out: Where the result is going to be saved: beside it is kept what `resume` goes on from.
            Saving it there is left to the caller.
        resume: Whether to go on with the run that was killed; where there is none, it begins.
        processes: That train together (`joined_processes`); each trains, and the first one's
            result counts.
    """

    recipe: str | Recipe | None = None
    target: str | None = None
    choices: Options | None = None
    out: str | Path | None = None
    resume: bool = False
    processes: Processes = ALONE


@dataclass(frozen=True)
class TrainWish:
    """A training as it was asked for, everything settled.

    Attributes:
        settings: Of the network in integers that is trained, but for its task; of one in float the
            seed, the task and the recipe count.
        is_float: Whether it stays in float.
        method: How grids follow; None: there are none.
        options: How it learns.
        choices: What else was chosen, with progress and provenance.
    """

    settings: Settings
    is_float: bool
    method: str | None
    options: TrainOptions
    choices: Options = field(default_factory=Options)

    @property
    def scheme_name(self) -> str:
        """The scheme as on the command line."""
        return FLOAT if self.is_float else self.settings.scheme.name

    def about(self) -> dict[str, str]:
        """Return what a run that goes on must have in common with the killed one, in words."""
        where, settings = self.choices.provenance, self.settings
        recipe = settings.recipe
        start = {
            "calibrator": settings.calibrator,
            "steps": recipe.steps,
            "weight_bits": dict(settings.weight_bits),
            "keep_float": settings.keep_float,
        }
        words = {"model": where.model, "data": where.data, "scheme": self.scheme_name}
        if not self.is_float:
            words |= {"target": settings.target.name, "method": str(self.method)}
            words["recipe"] = json.dumps(start, sort_keys=True)
        return words


def wished(
    run: TrainRun, *, scheme: str | None, method: str | None, options: TrainOptions | None
) -> TrainWish:
    """Return what holds; None is: not said.

    Raises:
        UnknownName: If a name does not exist.
        RequestError: If two wishes contradict.
    """
    said, recipe = run.choices or Options(), run.recipe
    if said.out is not None or said.resume:
        raise RequestError("out and resume of a training are words of TrainRun, not of its choices")
    chosen = _start(scheme or said.scheme) if recipe is None else _recipe(recipe)
    table = chosen.train or TrainTable()
    scheme = scheme or said.scheme or chosen.scheme
    if scheme == HALF:
        raise RequestError(
            f"scheme '{HALF}' has no grids that training could follow: train with --scheme {FLOAT},"
            f" and compress what comes of it with --scheme {HALF}"
        )
    is_float = scheme == FLOAT
    if is_float and method is not None:
        raise RequestError(
            f"method '{method}' says how grids follow, and with scheme '{FLOAT}' there are none:"
            " take one of them out"
        )
    method = None if is_float else method or table.method or DEFAULT_METHOD
    if method is not None:
        METHODS[method]  # raises UnknownName with the nearest names
    base = chosen.model_copy(update={"scheme": None, "minutes": None}) if is_float else chosen
    settings = settle(base, run.target, replace(said, scheme=None if is_float else scheme))
    learning = _merged(table, options, settings.seed)
    if said.seed is None and chosen.seed is None:
        settings = replace(settings, seed=learning.seed)
    return TrainWish(settings, is_float, method, learning, said)


def _start(scheme: str | None) -> Recipe:
    """Return what training starts from where nobody says it."""
    if scheme in (None, FLOAT):
        return START
    parsed = parse_scheme(str(scheme))
    if min(parsed.weight_bits, parsed.activation_bits) >= 8:
        return START
    return RECIPES[START_AT_LOW_BITS[parsed.per_channel]]


def _recipe(recipe: str | Recipe) -> Recipe:
    chosen = recipe if isinstance(recipe, Recipe) else find_recipe(recipe)
    if chosen.search:
        raise RequestError(
            f"recipe '{chosen.name}' searches, and training starts from what a recipe states: take"
            " another one, such as 'plain', or FILE.toml"
        )
    return chosen


def _merged(table: TrainTable, options: TrainOptions | None, seed: int) -> TrainOptions:
    """Return the options over the table; of epochs and minutes the one that options say."""
    of_table = table.model_dump(exclude_unset=True, exclude={"method"})
    over = {} if options is None else options.model_dump(exclude_unset=True)
    if {"epochs", "minutes"} & over.keys():
        of_table = {key: of_table[key] for key in of_table if key not in ("epochs", "minutes")}
    made = TrainOptions(**{"seed": seed, **of_table, **over})
    if made.lr is None:
        made = made.model_copy(update={"lr": DEFAULT_LR[made.optimizer]})
    if made.epochs is None and made.minutes is None:
        made = made.model_copy(update={"epochs": 1.0})
    return made


def fingerprint(graph: Graph) -> str:
    """Return what tells the weights of a captured network from others, in few letters."""
    return fingerprint_of(graph.params)


def fingerprint_of(tensors: Mapping[str, Tensor]) -> str:
    """Return what tells tensors by name from others, in few letters."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:12]


def ran_recipe(recipe: Recipe, wish: TrainWish, learned: Learned) -> Recipe:
    """Return the recipe that repeats a training; minutes are told as the epochs that they were."""
    words: dict[str, Any] = wish.options.model_dump(exclude_none=True, exclude={"minutes"})
    words["epochs"] = _epochs(learned, wish)
    if wish.method is not None:
        words["method"] = wish.method
    return recipe.model_copy(update={"train": TrainTable(**words)})


def _epochs(learned: Learned, wish: TrainWish) -> float:
    """Return the epochs that make as many steps as the run was to have."""
    if wish.options.minutes is None and wish.options.epochs is not None:
        return wish.options.epochs
    return learned.total * learned.epochs / learned.steps if learned.steps else 1.0


def by_user_names(trained: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return all tensors of the user's network, those that were trained in their new state.

    Args:
        trained: By the names of the user's network; others, of tensors that only the trained
            network has, are left out.
        own: The network's state dict; where there is none, `trained` is all.
    """
    if not own:
        return dict(trained)
    first: dict[tuple[object, ...], Tensor] = {}  # of a tied tensor, one name alone was trained
    for name, tensor in own.items():
        if name in trained:
            first.setdefault(_place(tensor), trained[name])
    found = {name: trained.get(name, first.get(_place(own[name]), own[name])) for name in own}
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in found.items()}


def _place(tensor: Tensor) -> tuple[object, ...]:
    return (tensor.device, tensor.data_ptr(), tuple(tensor.shape), tensor.numel() or id(tensor))
