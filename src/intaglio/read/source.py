"""From what a user calls a network to its source: the one door, for commands and for Python."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from intaglio.data.preprocess import Preprocess
from intaglio.errors import CaptureError, RequestError
from intaglio.read.module.export import check_example
from intaglio.read.module.reader import MODULE
from intaglio.read.module.unwrap import example_notes, not_a_module, plain_example
from intaglio.read.named.reader import NAMED
from intaglio.read.program.reader import PROGRAM
from intaglio.read.reader import READERS, Given, Reader, Source

OWN: tuple[Reader, ...] = (
    MODULE,
    PROGRAM,
    NAMED,
)
"""Our readers, in the order in which they are asked."""

PICTURES_OF_MODULES = (
    "a list of pictures as the example input goes with a module alone, without input_shape: give a"
    " tensor [N, C, H, W] of the size, or the detector itself"
)

BACKBONE_OF_NAMED = (
    "backbone weights ('{file}') go into a network that a text names, such as ssdlite_mobilenet_v2:"
    " into a module load them by intaglio.zoo.bodies.load_backbone"
)

for reader in OWN:
    READERS.register(reader.name)(reader)


def read(
    model: object,
    example_input: Tensor | Sequence[Tensor] | None = None,
    *,
    weights: str | Path | None = None,
    backbone_weights: str | Path | None = None,
    input_shape: Sequence[int] | None = None,
    preprocess: str | Preprocess | None = None,
    seed: int = 0,
) -> Source:
    """Return the source of a network, opened by the reader that takes it.

    Args:
        model: An nn.Module or an ExportedProgram; a text or path, as the command line takes it; or
            what an installed reader takes.
        example_input: [N, C, H, W] float32 of the size to deploy at; not needed where a text says
            it. Of a detector that takes them: pictures [C, H, W].
        weights, backbone_weights: Trained weights, where a text names the network; or those of a
            classifier, for the body of a detector or segmenter whose rest stays random.
        input_shape: (1, C, H, W), in place of an example input.
        preprocess: What is done to the images; a text replaces parts of the network's own.
        seed: Of random weights, where none are loaded.

    Raises:
        RequestError: If there is no such network, or what is given does not go with it; of an
            example input that is none, a CaptureError.
    """
    pictures, example = _shown(example_input)
    given = Given(
        weights=weights,
        backbone_weights=backbone_weights,
        preprocess=preprocess,
        input_shape=_settled_shape(example, input_shape),
        example_input=example,
        pictures=pictures,
        seed=seed,
    )
    source, notes = _opened(model, given, input_shape), example_notes(example_input)
    return replace(source, notes=(*source.notes, *notes))


def _opened(model: object, given: Given, input_shape: Sequence[int] | None) -> Source:
    """Return what the reader of a model makes of it, once what is given goes with it."""
    wanted = os.fsdecode(model) if isinstance(model, os.PathLike) else model
    reader = _reader_of(wanted)
    if given.pictures and (reader is not MODULE or input_shape is not None):
        raise RequestError(PICTURES_OF_MODULES)
    if given.backbone_weights is not None and reader is not NAMED:
        raise RequestError(BACKBONE_OF_NAMED.format(file=given.backbone_weights))
    return reader.open(wanted, given)


def _shown(example_input: object) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """Return the pictures of a list of them, and the one tensor where it is none."""
    pictures = _pictures(example_input)
    return pictures, None if pictures else plain_example(example_input)


def _pictures(example: object) -> tuple[Tensor, ...]:
    """Return the pictures of a list of them, float32; () where an example is none."""
    if not isinstance(example, list | tuple) or not example:
        return ()
    if any(not isinstance(one, Tensor) or one.ndim != 3 for one in example):
        raise CaptureError(
            "the example input is a list, but not one of pictures [C, H, W]: give a tensor"
            " [N, C, H, W], or what the detector takes"
        )
    return tuple(plain_example(one) for one in example)


def _reader_of(model: object) -> Reader:
    """Return the reader that takes a model: ours first, so that no other one is loaded for it."""
    for reader in OWN:
        if reader.takes(model):
            return reader
    takers = [name for name in READERS if READERS[name].takes(model)]
    if len(takers) > 1:
        raise RequestError(
            f"the model '{model}' is taken by the readers {' and '.join(takers)}: uninstall all but"
            " one of them"
        )
    if takers:
        return READERS[takers[0]]
    if isinstance(model, str) and os.path.isfile(model):
        raise RequestError(_not_a_network(model))
    if isinstance(model, str):
        return NAMED  # which says what is wrong with the name
    raise RequestError(not_a_module(model))


def _settled_shape(
    example_input: Tensor | None, input_shape: Sequence[int] | None
) -> tuple[int, ...] | None:
    """Return (1, ...), what one image has; None where nothing says it."""
    shown = None if example_input is None else (1, *check_example(example_input).shape[1:])
    if input_shape is None:
        return shown
    sizes = tuple(input_shape)
    if len(sizes) < 2 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise RequestError(f"input_shape={input_shape!r} is not sizes such as (1, 3, 224, 224)")
    shape = (1, *sizes[1:])
    if shown not in (None, shape):
        raise RequestError(
            f"input_shape={sizes} and the example input, of {list(shown or ())}, are not the same"
            " size: give one of them"
        )
    return shape


def _not_a_network(path: str) -> str:
    """Return why a file is no network that can be read, and what to do."""
    if _is_torchscript(path):
        return (
            f"'{path}' is TorchScript, which cannot be captured: load the nn.Module that it was"
            " traced or scripted from, and its weights, by package.module:factory"
        )
    return (
        f"'{path}' is no network that can be read: a network is a .pt2 program, a zoo name or"
        " package.module:factory; weights alone go to --weights"
    )


def _is_torchscript(path: str) -> bool:
    """Whether a file is an archive with the code of a scripted module; nothing in it is opened."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    return any("/code/" in name for name in names)
