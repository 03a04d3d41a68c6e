"""Facts about a runtime: data only."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from intaglio.errors import UnknownName
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
    """

    name: str
    runtime: str
    arithmetic: str
    description: str
    schemes: tuple[str, ...] = ("w8a8", "w8a8-per-tensor")
    delegated: bool = True


TARGETS: Registry[Target] = Registry("target")


def known_scheme(scheme: str, target: Target) -> str:
    """Return the scheme; raise UnknownName where the target does not hold it."""
    if scheme not in target.schemes:
        near = difflib.get_close_matches(scheme, target.schemes, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UnknownName(
            f"scheme '{scheme}' cannot be held by target {target.name}{hint}:"
            f" it takes {' or '.join(target.schemes)}"
        )
    return scheme
