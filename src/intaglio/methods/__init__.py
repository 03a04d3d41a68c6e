"""Methods, post-training and training. Importing it fills the table of steps."""

from intaglio.methods.bias import correct_bias, correct_bias_analytic
from intaglio.methods.bits import search_bits
from intaglio.methods.blocks import brecq, qdrop
from intaglio.methods.datafree import gdfq, zaq
from intaglio.methods.rounding import adaround, implied_second_order, second_order, squant
from intaglio.methods.steps.state import (
    Context,
    NumbersStep,
    Prepared,
    Quantized,
    State,
    Step,
    StructureStep,
)
from intaglio.methods.steps.steps import STEPS, make_step, register_step
from intaglio.methods.structure import steps as structure
from intaglio.methods.train import step as train

__all__ = [
    "STEPS",
    "Context",
    "NumbersStep",
    "Prepared",
    "Quantized",
    "State",
    "Step",
    "StructureStep",
    "adaround",
    "brecq",
    "correct_bias",
    "correct_bias_analytic",
    "gdfq",
    "implied_second_order",
    "make_step",
    "qdrop",
    "register_step",
    "search_bits",
    "second_order",
    "squant",
    "structure",
    "train",
    "zaq",
]
