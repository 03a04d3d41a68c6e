"""What a file says of its classes of pixels, read back slot by slot."""

from __future__ import annotations

import io
import zipfile

from intaglio.data.preprocess import Preprocess
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.maps.postprocess import MapPostProcess
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import per_tensor
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.file.map_end import map_end
from intaglio.runtimes.litert.file.metadata import file_metadata
from intaglio.runtimes.litert.format.verify import verify
from intaglio.targets.runtime import About
from runtimes.litert.file.test_detection_metadata import number, outputs_of
from runtimes.litert.file.test_metadata import Reader

NAMES = ("nothing", "cat", "dog")
POST = MapPostProcess(3, names=NAMES)
IMAGE, GRAYSCALE, VALUE_LABELS = 2, 2, 3


def network() -> Graph:
    graph = Graph(inputs=["x"], outputs=["x"])
    graph.add(Node("x", "input", shape=(BATCH, 3, 8, 8)))
    return graph


def metadata(post: MapPostProcess) -> Reader:
    graph = network()
    preprocess = Preprocess(mean=(0.5,), std=(0.5,))
    end = map_end(post, graph)
    data = file_metadata(graph, preprocess, (), scheme="w8a8", end=end)["TFLITE_METADATA"]
    assert data[4:8] == b"M001"
    return Reader.root(data)


def test_the_output_is_a_grey_picture_on_axes_1_and_2_whose_values_have_names() -> None:
    (mask,) = outputs_of(metadata(POST))
    content = mask.child(3)

    assert mask.text(0) == "category_mask"
    assert content.byte(0) == IMAGE
    assert content.child(1).byte(0) == GRAYSCALE
    extent = content.child(2)
    assert (number(extent, 0, "<i"), number(extent, 1, "<i")) == (1, 2)
    assert [(one.text(0), one.byte(2)) for one in mask.tables(6)] == [
        ("labelmap.txt", VALUE_LABELS)
    ]


def test_without_names_no_file_is_said_to_hold_them() -> None:
    (mask,) = outputs_of(metadata(MapPostProcess(3)))

    assert mask.tables(6) == []


def test_no_group_is_said_and_the_version_is_that_of_a_file_without_any() -> None:
    model = metadata(POST)

    assert model.tables(3)[0].tables(8) == []
    assert model.text(7) == "1.0.0"


def test_the_target_writes_names_behind_a_sound_model() -> None:
    encodings = Encodings({"x": per_tensor(0.1, 3)}, {})
    about = About(labels=("a", "b", "c"), postprocess=MapPostProcess(3))

    content = LITERT.write(network(), encodings, "float", about)["model.tflite"]

    verify(content, "model.tflite")
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.namelist() == ["labelmap.txt"]
    assert archive.read("labelmap.txt").decode() == "a\nb\nc\n"
