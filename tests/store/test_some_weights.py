"""Some of the tensors of a file are read, whatever else is in it."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from intaglio.errors import NonFiniteError, WeightsError
from intaglio.store.weights import read_some

WANTED = {"features.0.weight": torch.zeros(2, 3), "stem.bias": torch.zeros(2)}


def given() -> dict[str, torch.Tensor]:
    return {
        "features.0.weight": torch.arange(6.0).reshape(2, 3),
        "stem.bias": torch.tensor([1.0, 2.0]),
        "classifier.weight": torch.ones(5, 2),
    }


def test_what_is_wanted_is_read_and_nothing_else(tmp_path):
    save_file(given(), tmp_path / "net.safetensors")

    found = read_some(tmp_path / "net.safetensors", WANTED)

    assert found.keys() == WANTED.keys()
    assert all(torch.equal(found[key], given()[key]) for key in found)


@pytest.mark.parametrize("prefix", ["module.", "net.backbone."])
def test_keys_may_have_a_prefix_and_stand_under_a_name(tmp_path, prefix):
    held = {prefix + key: tensor for key, tensor in given().items()}
    torch.save({"epoch": 3, "state_dict": held}, tmp_path / "net.pth")

    found = read_some(tmp_path / "net.pth", WANTED)

    assert all(torch.equal(found[key], given()[key]) for key in WANTED)


def test_half_precision_becomes_that_of_the_network(tmp_path):
    save_file({key: one.half() for key, one in given().items()}, tmp_path / "net.safetensors")

    found = read_some(tmp_path / "net.safetensors", WANTED)

    assert {tensor.dtype for tensor in found.values()} == {torch.float32}


def test_a_file_that_has_some_of_them_gives_these(tmp_path):
    save_file({"stem.bias": torch.ones(2)}, tmp_path / "net.safetensors")

    assert list(read_some(tmp_path / "net.safetensors", WANTED)) == ["stem.bias"]


def test_a_file_that_has_none_of_them_is_refused_with_their_names(tmp_path):
    save_file({"layer1.weight": torch.ones(2, 3)}, tmp_path / "net.safetensors")

    with pytest.raises(WeightsError, match=r"none of the 2 tensors .*features\.0\.weight"):
        read_some(tmp_path / "net.safetensors", WANTED)


def test_shapes_of_another_width_are_no_fit(tmp_path):
    wide = {"features.0.weight": torch.ones(4, 3), "stem.bias": torch.ones(4)}
    save_file(wide, tmp_path / "net.safetensors")

    with pytest.raises(WeightsError, match="none of the 2"):
        read_some(tmp_path / "net.safetensors", WANTED)


def test_what_is_not_finite_is_refused(tmp_path):
    bad = {**given(), "stem.bias": torch.tensor([1.0, float("nan")])}
    save_file(bad, tmp_path / "net.safetensors")

    with pytest.raises(NonFiniteError, match="stem"):
        read_some(tmp_path / "net.safetensors", WANTED)
