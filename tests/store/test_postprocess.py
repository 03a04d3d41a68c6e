"""postprocess.json: what is written is read, and what a stranger put there is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from intaglio.errors import RequestError
from intaglio.maps.postprocess import MapPostProcess
from intaglio.store.postprocess import postprocess_text, read_postprocess
from intaglio.zoo import ZOO

NAMES = ["ssdlite_mobilenet_v2", "yolov3_nano_mobilenet_v2", "fasterrcnn_mobilenet_v2_fpn"]


def text_of(name: str) -> str:
    with torch.device("meta"):
        network = ZOO[name].build()
    return postprocess_text(network.postprocess((96, 128)))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read_again(name: str, tmp_path: Path) -> None:
    path = tmp_path / "postprocess.json"
    path.write_text(text_of(name), encoding="utf-8")

    found = read_postprocess(path)

    assert found is not None
    assert postprocess_text(found) == text_of(name)


def test_a_segmenters_is_read_again_as_a_segmenters(tmp_path: Path) -> None:
    post = MapPostProcess(2, output=1, rule="threshold", threshold=0.3, names=("room", "person"))
    path = tmp_path / "postprocess.json"
    path.write_text(postprocess_text(post), encoding="utf-8")

    assert read_postprocess(path) == post
    assert json.loads(path.read_text(encoding="utf-8"))["kind"] == "map"


@pytest.mark.parametrize(
    ("key", "value"), [("format", 99), ("classes", 256), ("rule", "lowest"), ("threshold", -1)]
)
def test_a_wrong_value_of_a_segmenters_is_refused_by_name(
    key: str, value: object, tmp_path: Path
) -> None:
    path = tmp_path / "postprocess.json"
    text = postprocess_text(MapPostProcess(21))
    path.write_text(json.dumps(json.loads(text) | {key: value}), encoding="utf-8")

    with pytest.raises(RequestError, match=rf"postprocess\.json: is damaged.* {key} "):
        read_postprocess(path)


def test_where_there_is_no_file_there_is_nothing(tmp_path: Path) -> None:
    assert read_postprocess(tmp_path / "postprocess.json") is None


@pytest.mark.parametrize("cut", [0, 1, 40, 400, -1, -3])
def test_a_file_that_is_cut_off_is_refused_by_name(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "postprocess.json"
    path.write_text(text_of(NAMES[0]).rstrip()[:cut], encoding="utf-8")

    with pytest.raises(RequestError, match=r"postprocess\.json: is damaged, or of another version"):
        read_postprocess(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("format", 99), ("most", 0), ("classes", "many"), ("kind", "three_stage"), ("levels", [])],
)
def test_a_wrong_value_is_refused_by_name(key: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "postprocess.json"
    path.write_text(json.dumps(json.loads(text_of(NAMES[0])) | {key: value}), encoding="utf-8")

    with pytest.raises(RequestError, match=r"postprocess\.json: is damaged, or of another version"):
        read_postprocess(path)
