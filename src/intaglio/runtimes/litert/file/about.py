"""What a .tflite file says of itself, read back: the buffer that file/metadata.py writes."""

from __future__ import annotations

import json

from ai_edge_litert import schema_py_generated as schema

from intaglio.data.preprocess import Preprocess
from intaglio.errors import IntaglioError, RequestError
from intaglio.runtimes.litert.file.metadata import JSON_NAME
from intaglio.targets.runtime import About


def input_shape(content: bytes) -> tuple[int, ...]:
    """Return the shape that a file says it takes, in the file's layout, without running it.

    Args:
        content: What `verify` has passed.
    """
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    taken = graph.Tensors(graph.Inputs(0))
    return tuple(int(taken.Shape(axis)) for axis in range(taken.ShapeLength()))


def stored_about(content: bytes, where: str) -> About:
    """Return what a file says of its images and its scheme; nothing where it says nothing.

    Args:
        content: What `verify` has passed.
        where: The file's name, for messages.

    Raises:
        RequestError: If what it says makes no sense.
    """
    text = _metadata(content)
    if text is None:
        return About()
    try:
        stored = json.loads(text)
        said = stored["preprocess"]
        preprocess = None
        if said is not None:
            preprocess = Preprocess(
                resize=said["resize"],
                crop=said["crop"],
                mean=tuple(said["mean"] or ()),
                std=tuple(said["std"] or ()),
            )
        return About(preprocess, scheme=str(stored.get("scheme", "")))
    except (ValueError, KeyError, TypeError, AttributeError, IntaglioError) as error:
        raise RequestError(f"{where}: its preprocessing cannot be read ({error})") from error


def _metadata(content: bytes) -> bytes | None:
    """Return the named buffer that intaglio writes; None where the file has none."""
    model = schema.Model.GetRootAs(content, 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == JSON_NAME.encode():
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy())
    return None
