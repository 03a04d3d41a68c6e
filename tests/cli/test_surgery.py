"""`intaglio surgery`: what it writes, and what it refuses before it writes anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import intaglio as package
from cli.tiny import CLASSIFIER, intaglio, printed_json
from intaglio.host.files import RESULT_FILES

OPERATED = (*CLASSIFIER, "--data", "images", "--epochs", 1, "--batch", 4)


@pytest.mark.slow
def test_surgery_leaves_all_that_compress_leaves_and_the_price_list(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    assert intaglio("surgery", *OPERATED, "--eval", "images", "--out", "out", "--json") == 0

    record = printed_json(capsys)
    assert record == json.loads(Path("out/surgery.json").read_text("utf-8"))
    names = {path.name for path in Path("out").iterdir()}
    assert names >= {"model.tflite", "report.json", "surgery.json", "network.pt2", "SHA256SUMS"}
    assert names <= set(RESULT_FILES)
    changes = [row["change"] for row in record["steps"]]
    assert changes[0] == "nothing"
    assert changes[-2:] == ["fine-tune", "replace-relu6"]
    for row in record["steps"]:
        assert {"float_top1", "integer_top1", "n", "kept", "exact"} <= row.keys()
    assert package.load("out").report.check.mismatches == 0
    assert intaglio("compress", "out/network.pt2", "--data", "images", "--out", "again") == 0


def test_what_is_wrong_is_refused_before_anything_is_written(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    for words, said in (
        ((*OPERATED, "--to", "qv"), "unknown form 'qv': known: qf"),
        ((*OPERATED, "--lr", -1), "--lr: "),
        (("resnet20_cifar10", "--data", "images"), "finds nothing to change"),
    ):
        capsys.readouterr()
        assert intaglio("surgery", *words, "--out", "out") == 2
        assert said in capsys.readouterr().err
        assert not Path("out").exists()
