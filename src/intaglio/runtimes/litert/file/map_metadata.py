"""What a file that ends in classes of pixels says of them.

    category_mask    name of the output: a grey picture whose values are classes
    labelmap.txt     the classes' names, one a line, in the zip archive

Source: metadata_schema.fbs of tensorflow/tflite-support, version 1.0.0, and what its writer of
segmenters says of a network's scores (metadata_writers/image_segmenter.py): grey pictures on axes 1
and 2. There the names belong to an axis, here to a tensor's values, of which the schema knows too.

The ImageSegmenter of that library takes no such file: it wants scores [1, h, w, classes] and finds
the highest itself, where its options ask for a category mask (cc/task/vision/image_segmenter.cc).
So does MediaPipe's (tasks/cc/vision/image_segmenter). For these, a file ends in its network's
outputs; one that ends in classes is for code of one's own, or Coral's, whose own DeepLab ends in
ARG_MAX (int64) and which takes either form (examples/semantic_segmentation.py of pycoral).
"""

from __future__ import annotations

import flatbuffers

from intaglio.runtimes.litert.file.map_end import GIVEN, MapEnd
from intaglio.runtimes.litert.file.metadata_tables import content, label_file, table

LABELS_FILE = "labelmap.txt"
TENSOR_NAME, TENSOR_DESCRIPTION, TENSOR_CONTENT, TENSOR_FILES = 0, 1, 3, 6
IMAGE_PROPERTIES = 2  # member of the union in Content
IMAGE_COLOR_SPACE, GRAYSCALE = 0, 2
HEIGHT, WIDTH = 1, 2
"""Axes of the output that are a picture."""
TENSOR_VALUE_LABELS = 3


def map_output(build: flatbuffers.Builder, end: MapEnd) -> int:
    """Write the description of the output; return its offset."""
    image = table(build, {}, {IMAGE_COLOR_SPACE: GRAYSCALE})
    fields = {
        TENSOR_NAME: build.CreateString(GIVEN),
        TENSOR_DESCRIPTION: build.CreateString("The class of each pixel"),
        TENSOR_CONTENT: content(build, IMAGE_PROPERTIES, image, (HEIGHT, WIDTH)),
    }
    if end.names:
        fields[TENSOR_FILES] = label_file(build, LABELS_FILE, TENSOR_VALUE_LABELS)
    return table(build, fields)
