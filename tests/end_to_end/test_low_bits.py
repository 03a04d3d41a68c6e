"""A whole MobileNetV2 with weights of 4 and 2 bits: file, twin, saved result, report."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import intaglio
from calibrate.planned import plan_of
from intaglio.calibrate import (
    CALIBRATORS,
    choose_encodings,
    low_bit_layers,
    observe_ranges,
    trial_encodings,
)
from intaglio.ir.graph import Graph
from intaglio.job.of_graph import compress_graph
from intaglio.passes.canonicalize import canonicalize
from intaglio.recipe.recipe import Recipe
from intaglio.run.float import run_float
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.runtimes.litert.lower.lower import lower
from intaglio.targets.runtime import require_match
from intaglio.targets.target import Target
from intaglio.zoo.mobilenet_v2 import mobilenet_v2
from runtimes.litert.checked import check_file

SIZE = 64


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def captured() -> Graph:
    torch.manual_seed(0)
    return intaglio.capture(mobilenet_v2(width=0.35, num_classes=50), images(1))


@pytest.fixture(scope="module")
def graph(captured: Graph) -> Graph:
    found = captured.copy()
    canonicalize(found)
    lower(found)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheme", "target"),
    [
        ("w4a8", "litert"),
        ("w2a8", "litert"),
        ("mixed", "litert"),
        ("w2a8-per-tensor", "litert"),
        ("w4a8", "litert-reference"),
        ("w2a8-per-tensor", "litert-reference"),
    ],
)
def test_compress_makes_a_file_that_is_its_twin(scheme: str, target: str, captured: Graph) -> None:
    options = intaglio.Options(scheme=scheme)
    bits = {"features.18.0": 4, "classifier.1": 2} if scheme == "mixed" else {}
    recipe = Recipe(name="bits", weight_bits=bits)

    report = compress_graph(
        captured, data=images(2), target=target, recipe=recipe, options=options
    ).report

    assert report.check.mismatches == 0
    assert report.check.values_compared > 100_000
    # few bits leave little of random weights, which is said; nothing else is
    assert [text for text in report.warnings if "has an SQNR of" not in text] == []
    assert report.scheme.split()[0] == scheme.removesuffix("-per-tensor")


@pytest.mark.slow
@pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE], ids=lambda target: target.name)
def test_a_mixture_of_8_4_and_2_bits_is_one_partition_and_its_twin(
    target: Target, graph: Graph
) -> None:
    low = low_bit_layers(graph, target)
    assert len(low) == 35  # 16 expansions, 17 projections, the last convolution, the classifier
    chosen = {name: (8, 4, 2)[place % 3] for place, name in enumerate(low)}
    plan = plan_of(graph, target, "mixed", weight_bits=chosen)
    ranges = observe_ranges(graph, plan, [images(4)], calibrator=CALIBRATORS["minmax"])
    encodings = choose_encodings(graph, plan, ranges, target)

    twin = build_twin(graph, encodings, target)
    counts = check_file(write_tflite(graph, encodings, target), twin, [images(3)])

    require_match(counts, twin)
    assert {encodings.weights[name].spec.bits for name in low} == {8, 4, 2}
    assert counts.partitions == (not target.is_reference)
    assert (not target.is_reference) == (counts.builtin == [])


@pytest.mark.slow
def test_a_saved_result_with_low_bits_comes_back_with_its_bits_and_its_size(
    captured: Graph, tmp_path: Path
) -> None:
    options = intaglio.Options(scheme="w4a8")
    result = compress_graph(captured, data=images(2), recipe="plain", options=options)
    result.save(tmp_path / "result")

    loaded = intaglio.load(tmp_path / "result")

    assert torch.equal(loaded.twin(images(2)), result.twin(images(2)))
    require_match(check_file(loaded.content, loaded.twin, [images(1)]), loaded.target.runtime)
    found = {layer.name: layer.weight_bits for layer in loaded.report.layers}
    expected = {name: grid.spec.bits for name, grid in result.encodings.weights.items()}
    assert {name: bits for name, bits in found.items() if bits is not None} == expected
    assert set(expected.values()) == {8, 4}
    assert loaded.report.integer.size_bytes == len(result.content)
    assert loaded.recipe.scheme == "w4a8"


def test_half_the_bits_are_half_the_bytes_of_the_layers_that_have_them(graph: Graph) -> None:
    plans = {scheme: plan_of(graph, LITERT, scheme) for scheme in ("w8a8", "w4a8", "w2a8")}
    low = [name for name, spec in plans["w4a8"].weights.items() if spec.bits == 4]
    weights = sum(graph.param(graph[name], "weight").numel() for name in low)

    sizes = {
        scheme: len(write_tflite(graph, trial_encodings(graph, plan, LITERT), LITERT))
        for scheme, plan in plans.items()
    }

    assert weights > 200_000
    assert sizes["w8a8"] - sizes["w4a8"] == pytest.approx(weights / 2, abs=2000)
    assert sizes["w4a8"] - sizes["w2a8"] == pytest.approx(weights / 4, abs=2000)


@pytest.mark.parametrize("scheme", ["w4a4", "w3a3", "w8a4-per-tensor"])
def test_a_simulated_scheme_runs_in_the_twin_alone(scheme: str, graph: Graph) -> None:
    plan = plan_of(graph, LITERT, scheme)
    ranges = observe_ranges(graph, plan, [images(4)], calibrator=CALIBRATORS["minmax"])
    encodings = choose_encodings(graph, plan, ranges, LITERT)

    found = build_twin(graph, encodings, LITERT)(images(2))

    assert isinstance(found, torch.Tensor)
    assert found.shape == run_float(graph, images(2))[0].shape
    bits = plan.activations[graph.outputs[0]].bits
    assert 2 <= len(found.unique()) <= 2**bits
    with pytest.raises(
        intaglio.errors.UnsupportedByTarget, match=scheme.removesuffix("-per-tensor")
    ):
        write_tflite(graph, encodings, LITERT)
