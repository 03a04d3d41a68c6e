"""What the file says about itself: how to prepare images, and what the classes are called.

Two named buffers, and one file behind the model:

    intaglio          JSON: scheme, preprocessing as in the report, and of a file that ends in boxes
                      or classes of pixels the tensors that are the network's own outputs
    TFLITE_METADATA   ModelMetadata, the flatbuffer that mobile libraries read
    labels.txt        the class names, one a line, in a zip archive appended to the .tflite
                      (labelmap.txt where it ends otherwise: detection_metadata.py, map_metadata.py)

Source: tensorflow_lite_support/metadata/metadata_schema.fbs of tensorflow/tflite-support, version
1.1.0. The slots below are the positions of fields in its tables; a union takes two, its type and
its value. Only fields of version 1.0.0 are written, but for the groups of an end in boxes.

Normalization is that of the float network whatever the file takes, as in files that others publish:
what it gives is then quantized by the input's own scale and zero point. The library itself does so
for no input but float32: into a uint8 one it copies the image's bytes, and int8 it refuses
(cc/task/processor/image_preprocessor.cc, commit 2a33ca3).
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence

import flatbuffers
import numpy as np

from intaglio.data.preprocess import Preprocess, describe
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.scheme import HALF
from intaglio.runtimes.litert.file import detection_metadata, map_metadata
from intaglio.runtimes.litert.file.detection_fit import DetectionEnd
from intaglio.runtimes.litert.file.end import End
from intaglio.runtimes.litert.file.metadata_tables import (
    CONTENT_TYPE,
    label_file,
    table,
    union,
    vector,
)

JSON_NAME = "intaglio"
CORE_KEY = "core_outputs"
TFLITE_NAME = "TFLITE_METADATA"
LABELS_FILE = "labels.txt"
IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"
DESCRIPTION = "int8 network written by intaglio"
HALF_DESCRIPTION = "float16 network written by intaglio"

MODEL_NAME, MODEL_DESCRIPTION, MODEL_SUBGRAPHS, MODEL_PARSER_VERSION = 0, 1, 3, 7
SUBGRAPH_NAME, SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS, SUBGRAPH_OUTPUT_GROUPS = 0, 2, 3, 8
TENSOR_NAME, TENSOR_CONTENT, TENSOR_PROCESS_UNITS, TENSOR_FILES = 0, 3, 4, 6
FEATURE_PROPERTIES, IMAGE_PROPERTIES = 1, 2  # members of the union in Content
IMAGE_COLOR_SPACE = 0
COLOR_SPACES = {3: 1, 1: 2}  # channels to RGB, GRAYSCALE
UNIT_TYPE, UNIT_VALUE = 0, 1
NORMALIZATION = 1  # member of the union in ProcessUnit
NORMALIZATION_MEAN, NORMALIZATION_STD = 0, 1
TENSOR_AXIS_LABELS = 2

ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # fixed, the earliest that there is: same content, same bytes
MADE_ON_UNIX = 3


def file_metadata(
    graph: Graph,
    preprocess: Preprocess | None,
    labels: Sequence[str],
    *,
    scheme: str,
    model: str = "",
    end: End | None = None,
) -> dict[str, bytes]:
    """Return the named buffers to store in the file.

    Args:
        graph: The graph that the file holds.
        preprocess: What is done to an image, or None where nothing is known.
        labels: Names of the classes in order; () where unknown. Left out where no output of the
            network has as many classes (see `fitting_labels`).
        scheme: As on the command line.
        model: What the network is called; "" where it has no name.
        end: How the file ends; None where it ends in the network's outputs.
    """
    names = fitting_labels(graph, labels)
    content: dict[str, object] = {
        "scheme": scheme,
        "preprocess": describe(preprocess) if preprocess else None,
    }
    if end is not None:
        content[CORE_KEY] = list(end.core)
    return {
        JSON_NAME: json.dumps(content).encode("utf-8"),
        TFLITE_NAME: model_metadata(graph, preprocess, names, scheme=scheme, model=model, end=end),
    }


def fitting_labels(graph: Graph, labels: Sequence[str]) -> tuple[str, ...]:
    """Return the class names, or () where no output [N, classes, ...] has as many entries.

    A folder that holds ten of a network's thousand classes names ten: they are not its classes.
    """
    return tuple(labels) if any(_has_classes(node, labels) for node in _outputs(graph)) else ()


def with_labels(content: bytes, labels: Sequence[str], name: str = LABELS_FILE) -> bytes:
    """Return the .tflite with the file of class names appended, as a zip archive behind the model.

    LiteRT does not look behind the model, so the file stays loadable; `unzip` and the metadata
    libraries find the archive from the end. Without labels the content comes back as it is. Line
    breaks within a name become spaces: the file has one name a line.

    Args:
        content: The .tflite, its metadata made by `file_metadata` with the same labels.
        labels: Names of the classes, as `fitting_labels` returns them, or those of an end in boxes.
        name: Of the file that holds them.
    """
    if not labels:
        return content
    text = "".join(" ".join(label.splitlines()) + "\n" for label in labels)
    entry = zipfile.ZipInfo(name, ZIP_TIME)
    entry.create_system = MADE_ON_UNIX
    entry.external_attr = 0o644 << 16
    whole = io.BytesIO()
    whole.write(content)
    # opened where the model ends, the archive counts its offsets from the start of the whole file
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(entry, text.encode("utf-8"))
    return whole.getvalue()


def model_metadata(
    graph: Graph,
    preprocess: Preprocess | None,
    labels: Sequence[str],
    *,
    scheme: str = "",
    model: str = "",
    end: End | None = None,
) -> bytes:
    """Return the ModelMetadata flatbuffer of a graph."""
    build = flatbuffers.Builder(1024)
    inputs = [_input_tensor(build, graph[name], preprocess) for name in graph.inputs]
    outputs = _output_tensors(build, graph, labels, end)
    name = build.CreateString("main")
    parts = {
        SUBGRAPH_NAME: name,
        SUBGRAPH_INPUTS: vector(build, inputs),
        SUBGRAPH_OUTPUTS: vector(build, outputs),
    }
    if isinstance(end, DetectionEnd):
        parts[SUBGRAPH_OUTPUT_GROUPS] = detection_metadata.detection_groups(build)
    subgraph = table(build, parts)
    fields = {
        MODEL_DESCRIPTION: build.CreateString(HALF_DESCRIPTION if scheme == HALF else DESCRIPTION),
        MODEL_SUBGRAPHS: vector(build, [subgraph]),
        MODEL_PARSER_VERSION: build.CreateString(
            detection_metadata.PARSER_VERSION if isinstance(end, DetectionEnd) else PARSER_VERSION
        ),
    }
    if model:
        fields[MODEL_NAME] = build.CreateString(model)
    build.Finish(table(build, fields), file_identifier=IDENTIFIER)
    return bytes(build.Output())


def normalization(preprocess: Preprocess) -> tuple[list[float], list[float]]:
    """Return (mean, std) in units of the bytes 0..255: the network sees (byte - mean) / std."""
    mean = [255.0 * value for value in preprocess.mean or (0.0,)]
    std = [255.0 * value for value in preprocess.std or (1.0,)]
    return mean, std


def _outputs(graph: Graph) -> list[Node]:
    return [graph[name] for name in graph.outputs]


def _has_classes(node: Node, labels: Sequence[str]) -> bool:
    """Whether an output has an entry, or a map, for each class."""
    return bool(labels) and len(node.shape) in (2, 4) and node.shape[1] == len(labels)


def _input_tensor(build: flatbuffers.Builder, node: Node, preprocess: Preprocess | None) -> int:
    fields = {TENSOR_NAME: build.CreateString(node.name)}
    if len(node.shape) == 4 and node.channels in COLOR_SPACES:
        color_space = COLOR_SPACES[node.channels]
        image = table(build, {}, {IMAGE_COLOR_SPACE: color_space})
        fields[TENSOR_CONTENT] = union(build, CONTENT_TYPE, IMAGE_PROPERTIES, image)
    if preprocess is not None:
        mean, std = normalization(preprocess)
        options = table(
            build,
            {
                NORMALIZATION_MEAN: build.CreateNumpyVector(np.asarray(mean, np.float32)),
                NORMALIZATION_STD: build.CreateNumpyVector(np.asarray(std, np.float32)),
            },
        )
        unit = union(build, UNIT_TYPE, NORMALIZATION, options)
        fields[TENSOR_PROCESS_UNITS] = vector(build, [unit])
    return table(build, fields)


def _output_tensors(
    build: flatbuffers.Builder, graph: Graph, labels: Sequence[str], end: End | None
) -> list[int]:
    if end is None:
        titled = zip(graph.output_titles, _outputs(graph), strict=True)
        return [_output_tensor(build, title, node, labels) for title, node in titled]
    if isinstance(end, DetectionEnd):
        return detection_metadata.detection_outputs(build, end)
    return [map_metadata.map_output(build, end)]


def _output_tensor(
    build: flatbuffers.Builder, title: str, node: Node, labels: Sequence[str]
) -> int:
    fields = {TENSOR_NAME: build.CreateString(title)}
    feature = table(build, {})
    fields[TENSOR_CONTENT] = union(build, CONTENT_TYPE, FEATURE_PROPERTIES, feature)
    if _has_classes(node, labels):
        fields[TENSOR_FILES] = label_file(build, LABELS_FILE, TENSOR_AXIS_LABELS)
    return table(build, fields)
