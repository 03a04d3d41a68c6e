"""Names of schemes and what they mean."""

from __future__ import annotations

import pytest

from intaglio.errors import UnknownName
from intaglio.numerics.scheme import Scheme, parse_scheme


def test_every_pair_of_widths_from_2_to_8_is_a_scheme_per_channel_and_per_tensor():
    for weights in range(2, 9):
        for values in range(2, 9):
            text = f"w{weights}a{values}"

            assert parse_scheme(text) == Scheme(text, weights, values)
            assert parse_scheme(f"{text}-per-tensor") == Scheme(
                f"{text}-per-tensor", weights, values, per_channel=False
            )


def test_a_mixed_scheme_starts_from_8_bits():
    assert parse_scheme("mixed") == Scheme("mixed", 8, 8, mixed=True)
    assert parse_scheme("mixed-per-tensor") == Scheme(
        "mixed-per-tensor", 8, 8, per_channel=False, mixed=True
    )


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "fp16-per-tensor",
            "w8a17",
            "w1a8",
            "w17a8",
            "w8a100",
            "w8a1",
            "8a8",
            "w8",
            "a8",
            "W8A8",
            " w8a8",
        ),
        *("w8a8 ", "w8a8\n", "w08a8", "w8a8-per-channel", "w8a8-per-tensor-per-tensor", "mixd"),
        *("-per-tensor", "w8a8mixed", "w٤a8"),
    ],
)
def test_anything_else_is_unknown_and_the_message_says_what_a_scheme_is(text):
    with pytest.raises(
        UnknownName, match=r"unknown scheme [^:]*: .*w<bits>a<bits>.*2 to 16.*mixed"
    ):
        parse_scheme(text)


def test_a_float_format_has_the_bits_of_its_floats_and_no_integers():
    scheme = parse_scheme("fp16")

    assert (scheme.weight_bits, scheme.activation_bits, scheme.is_half) == (16, 32, True)
    assert not parse_scheme("w8a8").is_half
