"""The runtimes that intaglio writes for. Importing this package fills the table of targets."""

from intaglio.runtimes.litert.litert import LITERT
from intaglio.runtimes.litert.litert_reference import LITERT_REFERENCE
from intaglio.targets.target import TARGETS

__all__ = ["LITERT", "LITERT_REFERENCE", "TARGETS"]
