"""Graphs as text: stable, one line a node, nothing usual shown."""

from __future__ import annotations

import math

import pytest
import torch

from architectures import architectures, captured
from architectures.sketch import Sketch
from intaglio.ir.text import text
from intaglio.passes.canonicalize import canonicalize

SQUEEZENET = """\
input = input() -> [N,3,48,64]
0 = conv2d(input) {activation=relu, stride=(2,2)} -> [N,8,23,31]
2 = max_pool2d(0) {kernel=(3,3), stride=(2,2)} -> [N,8,11,15]
3.squeeze = conv2d(2) {activation=relu} -> [N,4,11,15]
3.expand1x1 = conv2d(3.squeeze) {activation=relu} -> [N,8,11,15]
3.expand3x3 = conv2d(3.squeeze) {activation=relu, padding=(1,1,1,1)} -> [N,8,11,15]
3.concat = concat(3.expand1x1, 3.expand3x3) {axis=1} -> [N,16,11,15]
4 = max_pool2d(3.concat) {kernel=(3,3), stride=(2,2)} -> [N,16,5,7]
5.squeeze = conv2d(4) {activation=relu} -> [N,4,5,7]
5.expand1x1 = conv2d(5.squeeze) {activation=relu} -> [N,8,5,7]
5.expand3x3 = conv2d(5.squeeze) {activation=relu, padding=(1,1,1,1)} -> [N,8,5,7]
5.concat = concat(5.expand1x1, 5.expand3x3) {axis=1} -> [N,16,5,7]
7 = conv2d(5.concat) {activation=relu} -> [N,10,5,7]
9 = mean(7) {axes=(2,3), keepdim=True} -> [N,10,1,1]
10 = reshape(9) {shape=(-1,10)} -> [N,10]
return 10
"""


def test_squeezenet_in_canonical_form():
    graph = captured("squeezenet").graph

    canonicalize(graph)

    assert text(graph) == SQUEEZENET


@pytest.mark.parametrize("name", architectures())
def test_each_node_has_one_line(name):
    graph = captured(name).source

    lines = text(graph).splitlines()

    assert len(lines) == len(graph.nodes) + 1
    assert all(
        line.startswith(f"{node.name} = {node.op}(")
        for line, node in zip(lines, graph, strict=False)
    )
    named = zip(graph.output_names, graph.outputs, strict=False)  # () where they have no names
    ends = [f"{name}={value}" for name, value in named] or graph.outputs
    assert lines[-1] == f"return {', '.join(ends)}"
    assert "0x" not in text(graph)  # no addresses: the text is the same in every process


def test_weights_are_not_in_the_text():
    first, second = Sketch(3, 4, 4, seed=0), Sketch(3, 4, 4, seed=1)
    first.conv("conv", "x", 2)
    second.conv("conv", "x", 2)

    assert text(first.done()) == text(second.done())


@pytest.mark.parametrize(
    ("activation", "shown"),
    [
        ((0.0, math.inf), "relu"),
        ((0.0, 6.0), "relu6"),
        ((-0.5, 0.1), "clamp(-0.5,0.1)"),
        ((-math.inf, 2.0), "clamp(-inf,2)"),
    ],
)
def test_activations_have_their_usual_names(activation, shown):
    sketch = Sketch(3)
    sketch.add("add", "add", "x", "x", activation=activation)

    assert f"add = add(x, x) {{activation={shown}}} -> [N,3]" in text(sketch.done())


@pytest.mark.slow
def test_opaque_calls_show_the_call_and_its_arguments():
    sketch = Sketch(3)
    sketch.constant("c", torch.tensor(2.0))
    graph = sketch.done()

    lines = text(captured("unknown_ops").source)

    assert text(graph) == "x = input() -> [N,3]\nc = constant() -> []\nreturn c\n"
    assert "atan2 = opaque(conv, add) {args=($0,$1), call=aten.atan2.default, sizes=(" in lines
