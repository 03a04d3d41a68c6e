"""BRECQ: learned rounding, block by block (Li et al. 2021, arXiv:2102.05426)."""

from __future__ import annotations

from dataclasses import dataclass

from intaglio.methods.blocks.fisher import channel_importance
from intaglio.methods.blocks.reconstruct import Reconstruction, reconstruct
from intaglio.methods.steps.state import Context, Quantized
from intaglio.methods.steps.steps import NUMBERS, register_step


@register_step("brecq", NUMBERS)
@dataclass(frozen=True)
class Brecq:
    """Block-wise reconstruction with learned rounding, from the integers that weights have now.

    Attributes:
        steps, positions, learning_rate, regulariser, warm_up, reach: See `Reconstruction`.
        fisher: Whether channels count by their Fisher information, or all the same.
        learn_steps: Whether scales of values are learned afterwards.
        step_size_steps: Training steps for that.
    """

    steps: int = 200
    positions: int = 1024
    learning_rate: float = 0.05
    regulariser: float = 10.0
    warm_up: float = 0.2
    reach: float = 0.05
    fisher: bool = False
    learn_steps: bool = False
    step_size_steps: int = 100

    def __call__(self, state: Quantized, context: Context) -> Quantized:
        """Return the state with learned integers, biases and, if asked for, scales of values."""
        return reconstruct_by(self, state, context, quantized_share=1.0)


def reconstruct_by(
    step: Brecq, state: Quantized, context: Context, *, quantized_share: float
) -> Quantized:
    """Return the state after the engine ran with a step's settings."""
    settings = Reconstruction(
        steps=step.steps,
        positions=step.positions,
        learning_rate=step.learning_rate,
        regulariser=step.regulariser,
        warm_up=step.warm_up,
        reach=step.reach,
        quantized_share=quantized_share,
        step_size_steps=step.step_size_steps if step.learn_steps else 0,
    )
    importance = channel_importance(state.reference, context) if step.fisher else None
    return reconstruct(state, context, settings, importance)
