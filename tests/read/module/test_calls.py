"""Every spelling of torch's calls is held, needs float, or is refused with a reason: none is new.

Many spellings are captured as one network, each as one of its outputs.
"""

from __future__ import annotations

import functools
import inspect
import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export.exported_program import default_decompositions
from torch.utils import _pytree as pytree

from intaglio.errors import CaptureError
from intaglio.ir.graph import Graph, Node
from intaglio.ops.unknown_call import why_node
from intaglio.read.module.aliases import plain_of
from intaglio.read.module.aten import ATEN, IDENTITY, SKIPPED
from intaglio.read.module.export import capture
from intaglio.run.float import run_float
from read.module.spellings import FLOAT, HELD, MIXED, REFUSED
from read.module.unseen import FUNCTIONS_ELSEWHERE, METHODS_ELSEWHERE, REFUSED_COMPOSITES

pytestmark = pytest.mark.filterwarnings("ignore")

IMAGES = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
AT_ONCE = 30
IN_FLOAT = {"compare", "where"}


def lines(text: str) -> list[str]:
    """Return the spellings of a table."""
    return text.strip().splitlines()


class Spelled(nn.Module):
    """A network of one output for each spelling; of several tensors, for each."""

    def __init__(self, spellings: list[str]) -> None:
        super().__init__()
        scope = {"torch": torch, "F": F}
        self.functions = [eval(f"lambda x: {each}", scope) for each in spellings]  # noqa: S307

    def forward(self, x: Tensor) -> list[object]:
        """Return what each makes of the images."""
        return [function(x) for function in self.functions]


@functools.cache
def captured(spellings: tuple[str, ...]) -> tuple[Graph, list[Tensor], list[list[int]]]:
    """Return a graph, what it makes of the images, and which of its outputs are whose."""
    network = Spelled(list(spellings))
    graph = capture(network, IMAGES)
    counts = [len(pytree.tree_leaves(each)) for each in network(IMAGES)]
    starts = [sum(counts[:at]) for at in range(len(counts))]
    mine = [list(range(start, start + n)) for start, n in zip(starts, counts, strict=True)]
    return graph, run_float(graph, IMAGES), mine


def of(spelling: str, table: list[str]) -> tuple[list[Tensor], list[Node], Graph]:
    """Return what a spelling's part of a captured network makes, its nodes, and the graph."""
    at = table.index(spelling)
    start = at - at % AT_ONCE
    graph, made, mine = captured(tuple(table[start : start + AT_ONCE]))
    outputs = mine[at - start]
    reached = {graph.outputs[each] for each in outputs}
    nodes: list[Node] = []
    for node in reversed(list(graph)):
        if node.name in reached:
            reached.update(node.inputs)
            nodes.insert(0, node)
    return [made[each] for each in outputs], nodes, graph


def assert_same(spelling: str, made: list[Tensor]) -> None:
    """Hold what a graph makes of three images to torch."""
    wanted = pytree.tree_leaves(Spelled([spelling])(IMAGES))
    for ours, theirs in zip(made, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spelling", lines(HELD))
def test_a_spelling_is_held_and_makes_what_torch_makes(spelling):
    made, nodes, _ = of(spelling, lines(HELD))

    assert_same(spelling, made)
    assert not {node.op for node in nodes} & {"opaque", *IN_FLOAT}


@pytest.mark.parametrize("spelling", lines(FLOAT))
def test_a_spelling_with_a_choice_needs_float_and_makes_what_torch_makes(spelling):
    made, nodes, _ = of(spelling, lines(FLOAT))

    assert_same(spelling, made)
    assert "opaque" not in {node.op for node in nodes}
    assert {node.op for node in nodes} & IN_FLOAT


@pytest.mark.parametrize("spelling", REFUSED)
def test_a_spelling_is_refused_for_a_reason(spelling):
    _, nodes, graph = of(spelling, list(REFUSED))

    first = next(node for node in nodes if node.op == "opaque")
    assert REFUSED[spelling] in why_node(graph, first).reason


@pytest.mark.parametrize("spelling", lines(MIXED))
def test_a_spelling_in_which_images_mix_is_refused(spelling):
    with pytest.raises(CaptureError, match="keep the batch as axis 0"):
        capture(Spelled([spelling]), IMAGES)


def said(pattern: str) -> set[str]:
    """Return the names of calls in all tables."""
    text = "\n".join([HELD, FLOAT, MIXED, *REFUSED])
    return set(re.findall(pattern, text))


def test_every_function_of_torch_nn_functional_stands_in_a_table():
    public = {
        name
        for name, value in vars(F).items()
        if callable(value) and not name.startswith("_") and not inspect.isclass(value)
        if getattr(value, "__module__", "") != "typing"
    }

    missing = public - said(r"\bF\.(\w+)") - set(FUNCTIONS_ELSEWHERE.split())

    assert {name for name in missing if name.removesuffix("_") not in public - missing} == set()


def test_every_method_of_a_tensor_stands_in_a_table():
    """One that writes into its tensor is told by the name without its `_`."""
    public = {
        name for name in dir(Tensor) if not name.startswith("_") and callable(getattr(Tensor, name))
    }

    seen = said(r"\.(\w+)\(") | said(r"\.(\w+)\b") | set(METHODS_ELSEWHERE.split())

    assert {name for name in public if name not in seen and name.rstrip("_") not in seen} == set()


@pytest.mark.parametrize(
    "name",
    [
        *("abs_", "add_", "ceil_", "clamp_", "clamp_max_", "clamp_min_", "clip_", "copy_", "cos_"),
        *("cumsum_", "div_", "elu_", "eq_", "erf_", "erfc_", "exp2_", "exp_", "expm1_", "floor_"),
        *("fmod_", "frac_", "hardsigmoid_", "hardswish_", "hardtanh_", "hypot_", "index_put_"),
        *("leaky_relu_", "log_", "logical_not_", "masked_fill_", "mish_", "mul_", "multiply_"),
        *("nan_to_num_", "neg_", "pow_", "reciprocal_", "relu6_", "relu_", "remainder_", "round_"),
        *("rsqrt_", "sigmoid_", "sign_", "silu_", "sin_", "sqrt_", "square_", "sub_", "tan_"),
        *("tanh_", "true_divide_", "trunc_", "unsqueeze_", "squeeze_", "threshold_"),
    ],
)
def test_a_call_that_writes_into_its_tensor_is_the_plain_one_by_rule(name):
    packet = getattr(torch.ops.aten, name)
    calls = [getattr(packet, overload) for overload in packet.overloads()]

    assert any(plain_of(call) in ATEN for call in calls)


def test_every_composite_of_torch_is_known_decomposed_or_refused_by_name():
    written = default_decompositions()
    missing = set()
    for name in torch._C._dispatch_get_registrations_for_dispatch_key("CompositeImplicitAutograd"):
        library, _, full = name.partition("::")
        packet, _, overload = full.partition(".")
        found = getattr(torch.ops.aten, packet, None) if library == "aten" else None
        call = getattr(found, overload or "default", None)
        if call is None or call._schema.is_mutable:
            continue
        if call not in ATEN and call not in IDENTITY | SKIPPED and call not in written:
            missing.add(packet)

    assert missing <= set(REFUSED_COMPOSITES.split())
