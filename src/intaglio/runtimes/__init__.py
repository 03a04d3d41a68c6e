"""The runtimes that intaglio writes for. Importing this package fills the table of targets."""

from intaglio.runtimes.litert.targets import LITERT, LITERT_REFERENCE
from intaglio.targets.target import TARGETS

__all__ = ["DEFAULT_TARGET", "LITERT", "LITERT_REFERENCE", "TARGETS"]

DEFAULT_TARGET = LITERT.name
