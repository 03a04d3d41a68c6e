"""The runtimes that intaglio writes for. Importing this package fills the table of targets."""

from intaglio.runtimes.litert.targets import LITERT, LITERT_REFERENCE
from intaglio.runtimes.simulation import SIMULATION
from intaglio.targets.target import TARGETS, Target

__all__ = [
    "DEFAULT_TARGET",
    "LITERT",
    "LITERT_REFERENCE",
    "SIMULATION",
    "TARGETS",
    "target_named",
]

DEFAULT_TARGET = LITERT.name


def target_named(name: str) -> Target:
    """Return a target by name, or what stands for one in results of schemes of papers.

    Raises:
        UnknownName: If there is none.
    """
    return SIMULATION if name == SIMULATION.name else TARGETS[name]
