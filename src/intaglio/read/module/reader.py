"""The reader of networks in memory: an nn.Module, captured by torch.export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from torch import nn

from intaglio.errors import RequestError, Untraceable
from intaglio.read.module.cores import find_cores
from intaglio.read.module.export import capture, check_example
from intaglio.read.module.families.recognised import postprocess_of
from intaglio.read.module.postprocess import own_postprocess
from intaglio.read.module.unwrap import notes_of, unwrapped
from intaglio.read.reader import Given, Source


@dataclass(frozen=True)
class ModuleReader:
    """Takes an nn.Module with its weights."""

    name: str = "module"
    description: str = "an nn.Module with its weights, in Python"

    def takes(self, model: object) -> bool:
        """Whether it is an nn.Module."""
        return isinstance(model, nn.Module)

    def open(self, model: object, given: Given) -> Source:
        """Return the source of a module, which is not changed.

        Raises:
            CaptureError: If there is no example input, or it is none; or the module has no weights
                of a float network.
            RequestError: If weights are given as well.
        """
        assert isinstance(model, nn.Module), "takes() says so"
        module = model
        if given.weights is not None:
            raise RequestError(
                f"the module {type(module).__name__} brings its own weights: leave weights="
                f"'{given.weights}' out, or load them into it first"
            )
        inner = unwrapped(module)  # refuses what has no weights to read
        if given.pictures:
            return _of_pictures(module, given)
        shape = given.input_shape
        example = check_example(None if shape is None else given.example_of(shape))
        own = own_postprocess(inner, example.shape)
        return Source(
            "model",
            lambda: capture(module, example),
            given.preprocess_over(None),
            (1, *example.shape[1:]),
            notes_of(module),
            inner.state_dict(),
            own,
            lambda: find_cores(module, example),
            lambda captured: postprocess_of(captured, module, example, own),
        )


def _of_pictures(module: nn.Module, given: Given) -> Source:
    """Return the source of a module that takes a list of pictures: nothing captures it whole."""
    inner, pictures = unwrapped(module), list(given.pictures)

    def capture_whole() -> NoReturn:
        """Refuse."""
        raise Untraceable(f"{type(inner).__name__} takes a list of pictures, not one tensor")

    return Source(
        "model",
        capture_whole,
        given.preprocess_over(None),
        (1, *pictures[0].shape),
        notes_of(module),
        inner.state_dict(),
        cut=lambda: find_cores(module, pictures),
        recognise=lambda captured: postprocess_of(captured, module, None, None),
    )


MODULE = ModuleReader()
