"""Layers that stay in float because they must, or because outputs are better for it; what it says.

Without leave everything that is refused is named at once; with it the layer, and no more, is float.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import intaglio
from architectures.sketch import Sketch
from intaglio.errors import RequestError, UnsupportedByTarget, UnsupportedLayers
from intaglio.ir.graph import Graph
from intaglio.job import made
from intaglio.job.islands import kept_too
from intaglio.job.of_graph import compress_graph
from intaglio.job.result import Result
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import find_recipe
from intaglio.recipe.settings import settle

SHAPE = (3, 8, 8)
X = torch.randn(16, *SHAPE, generator=torch.Generator().manual_seed(0))


def sketched(*middle) -> Graph:
    """Return a convolution, some ops one after the other, and a convolution.

    A comparison is one with the value itself. A sum is one with values that are small beside it,
    and an output too: their scale may not be raised for the sum.
    """
    sketch = Sketch(*SHAPE)
    last = sketch.conv("first", "x", 4)
    faint = sketch.conv("faint", "x", 4)
    for role in ("weight", "bias"):
        sketch.graph.params[f"faint.{role}"] *= 1e-5
    for number, (op, attrs) in enumerate(middle):
        others = {"compare": [last], "add": [faint]}.get(op, [])
        last = sketch.add(f"{op}{number}", op, last, *others, **attrs)
    outputs = ["faint"] if any(op == "add" for op, _ in middle) else []
    graph = sketch.done(sketch.conv("last", last, 4), *outputs)
    graph.drop_unused()
    return graph


def compressed(graph: Graph, *, data: object = X, **wishes) -> Result:
    return compress_graph(graph, data=data, recipe="plain", options=Options(**wishes))


QUESTION = ("compare", {"relation": "greater"})
"""Has no integer form."""
FAINT = ("add", {})
"""Has one, but not for scales as far apart as those of these two values."""


def test_all_refused_layers_are_named_at_once_with_reason_remedy_and_price():
    graph = sketched(QUESTION, ("clamp", {"activation": (0.0, 6.0)}), QUESTION)

    with pytest.raises(UnsupportedLayers) as caught:
        compressed(graph)

    said = str(caught.value)
    assert said.startswith(
        "litert cannot hold 2 layers: 'layer.compare0', 'layer.compare2' (compare): "
    )
    assert "yes and no are no numbers on a grid" in said
    assert "--keep-float layer.compare0" in said
    assert "Or pass --allow-float (Options(allow_float=True)): 2 layers, 0.0 % of the" in said
    assert [one.layer for one in caught.value.refusals] == ["layer.compare0", "layer.compare2"]
    assert "\n" not in said


def test_twenty_refused_layers_are_counted_and_a_few_named():
    graph = sketched(*[QUESTION] * 20)

    with pytest.raises(UnsupportedLayers, match=r"20 layers: .* and 17 more ") as caught:
        compressed(graph)

    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("layer", "parts", "said"),
    [
        (FAINT, {"partitions": 1, "outside": 0}, "the runtime runs the network in one part"),
        (
            QUESTION,
            {"partitions": 2, "outside": 2},
            "the runtime runs the network in 2 parts, 2 ops",
        ),
    ],
)
def test_layers_in_float_are_told_with_the_true_reason_and_their_price(layer, parts, said):
    report = compressed(sketched(layer), allow_float=True).report

    (kept,) = report.kept_float
    op = layer[0]
    assert (kept.name, kept.why.split(":")[0]) == (f"{op}0", f"no integer form of {op}")
    assert report.check.mismatches == 0
    assert report.to_dict()["in_float"] == {"macs_percent": 0.0, **parts}
    assert f"0.0 % of the multiply-accumulates; {said}" in str(report)


def test_what_all_integer_networks_report_has_no_price_of_float():
    report = compressed(sketched(), allow_float=True).report

    assert report.in_float is None
    assert "in_float" not in report.to_dict()


def test_what_scales_forbid_is_put_in_float_when_images_have_shown_it():
    graph = sketched(FAINT)

    with pytest.raises(
        UnsupportedByTarget, match=r"operand's scale.*Or pass --allow-float.*1 layer"
    ):
        compressed(graph)
    report = compressed(graph, allow_float=True).report

    assert [kept.name for kept in report.kept_float] == ["add0"]
    assert report.kept_float[0].why.startswith("no integer form of add: its operand's scale")
    assert report.check.mismatches == 0


def test_images_that_come_once_leave_a_late_refusal_as_it_is():
    with pytest.raises(UnsupportedByTarget, match="operand's scale"):
        compressed(sketched(FAINT), data=iter([X]), allow_float=True)


def test_the_recipe_that_a_run_leaves_keeps_the_same_layers():
    result = compressed(sketched(FAINT, QUESTION), allow_float=True)

    assert set(result.recipe.keep_float) == {"add0", "compare1"}


def test_what_belongs_to_a_refused_layer_goes_with_it_and_layers_with_weights_stay():
    graph = sketched(("tanh", {}), QUESTION, ("tanh", {}), ("sigmoid", {}))
    for name in ("first", "tanh0", "compare1", "tanh2"):
        graph[name].source = "block.attention"

    report = compressed(graph, allow_float=True).report

    names = {kept.name: kept.why for kept in report.kept_float}
    assert set(names) == {"tanh0", "compare1", "tanh2"}
    assert names["tanh2"].startswith("part of a layer that has no integer form of compare")


def test_a_scheme_that_the_target_has_not_is_not_mended_by_float():
    with pytest.raises(RequestError):
        compressed(sketched(), allow_float=True, scheme="w4a16")


def test_a_network_that_would_be_all_float_is_refused_and_says_so():
    graph = sketched(QUESTION)
    settings = settle(find_recipe("plain"), "litert", Options(allow_float=True))

    assert kept_too(graph, settings, {"first": "why"}).keep_float == ("first",)
    with pytest.raises(RequestError, match=r"all 2 layers with weights .*'layer.first': why"):
        kept_too(graph, settings, {"first": "why", "last": "why"})


def amplified(behind: str | None = None) -> Graph:
    """Return a network of which integers leave little: a small difference of large values.

    Args:
        behind: An op between the difference and the last layer.
    """
    sketch = Sketch(*SHAPE)
    sketch.conv("first", "x", 4)
    sketch.conv("large", "x", 4)
    sketch.graph.params["large.weight"] *= 300.0
    sketch.add("raised", "add", "first", "large")
    sketch.add("back", "sub", "raised", "large")
    for name in ("raised", "back"):
        sketch.graph[name].source = "norm"
    last = sketch.add("behind", behind, "back") if behind else "back"
    sketch.conv("last", last, 4)
    return sketch.done()


def test_layers_that_amplify_are_put_in_float_where_the_outputs_are_better_for_it(monkeypatch):
    monkeypatch.setattr(made, "AMPLIFYING", ("add",))

    before = compressed(amplified()).report
    after = compressed(amplified(), allow_float=True).report

    assert {kept.name for kept in after.kept_float} >= {"raised", "back"}
    assert any("were put in float" in warning and "'norm'" in warning for warning in after.warnings)
    assert after.integer.logits_sqnr_db > before.integer.logits_sqnr_db + 10.0
    assert any("output 'last'" in warning for warning in before.warnings)
    assert not any("output 'last'" in warning for warning in after.warnings)


def test_layers_that_amplify_stay_in_integers_where_float_does_not_help(monkeypatch):
    monkeypatch.setattr(made, "AMPLIFYING", ("tanh",))
    graph = amplified("tanh")

    report = compressed(graph, allow_float=True).report

    assert report.kept_float == []
    assert not any("were put in float" in warning for warning in report.warnings)
    assert any("output 'last'" in warning for warning in report.warnings)


def test_an_output_of_which_little_is_left_is_warned_of_by_name_and_figure():
    report = compressed(amplified()).report

    (warning,) = (text for text in report.warnings if "output 'last'" in text)
    figure = report.integer.sqnr_db[0]
    assert figure < 20.0
    assert f"SQNR of {figure:.1f} dB" in warning


def test_on_few_images_an_output_near_the_limit_is_doubtful(monkeypatch):
    monkeypatch.setattr("intaglio.job.outcome.POOR_DB", -100.0)
    monkeypatch.setattr("intaglio.job.outcome.DOUBTFUL_DB", 100.0)

    few, many = (compressed(sketched(), data=X[:count]).report.warnings for count in (4, 16))

    assert any("few images that its ranges" in warning for warning in few)
    assert not any("few images that its ranges" in warning for warning in many)


class Net(torch.nn.Module):
    """Two convolutions with a call between them that no table holds."""

    def __init__(self, call) -> None:
        super().__init__()
        self.first, self.last = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 4, 1)
        self.call = call

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.call(self.first(images)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: torch.nn.functional.dropout(x, 0.3), ["training", ".eval()"]),
        (lambda x: x.half().float(), ["float16", "'to'"]),
        (lambda x: x + torch.rand_like(x), ["random"]),
        (lambda x: torch.fft.rfft2(x).abs(), ["torch's fft_rfft2", "docs/ops.md"]),
        (lambda x: x + x.argmax(1, keepdim=True), ["torch's argmax", "int64"]),
    ],
)
@pytest.mark.parametrize("allow_float", [False, True])
def test_calls_that_are_not_held_are_refused_with_the_true_reason(call, words, allow_float):
    options = Options(allow_float=allow_float)

    with pytest.raises(UnsupportedByTarget) as caught:
        intaglio.compress(Net(call).eval(), X[:1], data=X, recipe="plain", options=options)

    said = str(caught.value)
    assert all(word in said for word in words)
    assert not any(word in said for word in ("opaque", "aten", "--allow-float", "default"))
