"""Which schemes targets hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from intaglio.errors import RequestError, UnknownName
from intaglio.numerics.scheme import parse_scheme
from intaglio.runtimes import LITERT, LITERT_REFERENCE, TARGETS
from intaglio.targets.target import (
    INT8_SCHEMES,
    integer_scheme,
    known_scheme,
    runnable_scheme,
)

INT8_ALONE = replace(LITERT, name="board", schemes=INT8_SCHEMES)

both_targets = pytest.mark.parametrize("target", [LITERT, LITERT_REFERENCE])


@both_targets
@pytest.mark.parametrize("suffix", ["", "-per-tensor"])
@pytest.mark.parametrize("name", ["w8a8", "w4a8", "w2a8", "mixed"])
def test_litert_holds_8_4_and_2_bit_weights_and_mixtures(name, suffix, target):
    assert known_scheme(name + suffix, target) == parse_scheme(name + suffix)


def test_no_target_holds_a_simulated_scheme():
    for name in TARGETS:
        schemes = [parse_scheme(scheme) for scheme in TARGETS[name].schemes]

        assert not any(TARGETS[name].simulates(scheme) for scheme in schemes)
        assert TARGETS[name].weight_bits == {8, 4, 2}


@both_targets
@pytest.mark.parametrize("scheme", ["w4a4", "w3a3", "w8a4-per-tensor", "w8a16", "w4a9"])
def test_a_scheme_that_the_target_does_not_hold_is_refused_by_name(scheme, target):
    with pytest.raises(UnknownName, match=f"'{scheme}' cannot be held.*{target.name}.*w8a8, w4a8"):
        known_scheme(scheme, target)


@both_targets
@pytest.mark.parametrize("scheme", ["w4a4", "w3a3", "w8a4-per-tensor", "w5a8", "w8a8", None])
def test_the_twin_alone_runs_any_scheme_of_no_more_bits_than_the_target_has(scheme, target):
    assert runnable_scheme(scheme, target) == parse_scheme(scheme or "w8a8")


@both_targets
@pytest.mark.parametrize("scheme", ["w8a16", "w9a8", "w4a9"])
def test_a_scheme_of_more_bits_than_the_target_computes_with_is_refused(scheme, target):
    with pytest.raises(UnknownName, match=f"'{scheme}' cannot be held by target {target.name}"):
        runnable_scheme(scheme, target)


def test_a_mixed_scheme_is_never_simulated():
    with pytest.raises(UnknownName, match="'mixed' cannot be held by target board"):
        runnable_scheme("mixed", INT8_ALONE)


@pytest.mark.parametrize("target", [LITERT, INT8_ALONE])
def test_the_widest_scheme_is_the_first_with_8_bits(target):
    assert target.widest_scheme.name == "w8a8"


@both_targets
@pytest.mark.parametrize("scheme", ["fp16-per-tensor", "w1a8", "w4a17", ""])
def test_a_scheme_that_does_not_exist_is_refused_by_name(scheme, target):
    with pytest.raises(UnknownName, match=f"unknown scheme '{scheme}'"):
        known_scheme(scheme, target)


def test_a_float_format_is_refused_where_the_target_lacks_it_and_where_integers_are_needed():
    for given in (known_scheme, runnable_scheme):
        with pytest.raises(UnknownName, match="'fp16' cannot be held by target board"):
            given("fp16", INT8_ALONE)
    with pytest.raises(RequestError, match="scheme 'fp16' has no integers"):
        integer_scheme("fp16", LITERT)
    assert integer_scheme(None, LITERT).name == "w8a8"


def test_a_target_holds_8_bits_alone_unless_it_says_more():
    assert INT8_ALONE.weight_bits == {8}
    with pytest.raises(UnknownName, match=r"'w4a8' cannot be held by target board.*w8a8"):
        known_scheme("w4a8", INT8_ALONE)


@pytest.mark.parametrize(
    ("text", "simulated"),
    [
        *((text, False) for text in ("w8a8", "w4a8", "w2a8", "mixed", "w4a8-per-tensor")),
        *((text, True) for text in ("w4a4", "w3a3", "w8a4", "w2a4", "w3a8", "w5a8", "w8a7")),
    ],
)
def test_only_8_bit_values_with_weights_of_8_4_or_2_bits_can_be_in_a_file(text, simulated):
    assert LITERT.simulates(parse_scheme(text)) == simulated
