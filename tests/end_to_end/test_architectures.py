"""Small forms of public architectures go the whole way: module, file, check, or a refusal."""

from __future__ import annotations

import pytest

import intaglio
from architectures import architectures, captured, images
from intaglio.errors import UnsupportedByTarget
from intaglio.job.of_graph import compress_graph
from intaglio.runtimes import TARGETS

REFUSED = {"choices": "yes and no", "unknown_ops": "atan2"}
"""Architectures with an op that has no exact integer form, and a word of the reason given."""

SMALL = [name for name in architectures() if not name.startswith("zoo.")]


@pytest.mark.parametrize("target", list(TARGETS))
@pytest.mark.parametrize("name", [name for name in SMALL if name not in REFUSED])
def test_every_value_of_the_file_equals_the_twin(name, target):
    network = captured(name)
    data = images(network.input_shape, 8)

    result = compress_graph(network.source, target=target, data=data)

    check = result.report.check
    assert check is not None
    assert check.mismatches == 0
    assert check.images == 8
    assert check.values_compared > 1000
    assert result.report.integer.logits_sqnr_db is None or result.report.integer.logits_sqnr_db > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", list(REFUSED))
def test_what_has_no_exact_integer_form_is_refused_by_layer(name):
    network = captured(name)

    with pytest.raises(UnsupportedByTarget, match=REFUSED[name]) as caught:
        compress_graph(network.source, data=images(network.input_shape, 2))

    assert caught.value.layer
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_from_a_module_it_is_the_file_of_the_module_captured():
    network = captured("squeezenet")
    data = images(network.input_shape, 8)

    whole = intaglio.compress(network.module, data[:1], data=data)

    assert whole.content == compress_graph(network.source, data=data).content


def test_the_float_graph_of_a_result_still_computes_the_network():
    network = captured("mobilenet_manual")
    data = images(network.input_shape, 8)
    result = compress_graph(network.source, data=data)

    (expected,) = network.outputs(data)
    found = result.twin(data)

    error = (found - expected).square().mean() / expected.square().mean()
    assert error < 10 ** (-30 / 10)  # 30 dB: what int8 leaves of a small network, with a margin
