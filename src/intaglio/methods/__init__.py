"""Post-training methods. Importing it fills the table of steps."""

from intaglio.methods.bias import correct_bias, correct_bias_analytic
from intaglio.methods.bits import search_bits
from intaglio.methods.blocks import brecq, qdrop
from intaglio.methods.rounding import adaround, second_order
from intaglio.methods.steps.state import Context, State, Step
from intaglio.methods.steps.steps import STEPS, make_step
from intaglio.methods.structure import steps as structure

__all__ = [
    "STEPS",
    "Context",
    "State",
    "Step",
    "adaround",
    "brecq",
    "correct_bias",
    "correct_bias_analytic",
    "make_step",
    "qdrop",
    "search_bits",
    "second_order",
    "structure",
]
