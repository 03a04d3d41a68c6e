"""The comparison of file and twin once more: what it finds, and what it needs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema

from cli.tiny import CALIBRATION, CLASSIFIER, intaglio, printed_json
from intaglio.host.sums import write_sums
from intaglio.runtimes import TARGETS


def test_check_finds_no_mismatch_in_what_compress_wrote(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    assert intaglio("check", "result", *CALIBRATION, "--json") == 0

    found = printed_json(capsys)
    assert found["mismatches"] == 0
    assert found["images"] == 12
    assert found["refused"] == []
    assert found["values_compared"] > 12 * 10_000


@pytest.mark.parametrize("target", list(TARGETS))
def test_a_file_of_bytes_is_checked(
    place: Path, capsys: pytest.CaptureFixture, target: str
) -> None:
    asked = ("--io", "uint8", "--target", target, "--out", "out", "--json")
    assert intaglio("compress", *CLASSIFIER, *CALIBRATION, *asked) == 0
    report = printed_json(capsys)
    again = ("--recipe", "out/recipe.toml", "--out", "again")
    assert intaglio("compress", *CLASSIFIER, *CALIBRATION, *again) == 0
    capsys.readouterr()

    assert set(report["input"]) == {"scale", "zero_point", "off"}
    assert Path("again/model.tflite").read_bytes() == Path("out/model.tflite").read_bytes()
    for file in ("out", "out/model.tflite"):
        assert intaglio("check", file, *CALIBRATION, "--json") == 0

        found = printed_json(capsys)
        assert (found["mismatches"], found["images"]) == (0, 12)


def test_limit_draws_images(place: Path, capsys: pytest.CaptureFixture) -> None:
    assert intaglio("check", "result", *CALIBRATION, "--limit", 5, "--json") == 0

    assert printed_json(capsys)["images"] == 5


def test_a_changed_weight_is_found_and_the_exit_code_is_1(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    file = Path("result/model.tflite")
    file.write_bytes(with_other_weight(file.read_bytes()))
    write_sums(Path("result"))  # as if it had been written so

    assert intaglio("check", "result", *CALIBRATION, "--json") == 1

    out, err = capsys.readouterr()
    assert '"mismatches": 0' not in out
    assert len(err.splitlines()) == 1
    assert "values differ" in err


def test_a_file_is_checked_against_the_result_around_it(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    assert intaglio("check", "result/model.tflite", *CALIBRATION) == 0

    assert "0 mismatches" in capsys.readouterr().out


def test_a_file_alone_cannot_be_checked(place: Path, capsys: pytest.CaptureFixture) -> None:
    shutil.copy("result/model.tflite", "alone.tflite")

    assert intaglio("check", "alone.tflite", *CALIBRATION) == 2

    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert "give the folder of the result" in err


@pytest.mark.parametrize("name", ["encodings.json", "graph.json", "graph.safetensors"])
def test_a_damaged_result_is_named(place: Path, capsys: pytest.CaptureFixture, name: str) -> None:
    path = Path("result", name)
    path.write_bytes(path.read_bytes()[:100])

    assert intaglio("check", "result", *CALIBRATION) == 2

    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert f"damaged: {name} is not what SHA256SUMS says" in err


def test_a_result_without_sums_is_checked_with_a_warning(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    Path("result/SHA256SUMS").unlink()

    assert intaglio("check", "result", *CALIBRATION, "--json") == 0

    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert err.startswith("intaglio: warning: the result result has no SHA256SUMS")


def test_a_damaged_file_is_refused(place: Path, capsys: pytest.CaptureFixture) -> None:
    path = Path("result/model.tflite")
    path.write_bytes(path.read_bytes()[:1000])
    write_sums(Path("result"))

    assert intaglio("check", "result", *CALIBRATION) == 2

    assert "damaged" in capsys.readouterr().err


def with_other_weight(content: bytes) -> bytes:
    """Return the file with one weight of its first convolution made larger by 1 step."""
    model = schema.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    tensors = {graph.Tensors(i).Name(): graph.Tensors(i) for i in range(graph.TensorsLength())}
    stored = bytes(model.Buffers(tensors[b"0.weight"].Buffer()).DataAsNumpy())
    assert content.count(stored) == 1
    place = content.index(stored)
    changed = (content[place] + (-1 if content[place] == 127 else 1)) % 256
    return content[:place] + bytes([changed]) + content[place + 1 :]
