"""States and context: what they hold, and what is changed in which."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from intaglio.errors import RequestError
from intaglio.methods.steps.state import Context
from intaglio.runtimes import LITERT
from methods.quantized import calibrated


def test_another_graph_leaves_all_else_and_the_given_state_as_they_were():
    state, _ = calibrated()
    graph = state.graph.copy()

    after = state.with_graph(graph)

    assert after.graph is graph
    assert after.reference is state.reference is state.graph is not graph
    assert after.statistics is state.statistics
    assert (after.plan, after.encodings) == (state.plan, state.encodings)


def test_a_context_says_what_it_holds():
    images, labels = torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64)

    assert Context(None, LITERT).has == set()
    assert Context(images[:0], LITERT).has == set()
    assert Context(images, LITERT).has == {"images"}
    whole = Context(images, LITERT, labels=labels, stream=lambda: [(images, labels)])
    assert whole.has == {"images", "labels", "stream"}


@pytest.mark.parametrize("images", [None, torch.zeros(0, 3, 4, 4)])
def test_tuning_images_that_are_not_there_are_refused(images):
    _, context = calibrated()

    with pytest.raises(RequestError, match="no images to tune on: give data"):
        _ = replace(context, images=images).tuning_images
