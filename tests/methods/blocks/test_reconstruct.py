"""Block-wise reconstruction: what was tuned is what the twin runs, and no block gets worse."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from intaglio.methods.blocks.block_samples import Sample
from intaglio.methods.blocks.block_walk import BlockWalk, block_images_within, block_kernels
from intaglio.methods.blocks.blocks import find_blocks
from intaglio.methods.blocks.brecq import Brecq
from intaglio.methods.blocks.learn_steps import learnable_groups, with_learned_steps
from intaglio.methods.blocks.qdrop import Qdrop
from intaglio.methods.blocks.reconstruct import (
    Reconstruction,
    Task,
    block_error,
    hardened,
    learn_rounding,
    sampler_of,
    tune_block,
)
from intaglio.methods.blocks.soft_block import BlockRun, soft_layers
from intaglio.methods.rounding.soft_rounding import spread_scale
from intaglio.run.twin import build_twin
from intaglio.run.weights import integer_bias, integer_weight
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.ops import site
from methods.exact import on_the_grid, swapped
from methods.quantized import calibrated, random_images, separable, with_activation_bits

QUICK = Reconstruction(steps=40, positions=256)


def tasks(state, context):
    """Yield the task of each block with weights, blocks before it as they are in `state`."""
    blocks = find_blocks(state.graph)
    walk = BlockWalk(state.reference, blocks, state.encodings, context)
    generator = torch.Generator().manual_seed(0)
    for index, block in enumerate(blocks):
        walk.advance_floats(block)
        if block.can_be_tuned:
            yield Task(state, block, walk, torch.ones(()), generator)
        walk.advance_integers(block, state.graph, state.encodings)
        walk.release(index)


def with_biases_on_their_grids(state):
    graph = state.graph.copy()
    for name, params in state.encodings.weights.items():
        node = graph[name]
        scale = state.encodings.activations[node.inputs[0]].scale
        integers = integer_bias(graph.param(node, "bias"), scale, params.scale)
        graph.set_param(node, "bias", (integers.double() * (scale * params.scale).double()).float())
    return state.with_graph(graph)


def whole_sample(task):
    """Return all images, whole pictures, as a training step would see them."""
    grids, walk = task.state.encodings.activations, task.walk
    twins = {
        name: (walk.integers[name].float() - grids[name].zero) * grids[name].scale
        for name in task.block.inputs
    }
    floats = {name: walk.floats[name] for name in task.block.inputs}
    return Sample({}, floats, twins, walk.floats[task.block.outputs[0]])


@pytest.mark.parametrize("scheme", ["w8a8", "w4a8", "w4a4", "w3a3-per-tensor"])
def test_a_hardened_block_in_training_is_the_twin_to_the_step(scheme):
    state, context = calibrated(scheme)

    for task in tasks(state, context):
        layers = soft_layers(state.reference, state.graph, state.encodings, task.block, reach=0.3)
        learn_rounding(task, layers, QUICK, block_error(task, state))
        tuned = with_biases_on_their_grids(hardened(state, layers, LITERT))
        task = replace(task, state=tuned)
        run = BlockRun(
            tuned.graph, task.block, tuned.encodings, {}, task.generator, {}, rounds_result=True
        )
        with torch.no_grad():
            trained = run(whole_sample(task))
        kernels = block_kernels(task.block, tuned.graph, tuned.encodings, context.target)
        grids, result = tuned.encodings.activations, task.block.outputs[0]
        everything = slice(0, task.walk.count)
        made = task.walk.run_integers(task.block, tuned.graph, kernels, grids, everything)[result]

        # float32 sums of real products against integers: a value at a tie may go either way
        steps = (trained / grids[result].scale).round() - made
        assert float(steps.abs().max()) <= 1.0
        assert float((steps != 0).float().mean()) < 2e-3


@pytest.mark.parametrize("scheme", ["w4a8", "w4a4", "w2a8", "w3a3-per-tensor"])
@pytest.mark.parametrize("steps", [1, 40])
def test_no_block_is_worse_on_judged_images_than_it_was(scheme, steps):
    state, context = calibrated(scheme, images=random_images(40))
    settings = Reconstruction(steps=steps, positions=256, step_size_steps=10, learning_rate=0.2)

    for task in tasks(state, context):
        tuned = tune_block(task, settings)

        assert block_error(task, tuned) <= block_error(task, task.state)


def test_learned_integers_are_at_most_one_step_from_where_they_were():
    state, context = calibrated("w4a8")
    settings = Reconstruction(steps=60, positions=256, learning_rate=0.3)
    moved = 0

    for task in tasks(state, context):
        layers = soft_layers(state.reference, state.graph, state.encodings, task.block, reach=0.45)
        learn_rounding(task, layers, settings, block_error(task, state))
        tuned = hardened(state, layers, LITERT)
        for name in layers:
            node, params = state.graph[name], state.encodings.weights[name]
            before = integer_weight(state.graph.param(node, "weight"), params)
            found = tuned.encodings.weights[name]
            after = integer_weight(tuned.graph.param(node, "weight"), found)
            assert int((after - before).abs().max()) <= 1
            moved += int((after != before).sum())

    assert moved > 0


@pytest.mark.parametrize("step", [Brecq(steps=40), Qdrop(steps=40), Brecq(steps=40, fisher=True)])
def test_weights_lie_on_their_grids_and_stay_there(step):
    state, context = calibrated("w4a4")

    after = step(state, context)

    for name, params in after.encodings.weights.items():
        weight = after.graph.param(after.graph[name], "weight")
        integers = integer_weight(weight, params).float()
        if not torch.equal(weight, state.graph.param(state.graph[name], "weight")):
            assert torch.equal(integers * spread_scale(params, weight.ndim), weight)


@pytest.mark.parametrize("step", [Brecq(steps=20, learn_steps=True), Qdrop(steps=20)])
def test_a_network_whose_rounding_is_exact_is_left_alone(step):
    state, context = calibrated("w8a8", module=swapped(), images=on_the_grid())

    after = step(state, context)

    assert after.graph is state.graph
    assert after.encodings is state.encodings


@pytest.mark.slow
@pytest.mark.parametrize("step", [Brecq, Qdrop])
def test_it_beats_nearest_rounding_on_images_that_it_never_saw(step):
    state, context = calibrated("w3a4", images=random_images(64))
    unseen = random_images(64, seed=9)
    real = separable()(unseen).detach()

    after = step(steps=150)(state, context)

    before = build_twin(state.graph, state.encodings, context.target)(unseen)
    behind = build_twin(after.graph, after.encodings, context.target)(unseen)
    assert (behind - real).square().mean() < (before - real).square().mean()


def test_the_same_seed_gives_the_same_network():
    state, context = calibrated("w4a4")

    first, again = (Qdrop(steps=20)(state, context) for _ in range(2))

    for name in state.encodings.weights:
        for role in ("weight", "bias"):
            one, other = (s.graph.param(s.graph[name], role) for s in (first, again))
            assert torch.equal(one, other)


@pytest.mark.parametrize("bits", [8, 16])
def test_values_between_blocks_stay_within_the_memory(bits, monkeypatch):
    monkeypatch.setattr(site, "WIDEST", 16)  # the kernels of these blocks are exact there
    state, context = calibrated(images=random_images(400))
    state = with_activation_bits(state, bits)
    blocks = find_blocks(state.graph)
    memory_mb = 2
    count = block_images_within(state.graph, blocks, state.encodings, memory_mb)
    walk = BlockWalk(
        state.reference, blocks, state.encodings, replace(context, memory_mb=memory_mb)
    )

    assert 4 < walk.count == count < 400
    for index, block in enumerate(blocks):
        walk.advance_floats(block)
        walk.advance_integers(block, state.graph, state.encodings)
        held = [*walk.floats.values(), *walk.integers.values()]
        assert sum(value.nbytes for value in held) <= memory_mb * 1e6
        walk.release(index)
    assert block_images_within(state.graph, blocks, state.encodings, 1) <= count


def test_learned_scales_of_values_lower_the_error_of_a_block_with_a_range_too_wide():
    state, context = calibrated("w8a4")
    found = []
    for task in tasks(state, context):
        groups = learnable_groups(state.graph, state.plan, task.block)
        learned = with_learned_steps(
            state, sampler_of(task, 512), context.target, torch.ones(()), count=100
        )
        if not groups:
            assert learned is state
            continue
        found.append(block_error(task, learned) / block_error(task, state))

    assert min(found) < 1.0


def test_scales_of_the_networks_outputs_are_not_learned():
    state, _ = calibrated("w4a4")

    for block in find_blocks(state.graph):
        for group in learnable_groups(state.graph, state.plan, block):
            assert not set(group) & set(state.graph.outputs)
            assert set(group) <= set(block.nodes)
