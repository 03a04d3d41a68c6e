"""Choosing ranges, scales and zero points. Importing it fills the table of calibrators."""

from intaglio.calibrate import aciq, entropy, minmax, moving_average, mse, percentile
from intaglio.calibrate.calibrator import CALIBRATORS, Calibrator
from intaglio.calibrate.encodings import choose_encodings, trial_encodings
from intaglio.calibrate.float_tails import unequal_tails
from intaglio.calibrate.half_weights import half_network, layer_counts
from intaglio.calibrate.loop import observe_ranges
from intaglio.calibrate.plan import make_plan
from intaglio.calibrate.weight_bits import low_bit_layers
from intaglio.numerics.plan import Plan

__all__ = [
    "CALIBRATORS",
    "Calibrator",
    "Plan",
    "aciq",
    "choose_encodings",
    "entropy",
    "half_network",
    "layer_counts",
    "low_bit_layers",
    "make_plan",
    "minmax",
    "moving_average",
    "mse",
    "observe_ranges",
    "percentile",
    "trial_encodings",
    "unequal_tails",
]
