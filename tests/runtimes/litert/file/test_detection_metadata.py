"""What a file says of its boxes, beside what Google's writer says of its own SSD MobileNetV1.

The published description is tflite-support's testdata/object_detector/ssd_mobilenet_v1.json.
"""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Any

from intaglio.boxes.postprocess import PostProcess, Selection
from intaglio.data.preprocess import Preprocess
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.runtimes.litert.file.detection_fit import DetectionEnd
from intaglio.runtimes.litert.file.detection_metadata import LABELS_FILE
from intaglio.runtimes.litert.file.metadata import file_metadata, with_labels
from runtimes.litert.file.ends import detector
from runtimes.litert.file.test_metadata import Reader

NAMES = ("cat", "dog", "cow")
FEATURE, BOUNDING_BOX = 1, 3
RANGE = {"min": 2, "max": 2}
PUBLISHED = [
    {"name": "location", "content": BOUNDING_BOX, "range": RANGE, "index": [1, 0, 3, 2], "type": 1},
    {"name": "category", "content": FEATURE, "range": RANGE, "files": [("labelmap.txt", 3)]},
    {"name": "score", "content": FEATURE, "range": RANGE},
    {"name": "number of detections", "content": FEATURE},
]


def metadata(post: PostProcess, names: tuple[str, ...] = NAMES) -> Reader:
    graph = Graph(inputs=["x"], outputs=["a", "b"])
    graph.add(Node("x", "input", shape=(BATCH, 3, 8, 8)))
    graph.add(Node("a", "linear", ["x"], shape=(BATCH, 10)))
    graph.add(Node("b", "linear", ["x"], shape=(BATCH, 10)))
    end = DetectionEnd(post, ("a.float", "b.float"), names)
    preprocess = Preprocess(mean=(0.5,), std=(0.5,))
    data = file_metadata(graph, preprocess, (), scheme="w8a8", end=end)["TFLITE_METADATA"]
    assert data[4:8] == b"M001"
    return Reader.root(data)


def number(reader: Reader, slot: int, form: str) -> Any:
    offset = reader._offset(slot)
    return (
        struct.unpack_from(form, reader.table.Bytes, offset + reader.table.Pos)[0] if offset else 0
    )


def described(tensor: Reader) -> dict[str, Any]:
    """Return what an output says, without what is empty."""
    content = tensor.child(3)
    found: dict[str, Any] = {"name": tensor.text(0), "content": content.byte(0)}
    if content._offset(2):
        extent = content.child(2)
        found["range"] = {"min": number(extent, 0, "<i"), "max": number(extent, 1, "<i")}
    if content.byte(0) == BOUNDING_BOX:
        box = content.child(1)
        offset = box._offset(0)
        count, start = box.table.VectorLen(offset), box.table.Vector(offset)
        found["index"] = list(struct.unpack_from(f"<{count}I", box.table.Bytes, start))
        found["type"] = box.byte(1)
        assert box.byte(2) == 0  # coordinates are parts of the picture
    if files := [(file.text(0), file.byte(2)) for file in tensor.tables(6)]:
        found["files"] = files
    return found


def outputs_of(model: Reader) -> list[Reader]:
    (subgraph,) = model.tables(3)
    return subgraph.tables(3)


def test_the_four_outputs_are_described_as_published_files_describe_them() -> None:
    model = metadata(detector("map"))

    assert [described(tensor) for tensor in outputs_of(model)] == PUBLISHED
    (taken,) = model.tables(3)[0].tables(2)
    (unit,) = taken.tables(4)
    assert (unit.child(1).floats(0), unit.child(1).floats(1)) == ([127.5], [127.5])


def test_scores_have_the_threshold_of_the_post_processing() -> None:
    """Options 3 of a process unit; the library drops what scores this or less, as `boxes` do."""
    score = outputs_of(metadata(detector("map")))[2]
    (unit,) = score.tables(4)

    assert unit.byte(0) == 3
    assert number(unit.child(1), 0, "<f") == struct.unpack("<f", struct.pack("<f", 0.01))[0]


def test_without_a_threshold_none_is_said() -> None:
    post = PostProcess(**{**vars(detector("map")), "select": Selection(None)})

    assert outputs_of(metadata(post))[2].tables(4) == []


def test_a_group_says_which_outputs_belong_together_and_the_version_that_knows_groups() -> None:
    model = metadata(detector("map"))
    (group,) = model.tables(3)[0].tables(8)
    offset = group._offset(1)
    places = range(group.table.VectorLen(offset))
    start = group.table.Vector(offset)
    names = [group.table.String(start + 4 * place).decode() for place in places]

    assert group.text(0) == "detection_result"
    assert names == ["location", "category", "score"]
    assert model.text(7) == "1.2.0"


def test_without_names_no_file_is_said_to_hold_them() -> None:
    outputs = outputs_of(metadata(detector("map"), names=()))

    assert "files" not in described(outputs[1])


def test_the_names_lie_in_the_archive_one_a_line() -> None:
    content = with_labels(b"model", NAMES, LABELS_FILE)

    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.namelist() == ["labelmap.txt"]
    assert archive.read("labelmap.txt").decode() == "cat\ndog\ncow\n"


def test_a_file_that_ends_in_its_outputs_says_nothing_of_a_core() -> None:
    graph = Graph(inputs=["x"], outputs=["x"])
    graph.add(Node("x", "input", shape=(BATCH, 3, 8, 8)))

    assert b"core" not in file_metadata(graph, None, (), scheme="w8a8")["intaglio"]
