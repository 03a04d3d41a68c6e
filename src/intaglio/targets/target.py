"""Facts about a runtime: data only."""

from __future__ import annotations

from dataclasses import dataclass

from intaglio.registry import Registry


@dataclass(frozen=True)
class Target:
    """One runtime and the arithmetic of its kernels.

    Attributes:
        name: As on the command line.
        runtime: Package and version for which bit-exactness is promised.
        arithmetic: Which formulas the twin uses: "xnnpack" or "reference".
        description: One line for lists.
        schemes: Quantization schemes that it can hold.
        delegated: Whether every layer must be taken by one delegate partition.
        largest_concat: Most inputs of one concatenation.
    """

    name: str
    runtime: str
    arithmetic: str
    description: str
    schemes: tuple[str, ...] = ("w8a8", "w8a8-per-tensor")
    delegated: bool = True
    largest_concat: int = 5


TARGETS: Registry[Target] = Registry("target")
