"""Post-training methods. Importing it fills the table of steps."""

from intaglio.ptq import (
    adaround,
    brecq,
    correct_bias,
    correct_bias_analytic,
    qdrop,
    search_bits,
    second_order,
    structure,
)
from intaglio.ptq.state import Context, State, Step
from intaglio.ptq.steps import STEPS, make_step

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
