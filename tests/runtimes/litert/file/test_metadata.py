"""Metadata is read back with a reader of its own, proven on files that others published."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from flatbuffers.table import Table

import intaglio
from intaglio.data.preprocess import Preprocess
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.file.metadata import file_metadata, fitting_labels, with_labels
from intaglio.runtimes.litert.interpreter.runtime import open_interpreter, run_file

DIGITS = tuple("0123456789")
IMAGENET = Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


class Reader:
    """A table of a flatbuffer, read by slot numbers."""

    def __init__(self, table: Table) -> None:
        self.table = table

    @classmethod
    def root(cls, data: bytes) -> Reader:
        return cls(Table(bytearray(data), struct.unpack_from("<I", data)[0]))

    def _offset(self, slot: int) -> int:
        return int(self.table.Offset(4 + 2 * slot))

    def text(self, slot: int) -> str | None:
        offset = self._offset(slot)
        return self.table.String(offset + self.table.Pos).decode() if offset else None

    def byte(self, slot: int) -> int:
        offset = self._offset(slot)
        return int(self.table.Bytes[offset + self.table.Pos]) if offset else 0

    def floats(self, slot: int) -> list[float]:
        offset = self._offset(slot)
        count, start = self.table.VectorLen(offset), self.table.Vector(offset)
        return list(struct.unpack_from(f"<{count}f", self.table.Bytes, start))

    def tables(self, slot: int) -> list[Reader]:
        offset = self._offset(slot)
        if not offset:
            return []
        count, start = self.table.VectorLen(offset), self.table.Vector(offset)
        return [self._at(start + 4 * index) for index in range(count)]

    def child(self, slot: int) -> Reader:
        return self._at(self._offset(slot) + self.table.Pos)

    def _at(self, position: int) -> Reader:
        return Reader(Table(self.table.Bytes, self.table.Indirect(position)))


def described(data: bytes) -> dict[str, Any]:
    """Return what a ModelMetadata buffer says, in plain values."""
    assert data[4:8] == b"M001"
    model = Reader.root(data)
    (subgraph,) = model.tables(3)
    return {
        "name": model.text(0),
        "parser": model.text(7),
        "inputs": [described_tensor(tensor) for tensor in subgraph.tables(2)],
        "outputs": [described_tensor(tensor) for tensor in subgraph.tables(3)],
    }


def described_tensor(tensor: Reader) -> dict[str, Any]:
    content = tensor.child(3)
    return {
        "name": tensor.text(0),
        "content": content.byte(0),
        "color_space": content.child(1).byte(0) if content.byte(0) == 2 else None,
        "normalization": [
            (unit.child(1).floats(0), unit.child(1).floats(1))
            for unit in tensor.tables(4)
            if unit.byte(0) == 1
        ],
        "files": [(file.text(0), file.byte(2)) for file in tensor.tables(6)],
    }


def named_buffers(content: bytes) -> dict[str, bytes]:
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    return {
        entry.name.decode(): model.buffers[entry.buffer].data.tobytes() for entry in model.metadata
    }


def classifier(channels: int = 3, classes: int = 10) -> Graph:
    graph = Graph(inputs=["x"], outputs=["scores"])
    graph.add(Node("x", "input", shape=(BATCH, channels, 8, 8)))
    graph.add(Node("scores", "linear", ["x"], shape=(BATCH, classes)))
    return graph


def tflite_metadata(graph: Graph, preprocess: Preprocess | None, labels: tuple[str, ...]) -> Any:
    return described(
        file_metadata(graph, preprocess, labels, scheme="w8a8")["TFLITE_METADATA"],
    )


@pytest.mark.parametrize(
    ("name", "labels_file"),
    [
        ("deeplabv3_mnv2_dm05_257_float", "labelmap.txt"),
        ("mobilenet_v2_1.0_224_ptq_per_channel_int8", "imagenet_labels.txt"),
        ("mobilenet_v2_1.0_224_qat_per_tensor_uint8", "imagenet_labels.txt"),
    ],
)
def test_the_reader_understands_published_files(data_pack: Path, name: str, labels_file: str):
    content = (data_pack / "tflite" / f"{name}.tflite").read_bytes()

    found = described(named_buffers(content)["TFLITE_METADATA"])

    (image,) = found["inputs"]
    assert (image["name"], image["content"], image["color_space"]) == ("image", 2, 1)
    assert image["normalization"] == [([127.5], [127.5])]
    assert found["outputs"][0]["files"] == [(labels_file, 2)]
    assert found["parser"] == "1.0.0"
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == [labels_file]


def test_normalization_is_in_units_of_bytes():
    found = tflite_metadata(classifier(), IMAGENET, ())

    ((mean, std),) = found["inputs"][0]["normalization"]
    assert mean == pytest.approx([123.675, 116.28, 103.53])
    assert std == pytest.approx([58.395, 57.12, 57.375])


def test_preprocessing_without_mean_and_std_divides_by_255():
    found = tflite_metadata(classifier(), Preprocess(crop=8), ())

    assert found["inputs"][0]["normalization"] == [([0.0], [255.0])]


def test_unknown_preprocessing_claims_no_normalization():
    assert tflite_metadata(classifier(), None, ())["inputs"][0]["normalization"] == []


@pytest.mark.parametrize(("channels", "content", "space"), [(3, 2, 1), (1, 2, 2), (4, None, None)])
def test_only_three_and_one_channels_are_called_images(channels, content, space):
    graph = classifier(channels)
    data = file_metadata(graph, None, (), scheme="w8a8")["TFLITE_METADATA"]
    tensor = Reader.root(data).tables(3)[0].tables(2)[0]

    assert tensor.text(0) == "x"
    if content is None:
        assert tensor._offset(3) == 0
    else:
        assert (tensor.child(3).byte(0), tensor.child(3).child(1).byte(0)) == (content, space)


def test_the_output_names_its_labels_and_no_buffer_repeats_them():
    buffers = file_metadata(classifier(), None, DIGITS, scheme="w8a8", model="digits")

    found = described(buffers["TFLITE_METADATA"])
    assert found["name"] == "digits"
    assert [output["name"] for output in found["outputs"]] == ["scores"]
    assert found["outputs"][0]["files"] == [("labels.txt", 2)]
    assert b"labels" not in buffers["intaglio"]


def test_labels_of_another_number_than_the_classes_are_left_out():
    graph = classifier(classes=1000)

    assert fitting_labels(graph, DIGITS) == ()
    assert tflite_metadata(graph, None, DIGITS)["outputs"][0]["files"] == []
    assert fitting_labels(classifier(), DIGITS) == DIGITS


def test_the_zip_is_found_from_the_end_and_the_model_is_untouched(tmp_path: Path):
    path = tmp_path / "model.tflite"
    path.write_bytes(with_labels(b"model" * 50, ["cat", "a\nb", "Übermut"]))

    assert path.read_bytes().startswith(b"model" * 50)
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-e", str(path), str(tmp_path)], check=True
    )
    assert listed.returncode == 0
    assert (tmp_path / "labels.txt").read_text("utf-8").splitlines() == ["cat", "a b", "Übermut"]


def test_the_same_labels_give_the_same_bytes():
    assert with_labels(b"model", DIGITS) == with_labels(b"model", DIGITS)


def test_without_labels_the_file_stays_as_it_is():
    assert with_labels(b"model", ()) == b"model"


def test_a_model_that_looks_like_a_zip_archive_is_not_taken_for_one():
    decoy = io.BytesIO()
    with zipfile.ZipFile(decoy, "w") as archive:
        archive.writestr("other.txt", "weights may be any bytes")

    found = zipfile.ZipFile(io.BytesIO(with_labels(decoy.getvalue(), DIGITS)))

    assert found.namelist() == ["labels.txt"]
    assert found.read("labels.txt").decode() == "".join(f"{digit}\n" for digit in DIGITS)


def test_the_interpreter_runs_a_file_with_metadata_and_labels():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 10)
    )
    images = torch.randn(4, 3, 8, 8)
    where = intaglio.Provenance(preprocess=IMAGENET, labels=DIGITS)
    result = intaglio.compress(
        network, images[:1], data=images, options=intaglio.Options(provenance=where)
    )
    content = with_labels(result.content, DIGITS)

    interpreter = open_interpreter(content, LITERT)

    image = images[:1].permute(0, 2, 3, 1).contiguous().numpy()  # [1, H, W, C]
    (scores,) = run_file(interpreter, image)
    assert torch.equal(torch.from_numpy(scores), result.twin(images[:1]))
    buffers = named_buffers(content)
    assert described(buffers["TFLITE_METADATA"])["outputs"][0]["files"] == [("labels.txt", 2)]
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["labels.txt"]
