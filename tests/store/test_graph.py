"""Graphs into files and back; files that are not trusted."""

from __future__ import annotations

import contextlib
import json
import math
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from architectures import architectures, captured, images
from architectures.sketch import Sketch
from intaglio.errors import GraphError, OutputError, WeightsError
from intaglio.run.float import run_float
from intaglio.store.graph import load_graph, save_graph
from mutants import mutants

NAMES = list(architectures())


def is_opaque(graph) -> bool:
    return any(node.op == "opaque" for node in graph)


def assert_equal(ours, theirs) -> None:
    assert ours.nodes == theirs.nodes
    assert list(ours.nodes) == list(theirs.nodes)
    assert (ours.inputs, ours.outputs) == (theirs.inputs, theirs.outputs)
    assert ours.params.keys() == theirs.params.keys()
    for key, tensor in theirs.params.items():
        assert ours.params[key].dtype == tensor.dtype
        assert torch.equal(ours.params[key], tensor)


@pytest.fixture
def stem(tmp_path):
    """A small graph, saved; the stem of its files."""
    sketch = Sketch(3, 8, 8)
    sketch.conv("conv", "x", 4, activation=(-math.inf, 1.5))
    sketch.constant("c", torch.tensor(0.5))
    sketch.add("mul", "mul", "conv", "c")
    save_graph(sketch.done(), tmp_path / "graph")
    return tmp_path / "graph"


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_comes_back_as_it_was_saved(name, tmp_path):
    network = captured(name)
    graph = network.source
    if is_opaque(graph):
        with pytest.raises(GraphError, match="an op that intaglio does not know"):
            save_graph(graph, tmp_path / "graph")
        assert not list(tmp_path.iterdir())
        return

    save_graph(graph, tmp_path / "graph")
    again = load_graph(tmp_path / "graph")

    assert_equal(again, graph)
    x = images(network.input_shape, 1)
    assert all(
        torch.equal(ours, theirs)
        for ours, theirs in zip(run_float(again, x), run_float(graph, x), strict=True)
    )


def test_the_error_names_the_layer_that_cannot_be_saved(tmp_path):
    with pytest.raises(GraphError, match=r"layer 'atan2' calls aten\.atan2"):
        save_graph(captured("unknown_ops").source, tmp_path / "graph")


def test_infinities_and_shared_weights_survive(tmp_path):
    sketch = Sketch(3)
    sketch.clamp("a", "x", -math.inf, 0.1)
    sketch.clamp("b", "a", -0.1, math.inf)
    sketch.constant("c", torch.ones(3))
    sketch.constant("d", torch.zeros(3))
    graph = sketch.done("b", "c", "d")
    graph.params["d.value"] = graph.params["c.value"]  # tied: one memory under two keys

    save_graph(graph, tmp_path / "v1.0")

    assert sorted(os.listdir(tmp_path)) == ["v1.0.json", "v1.0.safetensors"]
    assert_equal(load_graph(tmp_path / "v1.0"), graph)


def test_the_same_graph_gives_the_same_bytes(tmp_path):
    graph = captured("resnet").source

    save_graph(graph, tmp_path / "a")
    save_graph(load_graph(tmp_path / "a"), tmp_path / "b")

    for suffix in (".json", ".safetensors"):
        first, second = (tmp_path / f"{stem}{suffix}" for stem in "ab")
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, math.nan, "inf", torch.zeros(1), (1, [2])])
def test_settings_that_are_not_plain_are_refused(value, tmp_path):
    sketch = Sketch(3)
    sketch.clamp("a", "x")
    graph = sketch.done()
    graph["a"].attrs["activation"] = value

    with pytest.raises(GraphError, match=r"node 'a': activation=.* cannot be saved"):
        save_graph(graph, tmp_path / "graph")


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path):
    sketch = Sketch(3)
    sketch.clamp("a", "x")

    with pytest.raises(OutputError, match="nowhere"):
        save_graph(sketch.done(), tmp_path / "nowhere" / "graph")


def softmax_over(axis: int) -> dict:
    node = {"name": "s", "op": "softmax", "inputs": ["mul"], "params": {}, "source": ""}
    return {**node, "attrs": {"axis": axis}, "shape": [-1, 4, 6, 6]}


DAMAGE = {
    "no format": lambda s: s.pop("format"),
    "another version": lambda s: s.update(version=2),
    "no nodes": lambda s: s.pop("nodes"),
    "nodes of another kind": lambda s: s.update(nodes={}),
    "a node of another kind": lambda s: s["nodes"].append(3),
    "a node without op": lambda s: s["nodes"][1].pop("op"),
    "two nodes of one name": lambda s: s["nodes"].append(s["nodes"][1]),
    "an unknown op": lambda s: s["nodes"][1].update(op="system"),
    "an opaque op": lambda s: s["nodes"][1].update(op="opaque"),
    "a missing setting": lambda s: s["nodes"][1]["attrs"].pop("stride"),
    "a setting too many": lambda s: s["nodes"][1]["attrs"].update(call="os.system"),
    "an object as setting": lambda s: s["nodes"][1]["attrs"].update(stride={}),
    "a huge setting": lambda s: s["nodes"][1]["attrs"].update(padding=[2**40, 0, 0, 0]),
    "not a number": lambda s: s["nodes"][1]["attrs"].update(activation=[math.nan, 1]),
    "a role too many": lambda s: s["nodes"][1]["params"].update(code="c.value"),
    "a weight that is not there": lambda s: s["nodes"][1]["params"].update(weight="gone"),
    "an input that is not there": lambda s: s["nodes"][1].update(inputs=["gone"]),
    "an input of another kind": lambda s: s["nodes"][1].update(inputs=[0]),
    "a reader before its maker": lambda s: s["nodes"].reverse(),
    "a negative size": lambda s: s["nodes"][1].update(shape=[-1, -4, 6, 6]),
    "a fractional size": lambda s: s["nodes"][1].update(shape=[-1, 4.5, 6, 6]),
    "a huge shape": lambda s: s["nodes"][1].update(shape=[-1, 2**20, 2**20, 1]),
    "many axes": lambda s: s["nodes"][1].update(shape=[-1] + [1] * 99),
    "a shape of another kind": lambda s: s["nodes"][1].update(shape="N,4"),
    "a constant of another shape": lambda s: s["nodes"][2].update(shape=[7]),
    "an empty value": lambda s: s["nodes"][1].update(shape=[-1, 4, 0, 6]),
    "a stride of another kind": lambda s: s["nodes"][1]["attrs"].update(stride=1),
    "a negative stride": lambda s: s["nodes"][1]["attrs"].update(stride=[-1, 1]),
    "a fractional padding": lambda s: s["nodes"][1]["attrs"].update(padding=[0.5, 0, 0, 0]),
    "bounds the wrong way round": lambda s: s["nodes"][1]["attrs"].update(activation=[6.0, 0.0]),
    "bounds that are text": lambda s: s["nodes"][1]["attrs"].update(activation="relu"),
    "an axis that is not there": lambda s: s["nodes"].append(softmax_over(4)),
    "a version that is true": lambda s: s.update(version=True),
    "an input that the graph does not list": lambda s: s.update(inputs=[]),
    "an input twice": lambda s: s.update(inputs=["x", "x"]),
    "a second input": lambda s: s["nodes"].append({**s["nodes"][0], "name": "y"}),
    "a layer without a weight": lambda s: s["nodes"][1].update(params={"bias": "conv.bias"}),
    "weight and bias exchanged": lambda s: s["nodes"][1].update(
        params={"bias": "conv.weight", "weight": "conv.bias"}
    ),
    "an output that is not there": lambda s: s.update(outputs=["gone"]),
    "no outputs": lambda s: s.update(outputs=[]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_structure_that_describes_no_legal_graph_is_refused_by_file(damage, stem):
    path = stem.with_suffix(".json")
    structure = json.loads(path.read_text())
    DAMAGE[damage](structure)
    path.write_text(json.dumps(structure))

    with pytest.raises(WeightsError, match=r"graph file '.*graph\.(json|safetensors)'") as refusal:
        load_graph(stem)

    assert "\n" not in str(refusal.value)


NO_STRUCTURE = [b"{", b"[]", b"3", b"\xff\xfe\x00", b"[" * 100_000, b"\xef\xbb\xbf{}", b"1" * 5000]


@pytest.mark.parametrize("content", NO_STRUCTURE)
def test_a_structure_that_is_none_is_refused_by_file(content, stem):
    stem.with_suffix(".json").write_bytes(content)

    with pytest.raises(WeightsError, match=r"graph file '.*graph\.json' is damaged"):
        load_graph(stem)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_missing_and_truncated_files_are_refused(suffix, stem):
    path = stem.with_suffix(suffix)
    content = path.read_bytes()
    for length in (0, 7, len(content) // 2, len(content) - 3):
        path.write_bytes(content[:length])
        with pytest.raises(WeightsError, match=f"{suffix}' is damaged"):
            load_graph(stem)

    path.unlink()

    with pytest.raises(WeightsError, match=f"there is no graph file '.*{suffix}'"):
        load_graph(stem)


def test_weights_that_nothing_uses_are_refused(stem):
    path = stem.with_suffix(".safetensors")
    save_file({**load_file(path), "stray": torch.zeros(3)}, path)

    with pytest.raises(WeightsError, match=r"unused weights \['stray'\]"):
        load_graph(stem)


def test_weights_of_an_unexpected_type_are_refused(stem):
    path = stem.with_suffix(".safetensors")
    save_file({**load_file(path), "c.value": torch.zeros((), dtype=torch.float16)}, path)

    with pytest.raises(WeightsError, match=r"weight 'c\.value' is torch\.float16"):
        load_graph(stem)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("conv.weight", torch.full((4, 3, 3, 3), math.nan), "holds 108 NaN or infinite values"),
        ("c.value", torch.tensor(math.inf), r"the value of 'c' \('c\.value'\) holds 1 NaN"),
        ("conv.weight", torch.zeros(4, 27), r"conv2d\) has shape \[4, 27\], not 4 axes"),
        ("conv.bias", torch.zeros(1), r"the bias of 'conv' .* shape \[1\], not \[4\]"),
        ("conv.bias", torch.zeros(4, dtype=torch.int32), r"is torch\.int32, not float32"),
        ("c.value", torch.zeros(7), r"the value of 'c' .* shape \[7\], not \[\]"),
    ],
)
def test_weights_that_no_layer_can_have_are_refused_by_name(key, value, said, stem):
    path = stem.with_suffix(".safetensors")
    save_file({**load_file(path), key: value}, path)

    with pytest.raises(WeightsError, match=rf"graph\.safetensors' is damaged: .*{said}"):
        load_graph(stem)


def test_a_negative_variance_is_refused(tmp_path):
    sketch = Sketch(3, 4, 4)
    sketch.norm("norm", "x")
    graph = sketch.done()
    graph.params["norm.var"][1] = -0.5
    save_graph(graph, tmp_path / "graph")

    with pytest.raises(WeightsError, match=r"the var of 'norm' .* holds the variance -0\.5"):
        load_graph(tmp_path / "graph")


def test_bounds_of_any_finite_size_survive(tmp_path):
    sketch = Sketch(3)
    sketch.clamp("a", "x", -1e30, 1e30)

    save_graph(sketch.done(), tmp_path / "graph")

    assert load_graph(tmp_path / "graph")["a"].attrs == {"activation": (-1e30, 1e30)}


def test_every_mutant_of_the_structure_is_read_or_refused(stem):
    path = stem.with_suffix(".json")
    for structure in mutants(json.loads(path.read_text()), 400):
        path.write_text(json.dumps(structure))
        with contextlib.suppress(WeightsError):  # any other error fails the test
            load_graph(stem)


def test_every_single_changed_byte_of_the_structure_is_read_or_refused(stem):
    path = stem.with_suffix(".json")
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x11]) + content[place + 1 :])
        with contextlib.suppress(WeightsError):  # any other error fails the test
            load_graph(stem)
