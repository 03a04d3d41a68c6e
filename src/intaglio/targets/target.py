"""A target: a runtime with its name, its version, and what it can hold."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from intaglio.errors import RequestError, UnknownName
from intaglio.numerics.scheme import DEPLOYABLE, PER_TENSOR, Scheme, parse_scheme
from intaglio.registry import Registry
from intaglio.targets.ending import Ending, FileEnding
from intaglio.targets.runtime import Runtime

BESIDE, IN_FILE = "beside", "in-file"
"""Where boxes or classes of pixels come of outputs: in what runs the file, or in the file."""
INT8_SCHEMES = ("w8a8", f"w8a8{PER_TENSOR}")


@dataclass(frozen=True)
class Target(Runtime):
    """One runtime, as users choose it; a runtime's folder fills in the functions.

    Attributes:
        name: As on the command line.
        runtime: Package and version for which bit-exactness is promised.
        description: One line for lists.
        file_name: The network among the files that `write` returns.
        schemes: Quantization schemes that it can hold.
        io_forms: What its files can take and give, the usual form first.
        postprocess_places: Where boxes or classes of pixels can come of outputs, the usual place
            first.
        low_bit_layers: Which layers can have weights of fewer bits than the widest, in words.
        computes_reals: Whether there is no device: values are rounded to grids and are computed
            with in float32.
    """

    name: str
    runtime: str
    description: str
    file_name: str
    schemes: tuple[str, ...] = INT8_SCHEMES
    io_forms: tuple[str, ...] = ("float", "int8")
    postprocess_places: tuple[str, ...] = (BESIDE,)
    low_bit_layers: str = "no layers"
    computes_reals: bool = False

    def device_files(self) -> dict[str, bytes]:
        """Return what runs a detector's files on a device, by name; nothing where there is none."""
        return {}

    def end_misfit(self, post: Ending | None, shapes: Sequence[tuple[int, ...]]) -> str | None:
        """Return why a file cannot end in boxes or classes of pixels; None where it can.

        Args:
            post: What the network's outputs mean; None where nobody knows.
            shapes: Of the outputs, [N, ...] each.
        """
        return f"files of target {self.name} end in the network's outputs"

    def end_differences(self, post: FileEnding) -> tuple[str, ...]:
        """Return how what a file ends in differs from what we make of its outputs, in sentences."""
        return ()

    @property
    def weight_bits(self) -> set[int]:
        """The widths that the weights of some layers can have."""
        return {scheme.weight_bits for scheme in self._integer_schemes}

    @property
    def widest_bits(self) -> int:
        """The most bits that a value or a weight has in a scheme that it can hold."""
        return max(
            max(scheme.weight_bits, scheme.activation_bits) for scheme in self._integer_schemes
        )

    @property
    def widest_scheme(self) -> Scheme:
        """The first scheme in which weights and values have the most bits that it can hold."""
        return max(self._integer_schemes, key=lambda one: min(one.weight_bits, one.activation_bits))

    @property
    def _integer_schemes(self) -> list[Scheme]:
        parsed = map(parse_scheme, self.schemes)
        return [scheme for scheme in parsed if not scheme.is_half]

    def simulates(self, scheme: Scheme) -> bool:
        """Whether the twin alone runs a scheme, which no file of the target holds."""
        return scheme.name not in self.schemes


TARGETS: Registry[Target] = Registry("target", group="intaglio.runtimes")


def runnable_scheme(scheme: str | None, target: Target) -> Scheme:
    """Return a scheme by name, also one that the twin alone runs; None: the target's first.

    Raises:
        UnknownName: If it is none, or has more bits than the target computes with.
    """
    parsed = parse_scheme(target.schemes[0] if scheme is None else scheme)
    if parsed.coverage != DEPLOYABLE and not target.computes_reals:
        raise UnknownName(
            f"scheme '{parsed.name}' leaves values in float between integers, as papers simulate"
            f" it, and target {target.name} runs no such network: leave --target out"
        )
    if max(parsed.weight_bits, parsed.activation_bits) > target.widest_bits or parsed.mixed:
        return known_scheme(scheme, target)
    return parsed


def known_scheme(scheme: str | None, target: Target) -> Scheme:
    """Return a scheme by name that the target holds; None: the target's first.

    Raises:
        UnknownName: If it is none, or one that the target lacks.
    """
    if scheme is None:
        return parse_scheme(target.schemes[0])
    parsed = parse_scheme(scheme)
    if scheme not in target.schemes:
        near = difflib.get_close_matches(scheme, target.schemes, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UnknownName(
            f"scheme '{scheme}' cannot be held by target {target.name}{hint}:"
            f" it takes {', '.join(target.schemes)}"
        )
    return parsed


def integer_scheme(scheme: str | None, target: Target) -> Scheme:
    """Return a scheme of integers by name that the target holds; None: the target's first.

    Raises:
        UnknownName: If it is none, or one that the target lacks.
        RequestError: If it is a float format.
    """
    parsed = known_scheme(scheme, target)
    if parsed.is_half:
        raise RequestError(
            f"scheme '{parsed.name}' has no integers, so that there is nothing to look for that"
            " integers lose; 'intaglio compress' counts what float16 does to every weight"
        )
    return parsed
