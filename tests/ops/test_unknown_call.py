"""Why calls of torch's are not held, told in the user's words."""

from __future__ import annotations

import pytest
import torch

from intaglio.ir.graph import Graph, Node
from intaglio.ops.opaque import Slot
from intaglio.ops.unknown_call import REPLACE, called, follows_from_another, why_call, why_node

aten = torch.ops.aten


@pytest.mark.parametrize(
    ("call", "args", "words"),
    [
        (aten.dropout.default, (Slot(0), 0.3, True), "left in training"),
        (aten.feature_dropout.default, (Slot(0), 0.3, True), "left in training"),
        (aten.rand_like.default, (Slot(0),), "random numbers"),
        (aten.bernoulli.default, (Slot(0),), "random numbers"),
        (aten.to.dtype, (Slot(0), torch.float16), "float16"),
        (aten._to_copy.default, (Slot(0),), "another type"),
        (aten.to.dtype, (Slot(0), torch.int64), "int64"),
        (aten.nonzero.default, (Slot(0),), "depends on values"),
        (aten.argmax.default, (Slot(0), 1), "whole numbers"),
        (aten.batch_norm.default, (Slot(0),), "not stored tensors"),
        (aten.topk.default, (Slot(0), 3), "torch's topk"),
        (aten._upsample_nearest_exact2d.default, (Slot(0),), "torch's upsample_nearest_exact2d"),
    ],
)
def test_a_call_is_refused_with_its_own_reason_and_no_internal_name(call, args, words):
    why = why_call(call, args)

    assert words in why.reason
    assert why.remedy
    assert not any(word in f"{why.reason} {why.remedy}" for word in ("aten", "opaque", "default"))


def test_a_call_that_is_known_by_nothing_is_sent_to_the_list_of_ops():
    assert why_call(aten.atan2.default).remedy == REPLACE
    assert called(aten.add_.Tensor) == "torch's add"


def test_what_works_on_such_a_call_is_not_told_as_a_cause():
    graph = Graph(inputs=["x"])
    graph.add(Node("x", "input", shape=(-1, 4)))
    made = {"kwargs": {}, "output": None}
    cast = {"call": aten.to.dtype, "args": (Slot(0), torch.float16), **made}
    back = {"call": aten.to.dtype, "args": (Slot(0), torch.float32), **made}
    first = graph.add(Node("half", "opaque", ["x"], {}, cast, (-1, 4), "stem"))
    second = graph.add(Node("float", "opaque", ["half"], {}, back, (-1, 4)))

    assert not follows_from_another(graph, first)
    assert follows_from_another(graph, second)
    assert why_node(graph, second).reason == "it works on what torch's to makes (layer 'stem')"
