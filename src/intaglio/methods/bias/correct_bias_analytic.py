"""Analytic bias correction: the shift of every channel's mean, from batch-norm statistics alone.

    b' = b - sum_kHkW (W^q - W) E[x]

E[x] of each input channel is the mean of a clipped normal distribution that the batch norm before
it states. Source: Nagel et al. 2019 (arXiv:1906.04721), section 4.2.1. Borders, where zero padding
lowers the mean, are ignored as there. No image is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from intaglio.methods.steps.state import Context, Quantized
from intaglio.methods.steps.steps import NUMBERS, register_step
from intaglio.numerics.affine import fake_quantize
from intaglio.ops import OPS
from intaglio.passes.implied_values import value_moments


@register_step("correct-bias-analytic", NUMBERS, needs=())
@dataclass(frozen=True)
class CorrectBiasAnalytic:
    """Bias correction without data, of every layer whose input's mean batch norms tell."""

    def __call__(self, state: Quantized, context: Context) -> Quantized:
        """Return the state with corrected biases."""
        graph, moments = state.graph.copy(), value_moments(state.reference, state.statistics)
        for name, params in state.encodings.weights.items():
            node = graph[name]
            known = moments.get(node.inputs[0])
            if known is None or node.op == "conv_transpose2d":
                continue
            original = state.reference.param(state.reference[name], "weight").double()
            quantized = fake_quantize(graph.param(node, "weight"), params).double()
            bias = graph.param(node, "bias", torch.zeros(len(original))).double()
            bare = {"activation": None, "padding": (0, 0, 0, 0), "stride": (1, 1)}
            bare |= {"dilation": (1, 1)} if "dilation" in node.attrs else {}
            plain = replace(node, attrs={**node.attrs, **bare})
            shape = (1, -1) if node.op == "linear" else (1, -1, 1, 1)
            size = () if node.op == "linear" else tuple(original.shape[2:])
            constant = known.mean.reshape(shape).expand(1, -1, *size)
            error = {"weight": quantized - original, "bias": torch.zeros_like(bias)}
            shift = OPS[node.op].function(plain, [constant], error).reshape(-1)
            graph.set_param(node, "bias", (bias - shift).float())
        return state.with_graph(graph)
