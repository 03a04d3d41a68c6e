"""encodings.json: exact there and back, and every damage is named."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import RequestError
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import INT8_ACTIVATION, INT8_WEIGHT, QuantParams, per_tensor
from intaglio.store.encodings import encodings_from_dict, encodings_to_dict

SCALE = st.floats(2.0**-120, 2.0**120, width=32)


def per_channel(scales: list[float]) -> QuantParams:
    made = torch.tensor(scales, dtype=torch.float32)
    return QuantParams(made, torch.zeros_like(made, dtype=torch.int32), INT8_WEIGHT)


def again(encodings: Encodings) -> Encodings:
    content = json.loads(json.dumps(encodings_to_dict(encodings), allow_nan=False))
    return encodings_from_dict(content, "here")


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.text(), st.tuples(SCALE, st.integers(-128, 127)), max_size=3),
    st.dictionaries(st.text(), st.lists(SCALE, min_size=1, max_size=5), max_size=3),
)
def test_every_bit_of_the_scales_survives(activations, weights):
    encodings = Encodings(
        {name: per_tensor(*values) for name, values in activations.items()},
        {name: per_channel(scales) for name, scales in weights.items()},
    )

    found = again(encodings)

    for mine, theirs in (
        (found.activations, encodings.activations),
        (found.weights, encodings.weights),
    ):
        assert list(mine) == list(theirs)
        for name, params in theirs.items():
            assert mine[name].same_grid(params)
            assert mine[name].scale.dtype == torch.float32
            assert mine[name].zero_point.dtype == torch.int32


def content(**changes) -> dict:
    """Return a file with one value and one layer, with changes to the value's grid."""
    encodings = Encodings({"x": per_tensor(0.5, 3)}, {"layer": per_channel([1.0, 2.0])})
    plain = encodings_to_dict(encodings)
    plain["activations"]["x"].update(changes)
    return plain


def test_the_file_says_what_people_need():
    assert content()["activations"]["x"] == {
        "bits": 8,
        "signed": True,
        "symmetric": False,
        "narrow": False,
        "axis": None,
        "scale": 0.5,
        "zero_point": 3,
    }
    assert INT8_ACTIVATION.qmin == -128


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scale": 0.0}, "scales must be finite and > 0"),
        ({"scale": -1.0}, "scales must be finite and > 0"),
        ({"scale": 1e300}, "scales must be finite and > 0"),  # no float32
        ({"scale": float("nan")}, r"activations\.x\.scale"),
        ({"scale": [0.5, 0.5]}, "2 scales and 1 zero points"),
        ({"scale": [0.5], "zero_point": [3]}, "axis None"),
        ({"scale": [0.5], "zero_point": 3}, "scale|zero_point"),
        ({"scale": [], "zero_point": [], "axis": 0}, "axis 0"),
        ({"zero_point": 128}, "outside -128 to 127"),
        ({"zero_point": -129}, "outside -128 to 127"),
        ({"zero_point": 2**40}, r"activations\.x\.zero_point"),
        ({"zero_point": 0.5}, r"activations\.x\.zero_point"),
        ({"bits": 40}, "bits must be 2..16 or 32"),
        ({"axis": 0}, "axis 0"),
        ({"signed": False, "symmetric": True}, "symmetric=True needs signed=True"),
        ({"extra": 1}, r"activations\.x\.extra"),
        ({"symmetric": True}, r"'activations\.x': a symmetric grid has a zero point"),
        ({"bits": "8"}, r"activations\.x\.bits"),
        ({"bits": 8.0}, r"activations\.x\.bits"),
        ({"signed": 1}, r"activations\.x\.signed"),
        ({"narrow": None}, r"activations\.x\.narrow"),
        ({"scale": True}, r"activations\.x\.scale"),
        ({"scale": "0.5"}, r"activations\.x\.scale"),
        ({"scale": [[0.5]]}, r"activations\.x\.scale"),
        ({"zero_point": [True]}, r"activations\.x\.zero_point"),
        ({"axis": [0]}, r"activations\.x\.axis"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused_by_place(changes, said):
    with pytest.raises(RequestError, match=f"here: .*({said})") as caught:
        encodings_from_dict(content(**changes), "here")

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["activations", "weights"])
def test_a_missing_part_is_named(key):
    damaged = content()
    del damaged[key]

    with pytest.raises(RequestError, match=f"here: '{key}'"):
        encodings_from_dict(damaged, "here")


@pytest.mark.parametrize("key", ["scale", "zero_point", "bits", "axis"])
def test_a_missing_key_of_a_grid_is_named(key):
    damaged = content()
    del damaged["weights"]["layer"][key]

    with pytest.raises(RequestError, match=f"here: 'weights.layer.{key}'"):
        encodings_from_dict(damaged, "here")
