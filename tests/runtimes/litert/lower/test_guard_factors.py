"""Second factors of products are never -128: they are negated twice, on one grid."""

from __future__ import annotations

import torch

from architectures import images
from architectures.sketch import Sketch
from calibrate.planned import planned
from intaglio.calibrate import CALIBRATORS, choose_encodings, observe_ranges
from intaglio.ir.graph import Graph
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.lower.guard_factors import guard_factors, guards
from intaglio.runtimes.litert.ops.function import NEGATION
from passes.same_function import assert_same_function, ops
from runtimes.litert.ops.harness import assert_same_bits

X = images((1, 5, 6), 2)


def product() -> Graph:
    """Return a product of two layers' values, of which the second is read again."""
    sketch = Sketch(5, 6)
    for name in "ab":
        sketch.weighted(name, "linear", "x", {"weight": sketch.random(6, 6)})
    sketch.add("product", "matmul", "a", "b", transposed=True)
    sketch.add("again", "matmul", "product", "b", transposed=False)
    return sketch.done()


def test_a_factor_is_negated_twice_for_all_its_products() -> None:
    graph = product()
    before = graph.copy()

    assert guard_factors(graph) == 1

    negated = [node.name for node in graph if node.attrs.get("chain") == NEGATION]
    assert ops(graph) == ["linear", "linear", "function", "function", "matmul", "matmul"]
    assert graph["product"].inputs == ["a", negated[1]]
    assert graph["again"].inputs == ["product", negated[1]]
    assert all(guards(graph, graph[name]) for name in negated)
    assert_same_function(graph, before, X, exact=True)
    assert guard_factors(graph) == 0


def test_a_guarded_factor_shares_its_grid_and_leaves_out_the_lowest_integer() -> None:
    graph, plan = planned(LITERT.lower(product()).graph, LITERT, "w8a8")
    ranges = observe_ranges(graph, plan, [X], calibrator=CALIBRATORS["minmax"])
    encodings = choose_encodings(graph, plan, ranges, LITERT)
    twin = build_twin(graph, encodings, LITERT)
    seen: dict[str, torch.Tensor] = {}

    twin.run(8 * X, lambda node, value: seen.update({node.name: twin.raw(node.name, value)}))

    guard = graph["product"].inputs[1]
    assert encodings.activations[guard].same_grid(encodings.activations["b"])
    assert encodings.activations[guard].zero == 0
    assert int(seen["b"].min()) == -128
    assert int(seen[guard].min()) == -127
    assert torch.equal(seen[guard], seen["b"].clamp(min=-127))
    counts = assert_same_bits(graph, encodings, LITERT, 8 * X)
    assert (counts.partitions, counts.builtin) == (1, [])


def test_a_negation_of_something_else_is_no_guard() -> None:
    sketch = Sketch(5, 6)
    sketch.add("minus", "function", "x", chain=NEGATION)
    sketch.add("product", "matmul", "minus", "x", transposed=True)
    sketch.add("sum", "add", "minus", "x")
    graph = sketch.done("product", "sum")

    assert not guards(graph, graph["minus"])


def test_a_factor_on_a_prescribed_grid_is_brought_to_another_first() -> None:
    sketch = Sketch(5, 6)
    sketch.add("gate", "sigmoid", "x")
    sketch.add("product", "matmul", "x", "gate", transposed=True)
    graph, plan = planned(LITERT.lower(sketch.done()).graph, LITERT, "w8a8")
    ranges = observe_ranges(graph, plan, [X], calibrator=CALIBRATORS["minmax"])

    assert_same_bits(graph, choose_encodings(graph, plan, ranges, LITERT), LITERT, X)

    assert set(plan.fixed) == {"gate"}
