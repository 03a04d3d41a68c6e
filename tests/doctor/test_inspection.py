"""What a network is made of, asked in Python."""

from __future__ import annotations

import pytest

from doctor import patients
from doctor.clinic import LITERT, captured
from intaglio.doctor import inspect
from intaglio.errors import UnknownName


def test_a_target_may_be_named_and_what_is_not_said_is_its_first_scheme() -> None:
    graph = captured(patients.with_dead_channels, 0)

    told = inspect(graph, LITERT, "w8a8")

    assert told.hazards
    assert inspect(graph) == inspect(graph, "litert") == told
    with pytest.raises(UnknownName, match="unknown target 'litrt': did you mean litert"):
        inspect(graph, "litrt")
    with pytest.raises(UnknownName, match=r"scheme 'w3a3' cannot be held by target litert"):
        inspect(graph, "litert", "w3a3")
