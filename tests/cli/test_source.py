"""MODEL on the command line is a network of images; Python takes others as well."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cli.tiny import intaglio
from intaglio.cli.source import open_source
from intaglio.errors import DataError
from intaglio.read.source import read


@pytest.fixture
def features(tmp_path: Path) -> str:
    """A saved program whose input are six numbers."""
    path = tmp_path / "features.pt2"
    torch.export.save(torch.export.export(torch.nn.Linear(6, 2), (torch.zeros(2, 6),)), path)
    return str(path)


def test_a_program_of_no_images_is_refused_on_the_command_line(
    features: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(DataError, match=r"image files cannot feed a network .* \[1, 6\]"):
        open_source(features, weights=None, preprocess=None, input_shape=None)

    assert intaglio("inspect", features) == 2
    assert "image files cannot feed" in capsys.readouterr().err


def test_a_program_of_no_images_is_read_in_python(features: str) -> None:
    source = read(features)

    assert source.input_shape == (1, 6)
    assert next(node.op for node in source.capture()) == "input"
