"""A result's cut: names and shapes are kept, and a module with other cores is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from detectors.compressed import ONE, SEEN, SIZE, TWO, compressed, detector
from intaglio.errors import RequestError
from intaglio.job.cut import graphs_of, in_order, same_cut, stored_whole
from intaglio.read.module.cores import find_cores
from intaglio.store.cores import StoredWhole


@pytest.mark.parametrize("name", [ONE, TWO])
def test_what_is_kept_are_names_and_shapes_and_no_picture(name):
    whole = compressed(name).whole

    stored = stored_whole(whole)

    assert stored.takes == "pictures"
    assert stored.shapes == ((3, *SIZE),) * SEEN
    assert [core.name for core in stored.cores] == [core.name for core in in_order(whole)]
    for kept, core in zip(stored.cores, in_order(whole), strict=True):
        assert kept.places == core.places
        assert kept.input_shape == tuple(core.example.shape[1:])
        assert kept.outputs == core.output_names


def test_the_core_that_is_given_the_pictures_comes_first_whatever_it_weighs():
    whole = compressed(TWO).whole
    other = replace(whole, cores=whole.cores[::-1])

    assert [core.name for core in in_order(other)] == [core.name for core in in_order(whole)]
    assert in_order(whole)[0].example.shape[1] == 3
    assert stored_whole(other) == stored_whole(whole)


def test_the_same_module_is_cut_as_before_on_any_pictures():
    stored = stored_whole(compressed(TWO).whole)

    again = same_cut(detector(TWO), stored, "the folder")

    assert stored_whole(again) == stored


def test_graphs_of_cores_name_outputs_by_places_of_the_module():
    whole = compressed(TWO).whole

    graphs = graphs_of(whole)

    for graph, core in zip(graphs, in_order(whole), strict=True):
        assert tuple(graph.output_names) == core.output_names


def changed_core(stored: StoredWhole, **parts: object) -> StoredWhole:
    return replace(stored, cores=(replace(stored.cores[0], **parts), *stored.cores[1:]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: replace(one, cores=one.cores[:1]), "has 2 cores and the result .* holds 1"),
        (lambda one: changed_core(one, places=("body",)), "has other places than"),
        (lambda one: changed_core(one, input_shape=(1, 9, 9)), "has other input shape than"),
        (lambda one: changed_core(one, outputs=("x",)), "has other outputs than"),
    ],
)
def test_a_module_with_other_cores_is_refused_with_the_difference(
    change: Callable[[StoredWhole], StoredWhole], said: str
):
    stored = change(stored_whole(compressed(TWO).whole))

    with pytest.raises(RequestError, match=said) as caught:
        same_cut(detector(TWO), stored, "out/two")

    assert "out/two" in str(caught.value)
    assert "give the module that it was made of" in str(caught.value)


class Counting(nn.Module):
    """Takes one tensor, and computes with values of it."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, channels, 3), nn.ReLU(), nn.Conv2d(channels, 5, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.body(x)
        return found[found > found.mean().item()]


def test_a_module_that_takes_one_tensor_is_cut_with_one():
    torch.manual_seed(0)
    module = Counting().eval()
    stored = stored_whole(find_cores(module, torch.rand(2, 3, 12, 12)))

    assert (stored.takes, stored.shapes) == ("tensor", ((2, 3, 12, 12),))
    assert stored_whole(same_cut(module, stored, "x")) == stored


def test_other_widths_between_the_ends_are_no_other_cut_but_the_module_stays_as_it_is():
    torch.manual_seed(0)
    module = Counting().eval()
    stored = stored_whole(find_cores(module, torch.rand(2, 3, 12, 12)))
    state = copy.deepcopy(module.state_dict())

    same_cut(Counting(8).eval(), stored, "x")
    same_cut(module, stored, "x")

    assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())
