"""A long run without images that is kept until it is done: kill -9 leaves it usable.

What is kept lies beside the place of the result, where that of a training lies (host/training.py):
a folder for the images that are made and one for each step that keeps its state, and what the run
is, in words: one that goes on must be the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from intaglio.data.preprocess import preprocess_text
from intaglio.errors import OutputError, RequestError
from intaglio.host.files import write_file
from intaglio.host.folder import claim_place
from intaglio.host.place import Place
from intaglio.host.strict_json import read_json
from intaglio.host.training import (
    ABOUT,
    NOT_KEPT,
    Kept,
    drop_stages,
    has_stages,
    training_folder,
)
from intaglio.ir.graph import Graph
from intaglio.job.training import fingerprint
from intaglio.methods import make_step
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import DATA_FREE, Recipe
from intaglio.recipe.settings import Settings

FREE = frozenset({"save", "save_seconds"})
"""Settings that may be others when a run goes on: they change nothing that is made."""
ANEW = "start it anew, without --resume"


def is_kept(recipe: Recipe) -> bool:
    """Whether anything of a recipe takes so long that it is kept."""
    steps = (make_step(wish) for wish in recipe.steps)
    return recipe.synthetic is not None or any(hasattr(step, "save_seconds") for step in steps)


def refuse_resume(options: Options, recipe: Recipe, *, has_images: bool) -> None:
    """Raise where going on is asked for, and nothing of the run would be kept.

    Raises:
        RequestError: If there are images, the recipe has no long stage, or no place is said.
    """
    if not options.resume:
        return
    if has_images:
        raise RequestError(
            "--resume goes on with a run without images: say --data none (data=None in Python), or"
            " leave --resume out"
        )
    if recipe.name != DATA_FREE:  # whether that one makes images depends on the network
        _refuse_unkept(recipe)
    if options.out is None:
        raise RequestError(
            "resume: what is kept lies beside the place of the result: say Options(out=...)"
        )


def _refuse_unkept(recipe: Recipe) -> None:
    if not is_kept(recipe):
        raise RequestError(
            f"--resume: recipe '{recipe.name}' neither makes images nor trains without any, so that"
            " nothing of it is kept: leave --resume out"
        )


def refuse_nothing(place: Place) -> None:
    """Raise RequestError where nothing to go on with is kept beside a place."""
    if not has_stages(place):
        raise RequestError(
            f"--resume: no run without images is kept for {place.spot.path}: leave --resume out, or"
            " name the --out of the run that was killed"
        )


@contextmanager
def kept_run(captured: Graph, settings: Settings, options: Options) -> Iterator[Kept]:
    """Give where the stages of a run are kept, locked; nothing is where no place was said.

    A run that does not go on removes what an older one left.

    Raises:
        RequestError: If there is nothing to go on with, nothing of such a run is kept, or the run
            there is another one.
        OutputError: If the folder cannot be written, or another run works there.
    """
    if options.resume:
        _refuse_unkept(settings.recipe)
    if options.out is None or not is_kept(settings.recipe):
        yield NOT_KEPT
        return
    place = claim_place(options.out, replace=True)
    if options.resume:
        refuse_nothing(place)
    about = about_of(captured, settings)
    known = options.provenance.preprocess
    about["preprocess"] = "not known" if known is None else preprocess_text(known)
    with training_folder(place) as folder:
        if options.resume:
            _refuse_other(folder, about)
        else:
            drop_stages(folder)
            _write(folder / ABOUT, about)
        yield Kept(folder, options.resume)


def about_of(graph: Graph, settings: Settings) -> dict[str, str]:
    """Return what a run is, in words: what one that goes on has in common with the killed one."""
    recipe = settings.recipe
    made = {} if recipe.synthetic is None else recipe.synthetic.model_dump(exclude=set(FREE))
    return {
        "weights": fingerprint(graph),
        "scheme": settings.scheme.name,
        "target": settings.target.name,
        "recipe": recipe.name,
        "calibrator": settings.calibrator,
        "seed": str(settings.seed),
        "keep_float": ", ".join(settings.keep_float),
        "weight_bits": _text(settings.weight_bits),
        "steps": _text([_bound(wish) for wish in recipe.steps]),
        "synthetic": _text(made),
    }


def _bound(wish: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in wish.items() if key not in FREE}


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=dict)


def _write(path: Path, about: Mapping[str, str]) -> None:
    try:
        write_file(path, json.dumps(about, indent=1) + "\n")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def _refuse_other(folder: Path, about: Mapping[str, str]) -> None:
    """Make sure that the run in a folder is this one.

    Raises:
        RequestError: If it is not, or that cannot be told; names each difference.
    """
    path = folder / ABOUT
    try:
        had = read_json(path)
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be read: {error}: {ANEW}") from error
    if not isinstance(had, dict):
        raise RequestError(f"{path} is damaged: {ANEW}")
    differences = [
        f"{name} was {had.get(name, 'not said')} and is {about.get(name, 'not said')}"
        for name in dict.fromkeys([*had, *about])
        if had.get(name) != about.get(name)
    ]
    if differences:
        raise RequestError(
            f"the run that is to go on was another one: {'; '.join(differences)}. Ask for the same,"
            f" or {ANEW}"
        )
