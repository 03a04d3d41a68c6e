"""The reader of names: a network of the zoo, or one that `package.module:factory` makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from intaglio.errors import RequestError
from intaglio.read.module.cores import find_cores
from intaglio.read.module.export import capture
from intaglio.read.module.families.recognised import postprocess_of
from intaglio.read.module.postprocess import own_postprocess
from intaglio.read.module.unwrap import unwrapped
from intaglio.read.named.build import BuiltModel, build_model
from intaglio.read.named.request import is_factory_name, parse_model
from intaglio.read.reader import Given, Source
from intaglio.store.weights import load_weights, read_some
from intaglio.zoo.bodies import backbone_tensors, load_backbone
from intaglio.zoo.catalog import ZOO


@dataclass(frozen=True)
class NamedReader:
    """Takes a name, with keyword arguments in brackets or without."""

    name: str = "named"
    description: str = "a zoo name or package.module:factory, with keyword arguments in brackets"

    def takes(self, model: object) -> bool:
        """Whether it is a name of the zoo, or has the form of a factory's."""
        if not isinstance(model, str):
            return False
        name = model.partition("(")[0].strip()
        return name in ZOO or is_factory_name(name)

    def open(self, model: object, given: Given) -> Source:
        """Return the source of a network that is built here, its weights loaded.

        Any text is answered: one that is no name, with what is wrong with it.

        Raises:
            RequestError: If there is no such network, or the weights or the shape do not fit it.
        """
        text = str(model)
        built = build_model(parse_model(text), given.seed)
        preprocess = given.preprocess_over(built.preprocess)
        shape = given.input_shape or built.input_shape
        if shape is None:
            raise _without_shape(text)
        notes = _load(built, given)
        example = given.example_of(shape)
        inner = unwrapped(built.module)
        own = own_postprocess(inner, shape)
        return Source(
            text,
            lambda: capture(built.module, example),
            preprocess,
            shape,
            notes,
            inner.state_dict(),
            own,
            lambda: find_cores(built.module, _seen(given, shape)),
            lambda captured: postprocess_of(captured, built.module, example, own),
        )


def _seen(given: Given, shape: tuple[int, ...]) -> Tensor:
    """Return a picture to run a detector on; in a black one it might propose nothing."""
    generator = torch.Generator().manual_seed(given.seed)
    noise = torch.rand(shape, generator=generator)
    return noise if given.example_input is None else given.example_input


def _load(built: BuiltModel, given: Given) -> tuple[str, ...]:
    """Load the weights, if any; return what the user should know of them."""
    weights, backbone = given.weights, given.backbone_weights
    if weights is not None and backbone is not None:
        raise RequestError(
            f"--weights '{weights}' hold the backbone too, and --backbone-weights '{backbone}' are"
            " to be there: give one of them"
        )
    if backbone is not None:
        return _load_body(built, backbone)
    if weights is not None:
        layouts = ZOO[built.name].layouts if built.name in ZOO else ()
        return load_weights(built.module, weights, layouts=layouts)
    if built.name in ZOO:
        return ("no --weights were given: the network has random weights",)
    return ()


def _load_body(built: BuiltModel, path: str | Path) -> tuple[str, ...]:
    """Load a classifier's weights into a network's body; return what the user should know."""
    wanted = backbone_tensors(built.module)
    found = read_some(path, wanted)
    taken = load_backbone(built.module, found, called=f"the backbone weights '{path}'")
    return (
        f"{len(taken)} tensors of '{Path(path).name}' were read into the backbone; the rest of the"
        " network has random weights",
    )


def _without_shape(text: str) -> RequestError:
    error = RequestError(
        f"nothing tells the size of the images that '{text}' takes: give --input-shape 1,3,H,W"
    )
    error.add_note("In Python: give example_input, such as torch.zeros(1, 3, 224, 224).")
    return error


NAMED = NamedReader()
