"""QDrop: learned rounding that meets values rounded and unrounded (Wei et al. 2022, 2203.05740)."""

from __future__ import annotations

from dataclasses import dataclass

from intaglio.methods.blocks.brecq import Brecq, reconstruct_by
from intaglio.methods.steps.state import Context, Quantized
from intaglio.methods.steps.steps import NUMBERS, register_step


@register_step("qdrop", NUMBERS)
@dataclass(frozen=True)
class Qdrop(Brecq):
    """BRECQ in which each element of a value is rounded with a probability, in training only.

    Attributes:
        quantized_share: That probability; block inputs mix the twin's and the float network's.
    """

    quantized_share: float = 0.5

    def __call__(self, state: Quantized, context: Context) -> Quantized:
        """Return the state with learned integers, biases and, if asked for, scales of values."""
        return reconstruct_by(self, state, context, quantized_share=self.quantized_share)
