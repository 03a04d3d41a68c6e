"""LiteRT's reference kernels: what microcontrollers and conformance tests follow."""

from intaglio.targets.target import PACKED_SCHEMES, TARGETS, Target

LITERT_REFERENCE = TARGETS.register("litert-reference")(
    Target(
        name="litert-reference",
        runtime="ai-edge-litert 2.3.0 (reference kernels)",
        arithmetic="reference",
        description="LiteRT's reference kernels (BUILTIN_REF)",
        schemes=PACKED_SCHEMES,
        delegated=False,
    )
)
