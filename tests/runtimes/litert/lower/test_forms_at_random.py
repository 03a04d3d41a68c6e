"""What is written as several ops, at random: file and twin agree on every bit, in every form.

Each graph has one of each form side by side, so that 200 graphs are 200 cases of every one.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from architectures.sketch import Sketch
from calibrate.planned import planned
from intaglio.calibrate.encodings import choose_encodings
from intaglio.calibrate.loop import observe_ranges
from intaglio.calibrate.minmax import MinMax
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.passes.canonicalize import canonicalize
from intaglio.run.float import run_float
from intaglio.targets.target import Target
from runtimes.litert.ops.harness import TARGETS, assert_same_bits, cases

CHANNELS = 4


class Quick(Sketch):
    """A sketch whose shapes are those of one run at its end: meta tensors take ten times longer."""

    def _add(self, node: Node) -> str:
        return self.graph.add(node).name

    def done(self, *outputs: str) -> Graph:
        self.graph.outputs = list(outputs)
        shape = self.graph["x"].shape[1:]
        run_float(self.graph, torch.zeros(2, *shape), tap=self._learn)
        return super().done(*outputs)

    def _learn(self, node: Node, value: Tensor) -> None:
        node.shape = (1 if node.op == "constant" else BATCH, *value.shape[1:])


def pair(choices: random.Random, low: int, high: int) -> tuple[int, int]:
    return choices.randint(low, high), choices.randint(low, high)


def softmax(sketch: Sketch, choices: random.Random) -> str:
    sketch.add("softmax", "softmax", "x", axis=choices.randint(1, 3))
    return sketch.add("twice", "add", "softmax", "softmax")


def quotient(sketch: Sketch, choices: random.Random) -> str:
    shape = choices.choice([(1, 1, 1, 1), (1, CHANNELS, 1, 1)])
    sketch.add("gate", "sigmoid", "a")
    sketch.constant("offset", torch.full(shape, choices.uniform(0.1, 2.0)))
    sketch.add("divisor", "add", "gate", "offset")
    return sketch.add("quotient", "div", "x", "divisor")


def larger(sketch: Sketch, choices: random.Random) -> str:
    return sketch.add("larger", "maximum", *choices.choice([("a", "x"), ("x", "a"), ("a", "m")]))


def smaller(sketch: Sketch, choices: random.Random) -> str:
    return sketch.add("smaller", "minimum", *choices.choice([("a", "x"), ("x", "a"), ("m", "x")]))


def prelu(sketch: Sketch, choices: random.Random) -> str:
    low, high = sorted(choices.uniform(-1.0, 2.5) for _ in range(2))
    weight = torch.linspace(low, high, CHANNELS)
    return sketch.weighted("prelu", "prelu", choices.choice("ax"), {"weight": weight})


def average_pool(sketch: Sketch, choices: random.Random) -> str:
    kernel = pair(choices, 1, 4)
    return sketch.add(
        "average_pool",
        "avg_pool2d",
        "x",
        kernel=kernel,
        stride=pair(choices, 1, 3),
        padding=tuple(choices.randint(0, extent // 2) for extent in kernel),
        ceil_mode=choices.random() < 0.5,
        count_include_pad=choices.random() < 0.3,
        divisor=choices.choice([None, None, 3]),
    )


def adaptive_pool(sketch: Sketch, choices: random.Random) -> str:
    return sketch.add("adaptive_pool", "adaptive_avg_pool2d", "x", size=pair(choices, 1, 7))


def max_pool(sketch: Sketch, choices: random.Random) -> str:
    kernel = pair(choices, 1, 3)
    return sketch.add(
        "max_pool",
        "max_pool2d",
        "a",
        kernel=kernel,
        stride=pair(choices, 1, 4),
        padding=tuple(choices.randint(0, extent // 2) for extent in kernel for _ in range(2)),
        dilation=pair(choices, 1, 2),
    )


def resize(sketch: Sketch, choices: random.Random) -> str:
    height, width = sketch.graph["x"].shape[2:]
    scales = choices.uniform(0.5, 3.0), choices.uniform(0.5, 3.0)
    return sketch.add(
        "resize",
        "resize",
        "x",
        size=(int(height * scales[0]), int(width * scales[1])),
        scales=scales,
        mode=choices.choice(["nearest", "bilinear"]),
    )


def pixel_shuffle(sketch: Sketch, choices: random.Random) -> str:
    height, width = sketch.graph["x"].shape[2:]
    source = choices.choice(["a", "x", "larger"])
    sketch.add("apart", "reshape", source, shape=(BATCH, 1, 2, 2, height, width))
    sketch.add("turned", "transpose", "apart", order=(0, 1, 4, 2, 5, 3))
    return sketch.add("shuffled", "reshape", "turned", shape=(BATCH, 1, 2 * height, 2 * width))


def product(sketch: Sketch, choices: random.Random) -> str:
    first, second = choices.choice(["ax", "aa", "xx", "xa"])
    return sketch.add("product", "matmul", first, second, transposed=True)


FORMS: tuple[Callable[[Sketch, random.Random], str], ...] = (
    *(softmax, quotient, larger, smaller, prelu, average_pool, adaptive_pool, max_pool, resize),
    *(pixel_shuffle, product),
)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@settings(max_examples=cases(100), deadline=None)
@given(st.integers(0, 10**9))
def test_forms_of_several_ops_give_the_bits_of_the_runtime(target: Target, seed: int) -> None:
    choices = random.Random(seed)
    shape = (CHANNELS, *pair(choices, 5, 7))
    sketch = Quick(*shape, seed=seed)
    sketch.conv("a", "x", CHANNELS, 1)
    sketch.add("m", "mean", "x", axes=(2, 3), keepdim=True)
    graph = sketch.done(*(form(sketch, choices) for form in FORMS))
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, *shape, generator=generator) * 2.0 ** choices.uniform(-3, 3)
    canonicalize(graph)
    lowered, plan = planned(target.lower(graph).graph, target, "w8a8")
    ranges = observe_ranges(lowered, plan, [images], calibrator=MinMax)

    assert_same_bits(lowered, choose_encodings(lowered, plan, ranges, target), target, images)
