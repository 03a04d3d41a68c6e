"""What a user is told is one line, whatever names are in it."""

from __future__ import annotations

from intaglio.errors import RequestError, UnsupportedByTarget, WeightsError


def test_names_that_do_not_print_are_escaped():
    assert str(WeightsError("missing key: a\nb\x1b[2J\ud800")) == (
        r"missing key: a\nb\x1b[2J\ud800"
    )
    assert "\n" not in str(
        UnsupportedByTarget("a\nb", "sin", "LiteRT", reason="it", try_instead="x")
    )


def test_what_prints_is_left_as_it_is():
    assert str(RequestError("Käse 'ß' \\n: 12 °C")) == "Käse 'ß' \\n: 12 °C"
