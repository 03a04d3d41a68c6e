"""LiteRT (TensorFlow Lite) as it runs by default: through the XNNPACK delegate."""

import intaglio.runtimes.litert.ops  # noqa: F401  fills the table of kernels
from intaglio.targets.target import PACKED_SCHEMES, TARGETS, Target

LITERT = TARGETS.register("litert")(
    Target(
        name="litert",
        runtime="ai-edge-litert 2.3.0 (XNNPACK)",
        arithmetic="xnnpack",
        description="LiteRT's default interpreter, x86-64 and 64-bit ARM",
        schemes=PACKED_SCHEMES,
    )
)
