"""MODEL and the options beside it, read."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Protocol

from intaglio.cli.failures import tell_note
from intaglio.data.preprocess import check_input_shape
from intaglio.errors import RequestError
from intaglio.read.reader import Source
from intaglio.read.source import read

LARGEST_SIDE = 2**14


class NamesNetwork(Protocol):
    """What a command is asked that reads a network to compute with."""

    @property
    def model(self) -> str:
        """MODEL."""

    @property
    def weights(self) -> str | None:
        """--weights."""

    @property
    def preprocess(self) -> str | None:
        """--preprocess."""

    @property
    def input_shape(self) -> str | None:
        """--input-shape."""


def open_named(request: NamesNetwork, seed: int, *, backbone_weights: str | None = None) -> Source:
    """Return the network that a request names; see `open_source`."""
    return open_source(
        request.model,
        weights=request.weights,
        backbone_weights=backbone_weights,
        preprocess=request.preprocess,
        input_shape=request.input_shape,
        seed=seed,
    )


def open_source(
    text: str,
    *,
    weights: str | None,
    preprocess: str | None,
    input_shape: str | None,
    seed: int = 0,
    backbone_weights: str | None = None,
) -> Source:
    """Return the network that the command line names, one of images, with its weights loaded.

    Args:
        text: MODEL.
        weights: --weights.
        preprocess: --preprocess.
        input_shape: --input-shape.
        seed: Of random weights, where none are loaded.
        backbone_weights: --backbone-weights.

    Raises:
        RequestError: If there is no such network, or the weights or the shape do not fit it.
    """
    shape = parse_input_shape(input_shape)
    with redirect_stdout(sys.stderr):  # what the user's module prints must not mix with JSON
        source = read(
            text,
            weights=weights,
            backbone_weights=backbone_weights,
            preprocess=preprocess,
            input_shape=shape,
            seed=seed,
        )
    check_input_shape(source.input_shape)
    return source


def tell_notes(network: Source) -> None:
    """Tell on standard error what the user should know of a network, where no report does."""
    for note in network.notes:
        tell_note(note)


def parse_input_shape(text: str | None) -> tuple[int, ...] | None:
    """Return (1, C, H, W) from "1,3,224,224"; None for None.

    Raises:
        RequestError: If it is not four whole numbers, or not those of one image.
    """
    if text is None:
        return None
    sizes = [size.strip() for size in text.split(",")]
    if len(sizes) != 4 or not all(size.isascii() and size.isdigit() for size in sizes):
        raise RequestError(f"--input-shape '{text}' is not four numbers such as 1,3,224,224")
    shape = tuple(int(size[:9]) for size in sizes)
    if shape[0] != 1 or max(shape) > LARGEST_SIDE:
        raise RequestError(
            f"--input-shape '{text}': the first is 1 (any batch will do), the others at most"
            f" {LARGEST_SIDE}"
        )
    return (1, *check_input_shape(shape))
