"""Choosing ranges, scales and zero points. Importing it fills the table of calibrators."""

from intaglio.calibrate import minmax, moving_average
from intaglio.calibrate.calibrator import CALIBRATORS, Calibrator
from intaglio.calibrate.encodings import choose_encodings, trial_encodings
from intaglio.calibrate.loop import observe_ranges
from intaglio.calibrate.plan import Plan, make_plan

__all__ = [
    "CALIBRATORS",
    "Calibrator",
    "Plan",
    "choose_encodings",
    "make_plan",
    "minmax",
    "moving_average",
    "observe_ranges",
    "trial_encodings",
]
