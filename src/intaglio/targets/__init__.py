"""Runtimes that intaglio writes for."""

from intaglio.targets.litert import LITERT
from intaglio.targets.litert_reference import LITERT_REFERENCE
from intaglio.targets.target import TARGETS, Target

__all__ = ["LITERT", "LITERT_REFERENCE", "TARGETS", "Target"]
