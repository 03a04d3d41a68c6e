"""Quantization-friendly MobileNets: counts, layers, keys, training, and the way to a file."""

from __future__ import annotations

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

import intaglio
from cli.scripts import make_names
from intaglio import zoo
from intaglio.ir.graph import Graph, Node
from intaglio.job.of_graph import compress_graph
from intaglio.passes.canonicalize import canonicalize
from intaglio.run.float import run_float
from intaglio.runtimes import LITERT, LITERT_REFERENCE

COUNTS = {
    "mobilenet_v1": 4_222_056,
    "mobilenet_v2": 3_490_600,
    "mobilenet_v3_large": 5_473_000,
    "mobilenet_v3_small": 2_537_944,
}
"""Names of the plain twins to parameters at 1000 classes: two a depthwise channel fewer."""
NORMS = {"mobilenet_v2": 16, "mobilenet_v3_large": 14, "mobilenet_v3_small": 10}
"""Names of the plain twins to expansions; the first block has none."""
TINY = {"width": 0.1, "num_classes": 7, "small_input": True}


def counts(name: str, size: int = 224, **arguments: object) -> tuple[int, int]:
    """Return parameters and multiply-accumulates, from shapes alone."""
    with torch.device("meta"):
        network = zoo.ZOO[name].build(**arguments).eval()
        macs = make_names.count_macs(network, torch.empty(1, 3, size, size))
    return sum(weight.numel() for weight in network.parameters()), macs


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


@functools.cache
def tiny(name: str) -> tuple[nn.Module, Graph]:
    """Return a tiny network in evaluation mode, and it captured; tests change only copies."""
    torch.manual_seed(0)
    network = zoo.ZOO[name].build(**TINY).eval()
    return network, intaglio.capture(network, torch.zeros(1, 3, 32, 32))


def depthwise(graph: Graph) -> list[Node]:
    return [node for node in graph if node.op == "conv2d" and node.attrs["groups"] > 1]


@pytest.mark.parametrize("name", COUNTS)
def test_a_network_has_the_norms_of_depthwise_layers_less_than_its_twin_and_the_same_macs(name):
    (parameters, macs), (_, of_twin) = counts(f"qf_{name}"), counts(name)

    assert parameters == COUNTS[name]
    assert macs == of_twin


@pytest.mark.parametrize("name", COUNTS)
def test_keys_are_those_of_the_twin_without_norms_of_depthwise_layers(name):
    with torch.device("meta"):
        friendly, twin = zoo.ZOO[f"qf_{name}"].build(), zoo.ZOO[name].build()
    filters = {key for key, layer in twin.named_modules() if getattr(layer, "groups", 1) > 1}
    norms = {f"{key.removesuffix('.0')}.1" for key in filters}

    expected = {
        key: shape for key, shape in shapes(twin).items() if key.rpartition(".")[0] not in norms
    }
    assert len(norms) == len(filters) > 10
    assert shapes(friendly) == expected


@pytest.mark.parametrize("name", COUNTS)
def test_the_only_activations_are_relu_and_the_gate_of_squeeze_excite(name):
    with torch.device("meta"):
        kinds = {type(layer) for layer in zoo.ZOO[f"qf_{name}"].build().modules()}

    assert nn.ReLU in kinds
    assert not kinds & {nn.ReLU6, nn.Hardswish}
    assert (nn.Hardsigmoid in kinds) == ("v3" in name)


@pytest.mark.parametrize("name", NORMS)
def test_an_expansion_without_a_norm_has_a_bias_in_its_place(name):
    with torch.device("meta"):
        network = zoo.ZOO[f"qf_{name}"].build()
        without = zoo.ZOO[f"qf_{name}"].build(expansion_norm=False)

    def norms(module: nn.Module) -> int:
        return sum(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())

    added = shapes(without).keys() - shapes(network).keys()
    assert norms(network) - norms(without) == NORMS[name] == len(added)
    assert all(key.endswith(".0.bias") for key in added)


@pytest.mark.parametrize("name", [name for name in NORMS if "v3" in name])
def test_squeeze_excite_can_be_left_out(name):
    with torch.device("meta"):
        network = zoo.ZOO[f"qf_{name}"].build(squeeze_excite=False)

    assert not any(isinstance(layer, nn.Hardsigmoid) for layer in network.modules())
    assert counts(f"qf_{name}", squeeze_excite=False)[0] < COUNTS[name]


@pytest.mark.parametrize("name", COUNTS)
def test_a_captured_network_clamps_behind_no_depthwise_convolution(name):
    graph = tiny(f"qf_{name}")[1].copy()

    canonicalize(graph)

    found = depthwise(graph)
    assert len(found) > 10
    assert all(node.attrs["activation"] is None for node in found)
    behind = [reader.op for node in found for reader in graph.readers(node.name)]
    assert set(behind) <= {"conv2d", "mean", "mul"}  # the last two are of squeeze-excite


def test_a_captured_twin_does_clamp_behind_depthwise_convolutions():
    graph = tiny("mobilenet_v2")[1].copy()

    canonicalize(graph)

    assert {node.attrs["activation"] for node in depthwise(graph)} == {(0.0, 6.0)}


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
def test_a_network_trains_from_scratch(name):
    torch.manual_seed(0)
    network = zoo.ZOO[f"qf_{name}"].build(**TINY).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)
    images, labels = torch.randn(14, 3, 32, 32), torch.arange(14) % 7

    losses = []
    for _ in range(25):
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert max(losses) < 2 * losses[0]  # far from the hundreds of a network that diverges
    assert losses[-1] < 0.5 * losses[0]  # learned by heart: random labels have no other way


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
def test_a_network_equals_its_file_in_every_bit(name):
    network, graph = tiny(f"qf_{name}")
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        assert_close(run_float(graph, images)[0], network(images), rtol=0, atol=0)
    for target in (LITERT, LITERT_REFERENCE):
        result = compress_graph(graph, target=target.name, data=images, recipe="plain")
        check = target.check(result.files, result.twin, [images])
        assert check.mismatches == 0
        assert check.values_compared > 10_000
        assert check.partitions == (1 if target is LITERT else 0)
