"""AdaRound: learned rounding, layer by layer (Nagel et al. 2020, arXiv:2004.10568).

For each layer behind the final ones before it, with rows x^q of its input in the twin and x in the
float network (one row for each output position),

    minimize  E[ (f(W^q (x^q - m^q) + c) - f(W x + b))^2 ] / e  +  regulariser * undecidedness(V)

m^q is the mean row and c = W m + b the float network's mean result: the bias is corrected
afterwards (correct_bias.py), and training sees the layer much as it will be then. f is the layer's
fused clamp, or nothing. A step draws rows, not images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from intaglio.ir.graph import Node
from intaglio.methods.bias.correct_bias import corrected_bias
from intaglio.methods.rounding.input_moments import input_moments
from intaglio.methods.rounding.second_order import RoundSecondOrder
from intaglio.methods.rounding.soft_rounding import SoftWeight, soft_weight, spread_scale
from intaglio.methods.rounding.train_rounding import Training, judged_count, train
from intaglio.methods.steps.layer_rows import row_drawer, row_groups
from intaglio.methods.steps.paired_walk import Layer, Tuned, tune_layers
from intaglio.methods.steps.state import Context, Quantized
from intaglio.methods.steps.steps import NUMBERS, register_step
from intaglio.numerics.affine import centered_integers, fake_quantize
from intaglio.numerics.spec import QuantParams
from intaglio.ops.convolution import copies_values
from intaglio.ops.schema import activate

MOST_ROWS = 32_768
"""Rows of a layer that are held; fewer where they would not fit the memory."""
SHARE_OF_MEMORY = 8

Start = Literal["nearest", "second-order", "current"]


@dataclass(frozen=True, eq=False)
class Rows:
    """What a layer multiplies its weight with, and what should come of it.

    Attributes:
        inputs: Rows of the twin's input minus their mean, [G, P, K].
        means: The float network's mean result before the activation, [G, 1, R].
        targets: The float network's result behind the activation, [G, P, R].
        activation: The clamp f, or None.
    """

    inputs: Tensor
    means: Tensor
    targets: Tensor
    activation: tuple[float, float] | None

    @property
    def judged(self) -> slice:
        """The rows that a weight is judged on; they are of the last images."""
        count = self.inputs.shape[1]
        return slice(count - judged_count(count), count)

    @property
    def learned_from(self) -> slice:
        """The rows that a weight learns from."""
        return slice(0, self.judged.start or self.judged.stop)

    def error(self, weight: Tensor, chosen: Tensor | slice) -> Tensor:
        """Return the mean squared error of some rows, [], for a weight [G, R, K]."""
        result = torch.baddbmm(self.means, self.inputs[:, chosen], weight.mT)
        return (activate(result, self.activation) - self.targets[:, chosen]).square().mean()


@register_step("adaround", NUMBERS)
@dataclass(frozen=True)
class AdaRound:
    """Learned rounding, layer by layer, then each layer's bias.

    Attributes:
        steps: Training steps for each layer.
        rows: Rows, drawn anew, in each step.
        learning_rate: Of Adam, for V.
        regulariser: Weight of undecidedness beside the relative error.
        warm_up: Share of the steps before the regulariser sets in.
        reach: See `soft_weight`.
        start: Integers to start from: nearest to the float weight, second-order rounding's, or
            those that the layer has.
        with_activation: Whether errors count behind the layer's fused clamp.
    """

    steps: int = 300
    rows: int = 512
    learning_rate: float = 0.05
    regulariser: float = 10.0
    warm_up: float = 0.2
    reach: float = 0.1
    start: Start = "second-order"
    with_activation: bool = True

    def __call__(self, state: Quantized, context: Context) -> Quantized:
        """Return the state with learned integers and corrected biases."""
        generator = torch.Generator().manual_seed(context.seed)

        def tuner(layer: Layer) -> Tuned:
            """Return learned integers, or those held where none can be learned, and their bias."""
            node = state.graph[layer.node.name]
            held = fake_quantize(state.graph.param(node, "weight"), layer.params)
            found = Tuned(held, layer.bias, layer.params)
            if node.op != "conv_transpose2d" and not copies_values(state.reference, layer.node):
                found = self.tuned(layer, held, context.memory_mb, generator)
            settled = replace(layer, params=found.params)
            return replace(found, bias=corrected_bias(settled, found.weight, generator))

        return tune_layers(state, context, tuner)

    def tuned(
        self, layer: Layer, held: Tensor, memory_mb: int, generator: torch.Generator
    ) -> Tuned:
        """Return the best of what the layer holds, where training starts, and what it learns."""
        most = int(memory_mb * 1e6 / SHARE_OF_MEMORY)
        rows = layer_rows(layer, most, generator, with_activation=self.with_activation)
        weight, params = self._started(layer, held, generator)
        candidates = [(held, layer.params), (weight, params)]
        shape = (rows.inputs.shape[0], -1, rows.inputs.shape[2])
        errors = [float(rows.error(one.reshape(shape), rows.judged)) for one, _ in candidates]
        if min(errors) > 0.0 and self.steps:
            learned = self._learned(layer, (weight, params), rows, generator)
            candidates.append((learned, params))
            errors.append(float(rows.error(learned.reshape(shape), rows.judged)))
        best, grid = candidates[errors.index(min(errors))]
        return Tuned(best, layer.bias, grid)

    def _started(
        self, layer: Layer, held: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, QuantParams]:
        if self.start == "nearest":
            return fake_quantize(layer.weight, layer.params), layer.params
        if self.start == "current":
            return held, layer.params
        return RoundSecondOrder().rounded(layer, input_moments(layer, generator))

    def _learned(
        self,
        layer: Layer,
        start: tuple[Tensor, QuantParams],
        rows: Rows,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the learned weight as real numbers on the grid."""
        weight, params = start
        scale = spread_scale(params, weight.ndim)
        integers = centered_integers(weight, params)
        soft = soft_weight(layer.weight / scale, integers, params, reach=self.reach)
        shape = (rows.inputs.shape[0], -1, rows.inputs.shape[2])  # [G, R, K]
        spread = scale.expand(weight.shape).reshape(shape)
        shaped = SoftWeight(soft.base.reshape(shape), soft.logits.reshape(shape))
        unit = max(float(rows.error(weight.reshape(shape), rows.learned_from)), 1e-30)

        def error() -> Tensor:
            """Return the error of rows drawn anew, [], in units of the start's."""
            chosen = torch.randint(rows.learned_from.stop, (self.rows,), generator=generator)
            return rows.error(shaped.steps() * spread, chosen) / unit

        training = Training(self.steps, self.learning_rate, self.regulariser, self.warm_up)
        train(training, [shaped.logits], [], error)
        return (shaped.hard() * spread).reshape(weight.shape)


def layer_rows(
    layer: Layer, most_bytes: int, generator: torch.Generator, *, with_activation: bool
) -> Rows:
    """Return rows of a conv2d or linear layer, spread evenly over the images."""
    weight = layer.weight
    groups = row_groups(layer)
    columns = math.prod(weight.shape[1:])
    shaped = weight.reshape(groups, -1, columns)  # [G, R, K]
    numbers = groups * (2 * columns + shaped.shape[1])
    images = sum(len(piece) for piece in layer.floats)
    wished = max(images, min(MOST_ROWS, most_bytes // (4 * numbers)))
    floats, twins = [], []
    for index, piece in enumerate(layer.floats):
        draw = row_drawer(layer, piece, -(-wished // images), generator)
        floats.append(draw(piece))
        twins.append(draw(layer.quantized(index)))
    inputs, originals = torch.cat(twins, 1), torch.cat(floats, 1)
    bias = layer.bias.reshape(groups, 1, -1)
    results = torch.baddbmm(bias, originals, shaped.mT)
    activation = _activation(layer.node) if with_activation else None
    return Rows(
        inputs - inputs.mean(1, keepdim=True),
        results.mean(1, keepdim=True),
        activate(results, activation),
        activation,
    )


def _activation(node: Node) -> tuple[float, float] | None:
    found: tuple[float, float] | None = node.attrs.get("activation")
    return found
