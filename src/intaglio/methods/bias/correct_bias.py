"""Empirical bias correction: every channel's mean is again what it is in the float network.

    b' = b + E[W x] - E[W^q x^q]

x is the layer's input in the float network, x^q the twin's behind layers that are corrected
already. Rounding errors of a few weights shift a channel's mean; on MobileNets that shift, not
noise, is most of what 8-bit weights lose. Source: Nagel et al. 2019 (arXiv:1906.04721), section 4.2
and appendix D, there per layer with expectations from batch norms; here from images, and before the
activation, in closed form (channel_means.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from intaglio.methods.bias.channel_means import mean_image, result_means
from intaglio.methods.steps.paired_walk import Layer, Tuned, tune_layers
from intaglio.methods.steps.state import Context, Quantized
from intaglio.methods.steps.steps import NUMBERS, register_step
from intaglio.numerics.affine import fake_quantize


def corrected_bias(layer: Layer, quantized: Tensor) -> Tensor:
    """Return the bias, [C_out] float32, that gives each channel its float mean.

    A channel whose corrected bias would leave int32's safe half keeps its own.

    Args:
        layer: The layer and its inputs.
        quantized: Its weight after rounding, real numbers.
    """
    floats = mean_image(layer.floats)
    integers = (
        mean_image(piece.float() for piece in layer.integers) - layer.zero
    ) * layer.input_scale.double()
    wanted = result_means(layer.node, floats, layer.weight, layer.bias)
    found = result_means(layer.node, integers, quantized, layer.bias)
    corrected = layer.bias.double() + wanted - found
    step = (layer.input_scale * layer.params.scale).double()
    fits = (corrected / step).abs() < layer.target.bias_limit(layer.params.spec.bits)
    return corrected.where(fits, layer.bias.double()).float()


@register_step("correct-bias", NUMBERS)
@dataclass(frozen=True)
class CorrectBias:
    """Empirical bias correction, layer by layer, of the weights as they are rounded now."""

    def __call__(self, state: Quantized, context: Context) -> Quantized:
        """Return the state with corrected biases."""

        def tuner(layer: Layer) -> Tuned:
            """Return the weight as the state holds it, and its corrected bias."""
            weight = state.graph.param(state.graph[layer.node.name], "weight")
            quantized = fake_quantize(weight, layer.params)
            return Tuned(weight, corrected_bias(layer, quantized), layer.params)

        return tune_layers(state, context, tuner)
