"""Mixed precision: the best bits within a size, in the plan, the scales and the file."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch import nn

from intaglio.errors import RequestError
from intaglio.methods.bits.search_bits import AllocateBits, chosen_bits, with_bits
from intaglio.methods.bits.sensitivity import Harm, layer_sensitivity, possible_bits
from intaglio.methods.rounding.second_order import RoundSecondOrder
from intaglio.methods.steps.steps import make_step
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.file.write import write_tflite
from methods.quantized import calibrated, random_images
from runtimes.litert.checked import check_file


def held_bits(state):
    """Return the bits that the target holds of each layer."""
    return possible_bits(state.graph, state.encodings, (8, 4, 2), LITERT)


def wide(seed: int = 0) -> nn.Module:
    """Return a network whose pointwise layers hold most of the bytes."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU6(),
        nn.Conv2d(16, 96, 1),
        nn.ReLU6(),
        nn.Conv2d(96, 96, 3, padding=1, groups=96),
        nn.ReLU6(),
        nn.Conv2d(96, 128, 1),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, 40),
    ).eval()


@pytest.fixture(scope="module")
def network():
    return calibrated("mixed", module=wide(), images=random_images(64))


def widths(state) -> dict[str, int]:
    return {name: spec.bits for name, spec in state.plan.weights.items()}


def size_of(state) -> int:
    return len(write_tflite(state.graph, state.encodings, LITERT))


@pytest.mark.slow
def test_the_file_fits_the_size_and_uses_most_of_it(network):
    state, context = network
    sizes = [size_of(state) - saved for saved in (0, 4_000, 9_000, 12_000)]

    for size in sizes:
        made = size_of(AllocateBits(max_size_bytes=size + 1000)(state, context))

        assert size - 3_000 < made <= size + 1000


def test_bits_are_the_best_of_all_choices_within_the_size(network):
    state, context = network
    options = held_bits(state)
    harms = layer_sensitivity(state.graph, state.encodings, context, options=options)
    size = LITERT.size_bytes(state.graph, dict.fromkeys(options, 8)) - 9_000

    found = chosen_bits(state.graph, harms, size, target=LITERT)

    def total(choice):
        return sum(harms[name][bits].divergence for name, bits in choice.items())

    every = (dict(zip(options, bits, strict=True)) for bits in itertools.product(*options.values()))
    fitting = [choice for choice in every if LITERT.size_bytes(state.graph, choice) <= size]
    assert LITERT.size_bytes(state.graph, found) <= size
    assert total(found) == pytest.approx(min(map(total, fitting)))


def test_what_counts_as_harm_can_be_chosen():
    state, _ = calibrated("mixed")
    first, second = "2.expand", "2.project"
    options = {first: first, second: second}
    names = [node.name for node in state.graph if node.source in options]
    harms = {
        names[0]: {8: Harm(0.0, 0.0), 2: Harm(1.0, 2.0)},
        names[1]: {8: Harm(0.0, 0.0), 2: Harm(2.0, 1.0)},
    }
    rest = {name: {8: Harm(0.0, 0.0)} for name in state.plan.weights if name not in names}
    size = LITERT.size_bytes(state.graph, dict.fromkeys(state.plan.weights, 8)) - 100

    by_divergence = chosen_bits(state.graph, harms | rest, size, target=LITERT)
    by_error = chosen_bits(state.graph, harms | rest, size, target=LITERT, measure="error")

    assert (by_divergence[names[0]], by_divergence[names[1]]) == (2, 8)
    assert (by_error[names[0]], by_error[names[1]]) == (8, 2)


def test_convolutions_with_a_window_keep_eight_bits_however_small_the_file(network):
    state, context = network
    least = LITERT.size_bytes(
        state.graph,
        {name: min(b) for name, b in held_bits(state).items()},
    )

    made = AllocateBits(max_size_bytes=least)(state, context)

    assert sorted(widths(made).values()) == [2, 2, 2, 8, 8]
    assert size_of(made) <= least


def test_a_size_that_no_choice_fits_is_refused_with_the_least_one(network):
    state, context = network
    bits = {name: min(b) for name, b in held_bits(state).items()}
    least = LITERT.size_bytes(state.graph, bits)

    with pytest.raises(RequestError, match=f"the smallest choice of bits takes {least}:"):
        AllocateBits(max_size_bytes=least - 1)(state, context)


@pytest.mark.slow
def test_without_a_size_the_file_is_as_large_as_with_w4a8(network):
    state, context = network
    w4a8, _ = calibrated("w4a8", module=wide(), images=context.images)

    made = AllocateBits()(state, context)

    limit = LITERT.size_bytes(w4a8.graph, widths(w4a8))
    assert LITERT.size_bytes(made.graph, widths(made)) <= limit
    assert size_of(made) <= limit


def test_plan_and_scales_say_the_same_and_two_bits_use_all_four_levels(network):
    state, _ = network
    pointwise = [name for name, b in held_bits(state).items() if 2 in b]

    made = with_bits(state, {pointwise[0]: 4, pointwise[1]: 2}, LITERT)

    four, two = (made.encodings.weights[name].spec for name in pointwise[:2])
    assert (four.qmin, four.qmax, two.qmin, two.qmax) == (-7, 7, -2, 1)
    for name, params in made.encodings.weights.items():
        assert params.spec == made.plan.weights[name]
        assert len(params.scale) == len(made.graph.param(made.graph[name], "weight"))
    untouched = [name for name in made.plan.weights if name not in pointwise[:2]]
    for name in untouched:
        assert made.encodings.weights[name] is state.encodings.weights[name]
    assert state.plan.weights[pointwise[0]].bits == 8


@pytest.mark.slow
def test_the_rounded_network_s_file_and_twin_agree_on_every_bit(network):
    state, context = network

    made = make_step(
        {"name": "allocate-bits", "max_size_bytes": size_of(state) - 9_000, "forwards": 500}
    )(state, context)
    made = RoundSecondOrder()(made, context)

    assert {2, 4} & set(widths(made).values())
    twin = build_twin(made.graph, made.encodings, LITERT)
    counts = check_file(
        write_tflite(made.graph, made.encodings, LITERT), twin, [context.images[:4]]
    )
    assert counts.mismatches == 0


def test_the_search_is_no_worse_than_all_layers_at_four_bits_in_the_same_size(network):
    state, context = network
    options = held_bits(state)
    four = {name: 4 if 4 in bits else 8 for name, bits in options.items()}
    size = LITERT.size_bytes(state.graph, four)
    harms = layer_sensitivity(state.graph, state.encodings, context, options=options)

    found = chosen_bits(state.graph, harms, size, target=LITERT)

    assert sum(harms[name][bits].divergence for name, bits in found.items()) <= sum(
        harms[name][bits].divergence for name, bits in four.items()
    )


@pytest.mark.parametrize("bits", [(), (8, 3), (16,)])
def test_bits_that_no_file_holds_are_refused(network, bits):
    state, context = network

    with pytest.raises(RequestError, match="give 8, 4 or 2"):
        dataclasses.replace(AllocateBits(), bits=bits)(state, context)
