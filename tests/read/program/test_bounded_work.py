"""Sizes that a program computes, and tensors that it makes of nothing, stay small."""

from __future__ import annotations

import operator
from typing import Any

import pytest
import torch
from torch import fx

from intaglio.read.program.bounded_work import check_work

ATEN = torch.ops.aten


def graph_of(*calls: Any, child: fx.GraphModule | None = None) -> fx.GraphModule:
    """Return a graph of calls: (target, arguments).

    Of the arguments, "n" is the call before, "x" the size that is given, "child" another graph.
    """
    graph = fx.Graph()
    given = graph.placeholder("x")
    before = given
    root = {"child": child} if child else {}
    found: dict[str, fx.Node] = {"x": given}
    if child:
        found["child"] = graph.get_attr("child")
    for target, *arguments in calls:
        names = [{**found, "n": before}.get(a, a) if type(a) is str else a for a in arguments]
        before = graph.call_function(target, tuple(names))
    graph.output(before)
    return fx.GraphModule(root, graph)


def test_sizes_of_a_few_terms_are_computed():
    windows = [(operator.floordiv, "x", 7), (operator.add, "n", 1), (operator.mul, "n", "n")]

    check_work(graph_of((ATEN.sym_size.int, "x", 0), *windows, (operator.mul, "n", 64)))


@pytest.mark.parametrize("target", [operator.mul, operator.add, operator.mod, torch.sym_max])
def test_a_size_that_grows_with_each_call_is_refused(target):
    doubled = [(operator.add, "x", "x")] + [(target, "n", "n")] * 12

    with pytest.raises(ValueError, match="computes a size of too many terms"):
        check_work(graph_of(*doubled))


def test_a_size_that_grows_from_graph_to_graph_is_refused():
    squared = graph_of(*[(operator.mul, "n", "n")] * 2)
    grown = [(operator.add, "x", "x"), (operator.mul, "n", "n"), (operator.mul, "n", "n")]
    wrapped = (torch.ops.higher_order.wrap_with_set_grad_enabled, False, "child", "n")
    assert check_work(squared) == 1
    assert check_work(graph_of(*grown)) == 16
    assert check_work(graph_of(wrapped, child=squared)) == 1

    with pytest.raises(ValueError, match="too many terms"):
        check_work(graph_of(*grown, wrapped, child=squared))


def test_a_region_may_take_any_number_of_weights():
    many = ("x",) * 1000
    wrapped = (torch.ops.higher_order.wrap_with_set_grad_enabled, False, "child", *many)

    assert check_work(graph_of(wrapped, child=graph_of((operator.add, "x", 1)))) == 1


def test_what_is_made_of_nothing_has_a_largest_size_and_is_not_made_to_find_out():
    check_work(graph_of((ATEN.zeros.default, [64, 64])))

    with pytest.raises(ValueError, match="'zeros_default' makes a tensor of 1099511627776"):
        check_work(graph_of((ATEN.zeros.default, [2**20, 2**20])))
