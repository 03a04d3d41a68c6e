"""Schemes that no file holds: everything but the file is made, and says why there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import intaglio
from architectures import images
from intaglio.errors import IntaglioError, RequestError, UnsupportedByTarget
from intaglio.ops.traits import WEIGHTED

SHAPE = (1, 3, 12, 12)
X = images(SHAPE, 12)
LABELS = torch.arange(12) % 4


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    ).eval()


def simulated(scheme: str = "w4a4", **more: object) -> intaglio.Result:
    return intaglio.compress(
        network(), X[:1], data=X, recipe="plain", options=intaglio.Options(scheme=scheme, **more)
    )


@pytest.fixture(scope="module")
def result() -> intaglio.Result:
    return simulated()


def test_there_is_no_file_and_the_verdict_says_why(result: intaglio.Result) -> None:
    assert dict(result.files) == {}
    assert result.report.check is None
    verdict = result.report.to_dict()["verdict"]
    assert verdict["bits"] == "no file"
    assert "scheme w4a4 is simulated" in verdict["bits_why"]
    assert "simulated" in str(result.report)
    with pytest.raises(RequestError, match="there is no file, the twin alone runs"):
        _ = result.content


def test_every_weight_and_value_has_the_bits_of_the_scheme(result: intaglio.Result) -> None:
    rows = {row.name: row for row in result.report.layers}

    assert {row.activation_bits for row in rows.values()} == {4}
    assert {rows[n.name].weight_bits for n in result.graph if n.op in WEIGHTED} == {4}
    assert len(result.twin(X).unique()) <= 2**4


def test_the_size_is_what_a_file_would_take_whose_runtime_had_the_bits() -> None:
    sizes = [simulated(scheme).report.integer.size_bytes for scheme in ("w2a4", "w8a4")]

    weights = 8 * 3 * 9 + 4 * 8
    assert sizes[1] - sizes[0] == weights * 6 / 8


def test_what_is_saved_is_loaded_without_a_file(result: intaglio.Result, tmp_path: Path) -> None:
    result.save(tmp_path / "out")

    again = intaglio.load(tmp_path / "out")

    assert not (tmp_path / "out" / "model.tflite").exists()
    assert torch.equal(again.twin(X), result.twin(X))
    assert again.report.verdict == result.report.verdict
    assert again.recipe.scheme == "w4a4"


@pytest.mark.parametrize("scheme", ["w4a4-academic", "w3a4-squant", "w2a2-genie"])
def test_a_network_of_a_paper_s_scheme_is_saved_and_loaded(scheme: str, tmp_path: Path) -> None:
    result = simulated(scheme)
    result.save(tmp_path / "out")

    again = intaglio.load(tmp_path / "out")

    assert torch.equal(again.twin(X), result.twin(X))
    assert again.report.target == "simulation"


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        ("weights", lambda grids: grids.pop(next(iter(grids))), "has no grid for"),
        (
            "activations",
            lambda grids: grids.update(nobody=dict(next(iter(grids.values())))),
            "nobody",
        ),
        (
            "activations",
            lambda grids: next(iter(grids.values())).update(symmetric=True, zero_point=0),
            "not symmetric",
        ),
        ("weights", lambda grids: next(iter(grids.values())).update(axis=None), "axis"),
    ],
)
def test_grids_that_no_paper_s_scheme_has_are_refused(part, change, told, tmp_path: Path) -> None:
    simulated("w4a4-academic").save(tmp_path / "out")
    path = tmp_path / "out" / "encodings.json"
    plain = json.loads(path.read_text())
    change(plain[part])
    path.write_text(json.dumps(plain))
    (tmp_path / "out" / "SHA256SUMS").unlink()

    with (
        pytest.warns(UserWarning, match="no SHA256SUMS"),
        pytest.raises(IntaglioError, match=told),
    ):
        intaglio.load(tmp_path / "out")


def test_a_file_that_is_missing_is_still_missed_where_there_was_one(tmp_path: Path) -> None:
    simulated("w8a8").save(tmp_path / "out")
    (tmp_path / "out" / "model.tflite").unlink()

    with pytest.raises(RequestError, match=r"model.tflite is missing"):
        intaglio.load(tmp_path / "out")


def test_what_the_target_refuses_for_another_reason_than_bits_is_refused_still() -> None:
    class Angle(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.atan2(x, x + 1.0)

    module = nn.Sequential(nn.Conv2d(3, 4, 3), Angle(), nn.Conv2d(4, 4, 1)).eval()

    with pytest.raises(UnsupportedByTarget, match="'1'"):
        intaglio.compress(
            module, X[:1], data=X, recipe="plain", options=intaglio.Options(scheme="w4a4")
        )


def test_a_layer_may_stay_in_float(tmp_path: Path) -> None:
    result = simulated(keep_float=("0",))

    assert [kept.why for kept in result.report.kept_float if kept.name == "0"]
    result.save(tmp_path / "out")
    assert torch.equal(intaglio.load(tmp_path / "out").twin(X), result.twin(X))


@pytest.mark.slow
def test_a_search_tunes_a_scheme_that_no_file_holds() -> None:
    result = intaglio.compress(
        network(),
        X[:1],
        data=X,
        evaluate=(X, LABELS),
        options=intaglio.Options(scheme="w4a4", minutes=0.05),
    )

    assert result.report.attempts[0].size_bytes
    assert result.report.verdict.bits == "no file"
    assert result.report.integer.n == 12
