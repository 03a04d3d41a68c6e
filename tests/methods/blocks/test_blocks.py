"""Blocks: every node once, residual blocks whole, and where windows suffice."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from architectures import captured_zoo
from intaglio.methods.blocks.blocks import find_blocks
from intaglio.passes.canonicalize import canonicalize
from intaglio.runtimes.litert.lower.lower import lower
from methods.quantized import calibrated


def network(name: str):
    graph = captured_zoo(name).copy()
    canonicalize(graph)
    lower(graph)
    return graph


@pytest.fixture(scope="module")
def networks():
    return {name: network(name) for name in ("resnet20_cifar10", "mobilenet_v2_tf")}


@pytest.mark.parametrize("name", ["resnet20_cifar10", "mobilenet_v2_tf"])
def test_blocks_hold_every_computed_node_once_and_read_only_earlier_ones(networks, name):
    graph = networks[name]

    blocks = find_blocks(graph)

    held = [node for block in blocks for node in block.nodes]
    assert held == [node.name for node in graph if node.op not in ("input", "constant")]
    made = set(graph.inputs)
    for block in blocks:
        assert set(block.inputs) <= made
        made.update(block.outputs)
        assert block.can_be_tuned == bool(block.layers)
    assert set(graph.outputs) <= made


@pytest.mark.slow
def test_the_residual_blocks_of_a_resnet_are_found_whole(networks):
    blocks = find_blocks(networks["resnet20_cifar10"])

    sums = [block for block in blocks if block.outputs[0].endswith(".add")]
    assert len(sums) == 9
    assert all(len(block.inputs) == 1 and len(block.layers) >= 2 for block in sums)
    assert len(blocks) == 12  # and the stem, the mean over the picture, the classifier


def test_inverted_residuals_are_blocks_with_and_without_a_shortcut(networks):
    blocks = find_blocks(networks["mobilenet_v2_tf"])

    inner = [block for block in blocks if block.is_local]
    sizes = [len(block.layers) for block in inner]
    assert sizes == [3] * 17 + [1]  # the first takes the stem in; the last is before the mean


def test_a_classifier_is_a_block_that_reads_means_not_pictures(networks):
    graph = networks["mobilenet_v2_tf"]

    *_, mean, classifier = find_blocks(graph)

    assert not mean.layers
    assert len(classifier.layers) == 1
    assert graph[classifier.inputs[0]].shape[1:] == (1280,)


def test_a_value_that_is_read_twice_and_returned_leaves_no_single_result():
    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.left, self.right = (nn.Conv2d(3, 3, 1) for _ in range(3))

        def forward(self, x):
            shared = torch.relu(self.first(x))
            return self.left(shared), self.right(shared)

    state, _ = calibrated(module=TwoHeads().eval(), images=torch.randn(8, 3, 8, 8))

    blocks = find_blocks(state.graph)

    assert sum(len(block.layers) for block in blocks) == 3
    assert not all(block.can_be_tuned for block in blocks)
