"""The runtimes that intaglio writes for. Importing this package fills the table of targets."""

from intaglio.runtimes.litert.targets import LITERT, LITERT_REFERENCE
from intaglio.runtimes.simulation import SIMULATION
from intaglio.targets.target import TARGETS

__all__ = ["DEFAULT_TARGET", "LITERT", "LITERT_REFERENCE", "SIMULATION", "TARGETS"]

DEFAULT_TARGET = LITERT.name
