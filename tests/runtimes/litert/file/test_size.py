"""The size rule against files that were written."""

from __future__ import annotations

import functools

import pytest

from architectures import captured_zoo
from calibrate.planned import planned
from intaglio.calibrate import low_bit_layers, trial_encodings
from intaglio.passes.canonicalize import canonicalize
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.file.size import size_bytes
from intaglio.runtimes.litert.file.write import write_tflite
from intaglio.runtimes.litert.lower.lower import lower
from methods.quantized import calibrated


@functools.cache
def lowered(model: str):
    graph = captured_zoo(model).copy()
    canonicalize(graph)
    lower(graph)
    return graph


def sizes(graph, bits: int, keep_float=()) -> tuple[int, int]:
    """Return (by the rule, as written)."""
    graph = graph.copy()
    low = {name: bits for name in low_bit_layers(graph, LITERT)} if not keep_float else {}
    graph, plan = planned(graph, LITERT, "mixed", weight_bits=low, keep_float=keep_float)
    content = write_tflite(graph, trial_encodings(graph, plan, LITERT), LITERT)
    widths = {name: spec.bits for name, spec in plan.weights.items()}
    return size_bytes(graph, widths), len(content)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", ["mobilenet_v1_tf(width=0.25)", "mobilenet_v2_tf", "mobilenet_v3_small"]
)
@pytest.mark.parametrize("bits", [8, 4, 2])
def test_the_rule_is_within_a_hundredth_of_the_file_and_never_below(model, bits):
    rule, written = sizes(lowered(model), bits)

    assert 0 <= rule - written <= 0.01 * written


def test_layers_in_float_are_counted_as_such():
    state, _ = calibrated()
    plain = sizes(state.graph, 8)
    kept = sizes(state.graph, 8, keep_float=["2.expand"])

    assert kept[0] - plain[0] == pytest.approx(kept[1] - plain[1], abs=600)
