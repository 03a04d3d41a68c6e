"""Block-wise reconstruction: each block's result behind the finished prefix, as near as possible.

The engine of BRECQ (Li et al. 2021, arXiv:2102.05426) and QDrop (Wei et al. 2022,
arXiv:2203.05740). For each block in order

    minimize  E[ m (block(x^q; w) - y)^2 ] / e  +  regulariser * undecidedness(V)

x^q are the twin's values behind the blocks that are final already, y the float network's result, m
the importance of each channel (1, or Fisher information), e the error before, so that settings mean
the same for every block. Weights start from the integers that they have. We differ in that biases
and the scales of weights learn too, and that a block is judged by the twin itself, on images that
it did not learn from: if its error did not fall there, it keeps what it had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from intaglio.errors import UnsupportedByTarget
from intaglio.methods.blocks.block_samples import Sampler
from intaglio.methods.blocks.block_walk import BlockWalk, block_kernels
from intaglio.methods.blocks.blocks import Block, find_blocks
from intaglio.methods.blocks.learn_steps import with_learned_steps
from intaglio.methods.blocks.soft_block import BlockRun, SoftLayer, soft_layers
from intaglio.methods.rounding.train_rounding import Training, judged_count, train
from intaglio.methods.steps.state import Context, Quantized
from intaglio.numerics.encodings import Encodings
from intaglio.run.twin import IMAGES_AT_ONCE, prepare
from intaglio.targets.target import Target


@dataclass(frozen=True)
class Reconstruction:
    """Settings of the engine.

    Attributes:
        steps: Training steps for each block.
        positions: Positions of the block's result in each step.
        learning_rate: Of Adam, for V and for biases in steps of the result.
        regulariser: Weight of undecidedness beside the relative error.
        warm_up: Share of the steps before the regulariser sets in.
        reach: See `soft_weight`. Small: integers that undo each other's errors, such as
            second-order rounding's, lose that when each is moved towards its own real weight.
        quantized_share: How many elements of each value are rounded in training.
        step_size_steps: Training steps for the scales of values, after rounding; 0: none.
    """

    steps: int = 200
    positions: int = 1024
    learning_rate: float = 0.05
    regulariser: float = 10.0
    warm_up: float = 0.2
    reach: float = 0.05
    quantized_share: float = 1.0
    step_size_steps: int = 0


@dataclass(frozen=True, eq=False)
class Task:
    """One block, where it stands.

    Attributes:
        importance: Of each channel of its result, broadcastable, mean 1.
    """

    state: Quantized
    block: Block
    walk: BlockWalk
    importance: Tensor
    generator: torch.Generator

    @property
    def judged(self) -> range:
        """The images that a block is judged on: the last eighth, or all where they are few."""
        count = self.walk.count
        return range(count - judged_count(count, IMAGES_AT_ONCE), count)

    @property
    def learned_from(self) -> int:
        """How many images, from the first, a block learns from."""
        return self.judged.start or self.walk.count


def reconstruct(
    state: Quantized,
    context: Context,
    settings: Reconstruction,
    importance: Mapping[str, Tensor] | None = None,
) -> Quantized:
    """Return the state in which every block was reconstructed behind the ones before it.

    Args:
        importance: Of the channels of some values, by name; 1 for others.
    """
    blocks = find_blocks(state.graph)
    walk = BlockWalk(state.reference, blocks, state.encodings, context)
    generator = torch.Generator().manual_seed(context.seed)
    for index, block in enumerate(blocks):
        walk.advance_floats(block)
        if block.can_be_tuned:
            weights = (importance or {}).get(block.outputs[0], torch.ones(()))
            state = tune_block(Task(state, block, walk, weights, generator), settings)
        walk.advance_integers(block, state.graph, state.encodings)
        walk.release(index)
        context.progress.advance(len(block.nodes))
    return state


def tune_block(task: Task, settings: Reconstruction) -> Quantized:
    """Return the state with the block's weights and biases learned, if that lowers its error."""
    best, least = task.state, block_error(task, task.state)
    if least == 0.0:
        return best
    layers = soft_layers(
        best.reference, best.graph, best.encodings, task.block, reach=settings.reach
    )
    if layers and settings.steps:
        learn_rounding(task, layers, settings, least)
        learned = hardened(best, layers, task.walk.target)
        error = block_error(task, learned)
        if error < least:
            best, least = learned, error
    if settings.step_size_steps:
        sampler = sampler_of(replace(task, state=best), settings.positions)
        learned = with_learned_steps(
            best,
            sampler,
            task.walk.target,
            task.importance,
            count=settings.step_size_steps,
        )
        if block_error(task, learned) < least:
            best = learned
    return best


def learn_rounding(
    task: Task, layers: Mapping[str, SoftLayer], settings: Reconstruction, start: float
) -> None:
    """Train the layers' V, biases and scales in place.

    Args:
        start: The error that counts as 1.
    """
    state = task.state
    sampler = sampler_of(task, settings.positions)
    run = BlockRun(
        state.graph,
        task.block,
        state.encodings,
        layers,
        task.generator,
        {},
        quantized_share=settings.quantized_share,
    )
    unit = max(start, 1e-30)

    def error() -> Tensor:
        """Return the weighted mean squared error of a new sample, [], in units of `start`."""
        sample = sampler.draw()
        return ((run(sample) - sample.target).square() * task.importance).mean() / unit

    training = Training(
        settings.steps, settings.learning_rate, settings.regulariser, settings.warm_up
    )
    logits = [layer.weight.logits for layer in layers.values()]
    others = [layer.shift for layer in layers.values()]
    others += [layer.stretch for layer in layers.values()]
    train(training, logits, others, error)


def sampler_of(task: Task, positions: int) -> Sampler:
    """Return what draws a block's samples, about `positions` of its result in each."""
    state = task.state
    return Sampler(
        state.graph,
        task.block,
        state.encodings,
        task.walk,
        task.learned_from,
        positions,
        task.generator,
    )


def hardened(state: Quantized, layers: Mapping[str, SoftLayer], target: Target) -> Quantized:
    """Return the state with the integers, scales and biases that the layers stand for."""
    graph, encodings = state.graph.copy(), state.encodings
    weights = dict(encodings.weights)
    for name, layer in layers.items():
        node = graph[name]
        limit = target.bias_limit(layer.params.spec.bits)
        grid = encodings.activations.get(node.inputs[0])
        scale = torch.ones(()) if grid is None else grid.scale
        found, weights[name] = layer.hard(scale, limit)
        for role, value in found.items():
            graph.set_param(node, role, value)
    return replace(state.with_graph(graph), encodings=Encodings(encodings.activations, weights))


def block_error(task: Task, state: Quantized) -> float:
    """Return the mean squared error of the block's result in the twin, on the judged images.

    Infinity where the target cannot compute the block, or a layer that reads its result.
    """
    block, walk, result = task.block, task.walk, task.block.outputs[0]
    graph, grids = state.graph, state.encodings.activations
    try:
        kernels = block_kernels(block, graph, state.encodings, walk.target)
        for node in graph.readers(result):
            prepare(graph, node, state.encodings, walk.target)
    except UnsupportedByTarget:
        return float("inf")
    total, count = 0.0, 0
    judged = task.judged
    for begin in range(judged.start, judged.stop, IMAGES_AT_ONCE):
        part = slice(begin, min(begin + IMAGES_AT_ONCE, judged.stop))
        made = walk.run_integers(block, graph, kernels, grids, part)[result]
        grid = grids.get(result)
        real = made if grid is None else made.float() * grid.scale
        errors = (real - walk.floats[result][part]).square() * task.importance
        total += float(errors.double().sum())
        count += errors.numel()
    return total / count
