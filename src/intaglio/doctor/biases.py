"""Biases that an int32 cannot hold, and biases whose step is coarser than the output's."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from intaglio.doctor.alone import Change
from intaglio.doctor.case import Case, add_db
from intaglio.doctor.finding import COARSE_BIAS, OVERFLOW, Finding, Treatment

COARSE = 1.0
"""Bias step over the output's step: from here on a bias is off by up to half an output step.

Live channels of the data pack's networks stay below 0.5.
"""

RAISED = (
    "the scale of the weight is raised until the bias fits, which costs its small weights their"
    " bits: make the layer's weights larger or its bias smaller (divide its input's range), or keep"
    " it in float (--keep-float {layer})"
)
FINER = (
    "keep the layer in float (--keep-float {layer}), or bring its weights nearer to each other:"
    " products of its input's and weight's steps are coarser than its output's"
)


def find_overflow(case: Case) -> Iterator[Finding]:
    """Find layers with a bias beyond 2**30 of its steps s_x * s_w, dead channels left out.

    The step is that of the weight's own range, before it is raised for the bias' sake. The harm is
    that of the raised one.
    """
    for layer, step in _natural_steps(case):
        node = case.graph[layer]
        bias = case.graph.param(node, "bias", torch.zeros(len(step))).double().abs()
        used = (case.rows(layer) > 0) & case.live(layer)
        integers = (bias / step).where(used, 0.0)
        limit = case.target.bias_limit(case.plan.weights[layer].bits)
        if float(integers.max()) <= limit:
            continue
        worst, harm = int(integers.argmax()), case.harm_of(layer)
        evidence = add_db(
            {
                "bias_over_step": float(integers.max()),
                "limit": limit,
                "channels_over_the_limit": int((integers > limit).sum()),
                "bias": float(bias[worst]),
                "largest_weight_of_the_channel": float(case.rows(layer)[worst]),
            },
            sqnr_alone_db=harm,
        )
        yield _finding(case, OVERFLOW, layer, evidence, RAISED, harm)


def find_coarse_bias(case: Case) -> Iterator[Finding]:
    """Find layers whose bias step is a whole step of their output or more."""
    for layer, step in _natural_steps(case):
        assert case.encodings is not None
        output = case.encodings.activations.get(layer)
        bias = case.graph.param(case.graph[layer], "bias", torch.zeros(len(step)))
        if output is None or not bias.any():
            continue
        live = case.live(layer) & (case.rows(layer) > 0)
        ratio = (step / output.scale.double()).where(live, 0.0)
        if float(ratio.max()) < COARSE:
            continue
        rounded = (bias.double() / step).round() * step
        harm = case.alone(Change(layer, {"bias": rounded.where(live, bias.double()).float()}))[0]
        if not case.is_heard(harm):
            continue
        worst = int(ratio.argmax())
        evidence = add_db(
            {
                "bias_step_over_output_step": float(ratio.max()),
                "bias_step": float(step[worst]),
                "output_step": float(output.step),
                "channels_that_coarse": int((ratio >= COARSE).sum()),
                "channels": len(step),
            },
            sqnr_alone_db=harm,
        )
        yield _finding(case, COARSE_BIAS, layer, evidence, FINER, harm)


def _natural_steps(case: Case) -> Iterator[tuple[str, Tensor]]:
    """Yield layers with the bias step of each channel, [C_out] float64, no scale raised."""
    if case.encodings is None:
        return
    for layer, spec in case.plan.weights.items():
        node = case.graph[layer]
        if "bias" not in node.params or node.inputs[0] not in case.encodings.activations:
            continue
        rows = case.rows(layer)
        if spec.axis is None:
            rows = rows.where(case.live(layer), 0.0).max().expand(len(rows))
        step = case.encodings.activations[node.inputs[0]].scale.double() * rows.double() / spec.qmax
        yield layer, step.clamp(min=torch.finfo(torch.float64).tiny)


def _finding(
    case: Case, cause: str, layer: str, evidence: dict[str, float | int], remedy: str, harm: float
) -> Finding:
    name = case.layer_name(layer)
    treatment = Treatment(keep_float=(layer,))
    return Finding(cause, name, evidence, remedy.format(layer=name), None, harm, treatment, layer)
