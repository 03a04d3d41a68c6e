"""From an nn.Module to a graph: torch.export is the front door.

The graph's float run is bit-equal to the module in eval mode, where the module's weights lie as
torch makes them and its calls are ops of ours: capture renames and reorders nothing that could
change a rounding. Weights in another layout (channels last, views) are laid out so (`ir.storage`).
Calls that are written with other ops (norms, attention) agree up to float32 rounding. What capture
does not know becomes an `opaque` node.
"""

from __future__ import annotations

import inspect

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram, export

from intaglio.errors import CaptureError, Untraceable
from intaglio.ir.graph import Graph
from intaglio.read.module.mixing import refuse_mixed_images
from intaglio.read.module.program import WRAP, built
from intaglio.read.module.quiet import one_line, quiet
from intaglio.read.module.tracked import track_data
from intaglio.read.module.untraceable import why
from intaglio.read.module.unwrap import on_a_copy

UNSEEN = "fake tensor in the exported program constant's list"
"""What torch.export says of tensors that were made where it does not look: of `.data`, mostly."""


@on_a_copy
def capture(model: nn.Module, example_input: Tensor) -> Graph:
    """Return the graph of `model` in eval mode, with a symbolic batch.

    The network is traced with one image: what it computes from shapes alone is computed here, and
    the axis of the batch may go wherever forward() takes it.

    Args:
        model: Any module with one tensor in; it is not changed.
        example_input: [N, C, H, W] float32, of the size that the network will be deployed at.

    Raises:
        CaptureError: If torch.export cannot follow the module, it has several inputs, or images of
            a batch mix in it.
        NonFiniteError: If a weight holds NaN or infinity; names the layer.
    """
    check_example(example_input)
    _check_takes_one_input(model)
    builder = built(_export(model, example_input))
    if builder.moves_batch:
        refuse_mixed_images(model, example_input)
    return builder.graph


def check_example(example: object) -> Tensor:
    """Return an example input; raise CaptureError where it is none."""
    if not isinstance(example, Tensor) or example.dtype != torch.float32:
        got = getattr(example, "dtype", type(example).__name__)
    elif example.ndim < 2 or 0 in example.shape:
        got = f"the shape {list(example.shape)}"
    else:
        return example
    raise CaptureError(
        f"the example input must be a float32 tensor [N, C, H, W] of at least one image, got {got}:"
        " pass e.g. torch.zeros(1, 3, 224, 224)"
    )


def _check_takes_one_input(model: nn.Module) -> None:
    takes = [
        parameter
        for parameter in inspect.signature(model.forward).parameters.values()
        if parameter.kind != parameter.VAR_KEYWORD
    ]
    needed = [
        parameter.name
        for parameter in takes
        if parameter.default is parameter.empty and parameter.kind != parameter.VAR_POSITIONAL
    ]
    if len(needed) > 1 or not takes:
        raise CaptureError(
            f"the network must have one tensor as its input, but {type(model).__name__} takes"
            f" {', '.join(needed) or 'none'}: {WRAP}"
        )


def _export(model: nn.Module, example: Tensor) -> ExportedProgram:
    image = example[:1].detach().clone()
    failure = _tried(model, image)
    if isinstance(failure, RuntimeError) and UNSEEN in str(failure):
        track_data(model)
        failure = _tried(model, image)
    if isinstance(failure, ExportedProgram):
        return failure
    name, shape = type(model).__name__, tuple(example.shape)
    try:
        with torch.no_grad():
            model(image)
    except Exception as error:
        raise CaptureError(
            f"{name} itself fails on an input of shape {shape}: {one_line(error)}. Is that the"
            " shape that it takes?"
        ) from error
    raise Untraceable(
        f"torch.export cannot follow {name} on an input of shape {shape}: {why(failure, model)}"
    ) from failure


def _tried(model: nn.Module, image: Tensor) -> ExportedProgram | Exception:
    """Return the exported program, or why there is none."""
    with quiet():
        try:
            return export(model, (image,))
        except Exception as error:  # torch.export raises many kinds, none of them documented
            return error
