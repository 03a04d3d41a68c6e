"""What a file that ends in boxes says of them, for libraries that know such files.

    location, category, score, number of detections     names of the outputs, in this order
    labelmap.txt                                        the classes' names, in the zip archive

Source: metadata_schema.fbs of tensorflow/tflite-support, version 1.2.0 (groups are new in it), and
what cc/task/vision/object_detector.cc there demands: four outputs of these names, boxes that are
boundaries as parts of the picture, and labels as names of a tensor's values. That library reads
boxes as left, top, right, bottom, in the places that `index` says.
"""

from __future__ import annotations

import flatbuffers
import numpy as np

from intaglio.runtimes.litert.file.detection_fit import DetectionEnd
from intaglio.runtimes.litert.file.metadata_tables import (
    CONTENT_TYPE,
    content,
    label_file,
    table,
    union,
    vector,
)

LOCATION, CATEGORY, SCORE, COUNT = NAMES = ("location", "category", "score", "number of detections")
LABELS_FILE = "labelmap.txt"
PARSER_VERSION = "1.2.0"
GROUP = "detection_result"
"""Outputs that belong together, entry by entry: all but the count."""
CORNERS = (1, 0, 3, 2)
"""Where left, top, right, bottom stand in a box of the op."""

TENSOR_NAME, TENSOR_CONTENT, TENSOR_PROCESS_UNITS, TENSOR_FILES = 0, 3, 4, 6
EACH = (2, 2)
"""The axis that a content is repeated along, as published files say it."""
FEATURE_PROPERTIES, BOX_PROPERTIES = 1, 3  # members of the union in Content
BOX_INDEX, BOX_TYPE = 0, 1
BOUNDARIES = 1
UNIT_TYPE = 0
THRESHOLDING = 3  # member of the union in ProcessUnit
THRESHOLD = 0
TENSOR_VALUE_LABELS = 3
GROUP_NAME, GROUP_TENSORS = 0, 1


def detection_outputs(build: flatbuffers.Builder, end: DetectionEnd) -> list[int]:
    """Write the descriptions of the four outputs; return their offsets, in order."""
    index = build.CreateNumpyVector(np.asarray(CORNERS, np.uint32))
    properties = table(build, {BOX_INDEX: index}, {BOX_TYPE: BOUNDARIES})
    boxes = content(build, BOX_PROPERTIES, properties, EACH)
    return [
        _tensor(build, LOCATION, boxes),
        _tensor(build, CATEGORY, _of_each(build), files=_names(build, end)),
        _tensor(build, SCORE, _of_each(build), units=_threshold(build, end.post.select.above)),
        _tensor(build, COUNT, union(build, CONTENT_TYPE, FEATURE_PROPERTIES, table(build, {}))),
    ]


def detection_groups(build: flatbuffers.Builder) -> int:
    """Write which outputs are lists of the same detections; return the offset of the vector."""
    names = vector(build, [build.CreateString(name) for name in (LOCATION, CATEGORY, SCORE)])
    group = table(build, {GROUP_NAME: build.CreateString(GROUP), GROUP_TENSORS: names})
    return vector(build, [group])


def _tensor(
    build: flatbuffers.Builder,
    name: str,
    content: int,
    *,
    units: int | None = None,
    files: int | None = None,
) -> int:
    fields = {TENSOR_NAME: build.CreateString(name), TENSOR_CONTENT: content}
    if units is not None:
        fields[TENSOR_PROCESS_UNITS] = units
    if files is not None:
        fields[TENSOR_FILES] = files
    return table(build, fields)


def _of_each(build: flatbuffers.Builder) -> int:
    """Return the content of one number a detection."""
    return content(build, FEATURE_PROPERTIES, table(build, {}), EACH)


def _names(build: flatbuffers.Builder, end: DetectionEnd) -> int | None:
    return label_file(build, LABELS_FILE, TENSOR_VALUE_LABELS) if end.names else None


def _threshold(build: flatbuffers.Builder, above: float | None) -> int | None:
    """Return the score above which detections are meant; None where there is none."""
    if above is None:
        return None
    build.StartObject(THRESHOLD + 1)
    build.PrependFloat32Slot(THRESHOLD, float(np.float32(above)), 0.0)
    unit = union(build, UNIT_TYPE, THRESHOLDING, int(build.EndObject()))
    return vector(build, [unit])
