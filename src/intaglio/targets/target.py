"""Facts about a runtime: data only."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from intaglio.errors import UnknownName
from intaglio.numerics.scheme import PER_TENSOR, parse_scheme
from intaglio.registry import Registry

INT8_SCHEMES = ("w8a8", f"w8a8{PER_TENSOR}")
PACKED_SCHEMES = tuple(
    scheme + suffix for suffix in ("", PER_TENSOR) for scheme in ("w8a8", "w4a8", "w2a8", "mixed")
)
"""What LiteRT holds: its FULLY_CONNECTED takes int4 and int2 weights."""


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
    schemes: tuple[str, ...] = INT8_SCHEMES
    delegated: bool = True

    @property
    def weight_bits(self) -> set[int]:
        """The widths that the weights of some layers can have."""
        return {parse_scheme(scheme).weight_bits for scheme in self.schemes}


TARGETS: Registry[Target] = Registry("target", group="intaglio.runtimes")


def known_scheme(scheme: str, target: Target) -> str:
    """Return the scheme; raise UnknownName where it is none, or one that the target lacks."""
    parse_scheme(scheme)
    if scheme not in target.schemes:
        near = difflib.get_close_matches(scheme, target.schemes, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UnknownName(
            f"scheme '{scheme}' cannot be held by target {target.name}{hint}:"
            f" it takes {', '.join(target.schemes)}"
        )
    return scheme
