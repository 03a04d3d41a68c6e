"""From the command line's MODEL to a network that can be captured, and what its images need."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch

from intaglio.data.preprocess import Preprocess, check_input_shape, parse_preprocess
from intaglio.errors import CaptureError, IntaglioError, RequestError, WeightsError, cause
from intaglio.ir.graph import Graph
from intaglio.read import graph_of_program
from intaglio.read.module.export import capture
from intaglio.read.named import BuiltModel, build_model, parse_model
from intaglio.read.program.saved_program import load_program, program_input
from intaglio.store.weights import load_weights
from intaglio.zoo import ZOO

PROGRAM_ENDING = ".pt2"
LARGEST_SIDE = 2**14


@dataclass(frozen=True)
class Network:
    """A network as it was asked for.

    Attributes:
        name: As the user named it.
        capture: Makes its graph; takes seconds.
        preprocess: What is done to its images.
        input_shape: (1, C, H, W).
        notes: What the user should know about it, for the report.
    """

    name: str
    capture: Callable[[], Graph]
    preprocess: Preprocess
    input_shape: tuple[int, ...]
    notes: tuple[str, ...] = ()


def find_network(
    text: str,
    *,
    weights: str | None,
    preprocess: str | None,
    input_shape: str | None,
    seed: int = 0,
) -> Network:
    """Return the network that the command line names, with its weights loaded.

    Args:
        text: MODEL.
        weights: --weights.
        preprocess: --preprocess.
        input_shape: --input-shape.
        seed: Of random weights, where none are loaded.

    Raises:
        RequestError: If there is no such network, or the weights or the shape do not fit it.
    """
    shape = parse_input_shape(input_shape)
    if text.lower().endswith(PROGRAM_ENDING):
        return _saved_program(text, weights=weights, preprocess=preprocess, shape=shape)
    request = parse_model(text)
    with redirect_stdout(sys.stderr):  # what the user's module prints must not mix with JSON
        built = build_model(request, seed)
    base = parse_preprocess(preprocess, built.preprocess or Preprocess()) if preprocess else None
    shape = shape or built.input_shape
    if shape is None:
        raise RequestError(
            f"nothing tells the size of the images that '{text}' takes: give --input-shape 1,3,H,W"
        )
    notes = _load(built, weights)
    example = torch.zeros(check_input_shape(shape)).unsqueeze(0)  # [1, C, H, W]
    return Network(
        text,
        lambda: capture(built.module, example),
        base or built.preprocess or Preprocess(),
        tuple(example.shape),
        notes,
    )


def _load(built: BuiltModel, weights: str | None) -> tuple[str, ...]:
    """Load the weights, if any; return what the user should know of them."""
    if weights is not None:
        load_weights(built.module, weights)
    elif built.name in ZOO:
        return ("no --weights were given: the network has random weights",)
    return ()


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


def _saved_program(
    text: str,
    *,
    weights: str | None,
    preprocess: str | None,
    shape: tuple[int, ...] | None,
) -> Network:
    if weights is not None:
        raise RequestError(f"the program '{text}' brings its own weights: leave --weights out")
    program = load_program(Path(text))
    batch, sizes = program_input(program)
    own = (1, *check_input_shape((1, *sizes)))
    if shape not in (None, own):
        raise RequestError(
            f"the program '{text}' was exported for images {list(own)}: leave --input-shape out, or"
            " export it again"
        )

    def graph() -> Graph:
        try:
            return graph_of_program(program)
        except IntaglioError:
            raise
        except RuntimeError as error:  # of torch, where the fixed batch is part of the computation
            reason = " ".join(str(error).split())[:200]
            raise CaptureError(
                f"the program '{text}' cannot run with another batch than {batch} ({reason}):"
                " export it with dynamic_shapes for axis 0"
            ) from error
        except Exception as error:  # of torch, whatever arguments a damaged file gives a call
            reason = cause(error)[:200]
            raise WeightsError(
                f"the program '{text}' is damaged: it cannot be computed ({reason}): save it again"
            ) from error

    notes = () if batch is None else (f"the program has a fixed batch of {batch}: taken as any",)
    wanted = parse_preprocess(preprocess, Preprocess()) if preprocess else Preprocess()
    return Network(text, graph, wanted, own, notes)
