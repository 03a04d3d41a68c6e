"""Equal numbers lie alike in memory, and compute equal bits, wherever they came from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from architectures import images
from intaglio.ir.storage import ALIGNMENT, settled, settled_all
from intaglio.read.module.export import capture
from intaglio.run.float import run_float
from intaglio.store.graph import load_graph, save_graph

SHAPES = [(), (0,), (7,), (8, 3, 3, 3), (8, 1, 3, 3), (8, 16, 1, 1), (5, 6)]
LAST = torch.channels_last


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def at_offset(tensor: Tensor) -> Tensor:
    """Return the same numbers one element behind an aligned address, as in a mapped file."""
    room = torch.zeros(tensor.numel() + 1)
    room[1:] = tensor.flatten()
    return room[1:].reshape(tensor.shape)


def lies_fresh(tensor: Tensor) -> bool:
    return (
        tensor.stride() == torch.empty(tensor.shape).stride()
        and tensor.data_ptr() % ALIGNMENT == 0
        and tensor.untyped_storage().nbytes() == tensor.nbytes
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_a_fresh_tensor_is_left_where_it_is(shape):
    tensor = numbers(*shape)

    assert settled(tensor) is tensor


@pytest.mark.parametrize("shape", SHAPES)
def test_a_tensor_inside_a_larger_storage_moves_out_of_it(shape):
    tensor = at_offset(numbers(*shape))

    found = settled(tensor)

    assert lies_fresh(found)
    assert torch.equal(found, tensor)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if len(shape) == 4])
def test_channels_last_is_undone_also_where_torch_calls_it_contiguous(shape):
    tensor = numbers(*shape).to(memory_format=LAST)

    found = settled(tensor)

    assert lies_fresh(found)
    assert torch.equal(found, tensor)


def test_an_aligned_part_of_a_larger_storage_does_not_hold_on_to_the_rest():
    part = numbers(64, 16)[:32]

    assert lies_fresh(settled(part))


def test_tied_weights_stay_tied():
    fresh, view = numbers(4, 4), at_offset(numbers(4, 4))

    found = settled_all({"a": fresh, "b": fresh, "c": view, "d": view, "e": view.T})

    assert found["a"] is found["b"] is fresh
    assert found["c"] is found["d"]
    assert found["e"] is not found["c"]
    assert all(lies_fresh(tensor) for tensor in found.values())


def network(layout: torch.memory_format) -> nn.Module:
    """Return a network whose weights lie in a layout of their own, one of them in a larger one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 24, 3), nn.Conv2d(24, 24, 3, groups=24), nn.Conv2d(24, 8, 1)
        )
    module[2].bias = nn.Parameter(at_offset(module[2].bias.detach()))
    return module.eval().to(memory_format=layout)


def test_a_graph_computes_the_same_bits_whatever_its_weights_came_from(tmp_path):
    x = images((1, 3, 17, 16), 2)
    plain, last = (
        capture(network(layout), x[:1]) for layout in (torch.contiguous_format, torch.channels_last)
    )
    save_graph(last, tmp_path / "graph")
    loaded = load_graph(tmp_path / "graph")

    found = [run_float(graph, x)[0] for graph in (plain, last, loaded)]

    for graph in (plain, last, loaded):
        assert all(lies_fresh(tensor) for tensor in graph.params.values())
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_a_pass_that_sets_a_transposed_weight_leaves_a_settled_one():
    graph = capture(network(torch.contiguous_format), images((1, 3, 17, 16), 1))

    graph.set_param(graph["2"], "weight", numbers(24, 8, 1, 1).transpose(0, 1))

    assert lies_fresh(graph.param(graph["2"], "weight"))
