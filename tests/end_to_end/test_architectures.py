"""Small forms of public architectures go the whole way: module, file, check, or a refusal."""

from __future__ import annotations

import pytest
import torch

import intaglio
from architectures import architectures
from intaglio.errors import UnsupportedByTarget
from intaglio.targets import TARGETS

REFUSED = {
    "nasnet": "average pool",
    "edsr": "pixel_shuffle",
    "mobilevit": "no integer form",
    "convnext": "layer_norm",
    "in_place": "fill",
    "convolution_forms": "aten.pad",
    "pool_forms": "max pooling",
    "unknown_ops": "group_norm",
    "views": "stack",
}
"""Architectures with an op that has no exact integer form, and a word of the reason given."""

SMALL = [name for name in architectures() if not name.startswith("zoo.")]


@pytest.mark.parametrize("target", list(TARGETS))
@pytest.mark.parametrize("name", [name for name in SMALL if name not in REFUSED])
def test_every_value_of_the_file_equals_the_twin(name, target):
    factory, shape = architectures()[name]
    torch.manual_seed(0)
    model, images = factory().eval(), torch.randn(8, *shape[1:])

    result = intaglio.compress(model, images[:1], target=target, data=images)

    check = result.report.check
    assert check is not None
    assert check.mismatches == 0
    assert check.images == 8
    assert check.values_compared > 1000
    assert result.report.integer.logits_sqnr_db is None or result.report.integer.logits_sqnr_db > 20


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_has_no_exact_integer_form_is_refused_by_layer(name):
    factory, shape = architectures()[name]
    torch.manual_seed(0)
    model, images = factory().eval(), torch.randn(2, *shape[1:])

    with pytest.raises(UnsupportedByTarget, match=REFUSED[name]) as caught:
        intaglio.compress(model, images[:1], data=images)

    assert caught.value.layer
    assert "\n" not in str(caught.value)


def test_the_float_graph_of_a_result_still_computes_the_network():
    factory, shape = architectures()["mobilenet_manual"]
    torch.manual_seed(0)
    model, images = factory().eval(), torch.randn(8, *shape[1:])
    result = intaglio.compress(model, images[:1], data=images)

    with torch.no_grad():
        expected = model(images)
    found = result.twin(images)

    error = (found - expected).square().mean() / expected.square().mean()
    assert error < 10 ** (-30 / 10)  # 30 dB: what int8 leaves of a small network, with a margin
