"""What a reader is: one form that networks come in, opened as a source of their graph.

A reader is a frozen object that says what it takes. Ours are named in `read/source.py`; those of
other packages are entry points of the group "intaglio.readers" (`registry.py` says how).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from intaglio.data.preprocess import Preprocess, parse_preprocess
from intaglio.ir.graph import Graph
from intaglio.registry import Registry
from intaglio.targets.ending import Ending


@dataclass(frozen=True, eq=False)
class Given:
    """What the user gives beside the network; None for what was not given.

    Attributes:
        weights: A file of trained weights.
        backbone_weights: A file of a trained classifier's weights, for the body of a network.
        preprocess: What is done to the images; a text replaces parts of the network's own.
        input_shape: (1, ...), of one image; always there with an example input.
        example_input: [N, ...] float32.
        pictures: [C, H, W] each, of a module that takes a list of them; () of all others.
        seed: Of random weights, where none are loaded.
    """

    weights: str | Path | None = None
    backbone_weights: str | Path | None = None
    preprocess: str | Preprocess | None = None
    input_shape: tuple[int, ...] | None = None
    example_input: Tensor | None = None
    pictures: tuple[Tensor, ...] = ()
    seed: int = 0

    def example_of(self, shape: tuple[int, ...]) -> Tensor:
        """Return the example input; where none is given, zeros [1, ...] of a shape."""
        return torch.zeros(shape) if self.example_input is None else self.example_input

    def preprocess_over(self, own: Preprocess | None) -> Preprocess:
        """Return what is done to the images of a network that brings `own`, or nothing.

        Raises:
            RequestError: If the text names no part, or a part is not what `Preprocess` allows.
        """
        if isinstance(self.preprocess, Preprocess):
            return self.preprocess
        own = own or Preprocess()
        return parse_preprocess(self.preprocess, own) if self.preprocess else own


@dataclass(frozen=True, eq=False)
class Source:
    """A network as it was asked for.

    Attributes:
        name: As the user named it.
        capture: Makes its graph; takes seconds.
        preprocess: What is done to its images.
        input_shape: (1, C, H, W); (1, ...) where it takes no images.
        notes: What the user should know about it, for the report.
        tensors: The network's own, by the names of its state dict.
        postprocess: How boxes, or classes of pixels, come of the outputs; None where nobody
            says it.
        cut: Finds the cores of a module that cannot be captured as a whole; None where there is no
            module.
        recognise: From what was captured, or cut, to what its outputs are made into, or None; None
            where there is no module to tell it by.
    """

    name: str
    capture: Callable[[], Graph]
    preprocess: Preprocess
    input_shape: tuple[int, ...]
    notes: tuple[str, ...] = ()
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    postprocess: Ending | None = None
    cut: Callable[[], Any] | None = None
    recognise: Callable[[Any], Ending | None] | None = None


class Reader(Protocol):
    """One form that networks come in."""

    @property
    def name(self) -> str:
        """As its entry is called."""

    @property
    def description(self) -> str:
        """One line for lists."""

    def takes(self, model: object) -> bool:
        """Whether a model has this form, told by its type or its text; no file is opened.

        Args:
            model: What the user gave; a path comes as its text.
        """

    def open(self, model: object, given: Given) -> Source:
        """Return the source of a model that `takes` is true for.

        What can be wrong is found here; what takes long is left to the source's `capture`.

        Raises:
            RequestError: If there is no such network, or what was given does not go with it.
        """


READERS: Registry[Reader] = Registry("reader", group="intaglio.readers")
