"""Quantization schemes by name: how many bits weights and activations get.

    w8a8  w4a8  w2a8  mixed              files hold those that their target names
    w4a4  w3a3  w8a4  w2a4  ...          simulated for a target that names them not: the twin alone
                                         runs them
    fp16                                 a float format: weights in float16, float32 arithmetic

Any of them but fp16 may end in "-per-tensor": one scale for a whole weight, instead of one for each
output channel. All of them quantize every value, as a device does. Those that papers on networks
without data compare themselves in do not, and are simulated in float32:

    w4a4-academic    weights of all layers; values behind a ReLU, each on one grid (the lineage of
                     ZeroQ, GDFQ and ZAQ: image, sums before a ReLU and pooled features stay float)
    w4a4-squant      weights of all layers; what layers with weights read, but for the image, 8 bits
                     for the last one; branches that pass a layer by stay float
    w4a4-genie       values as in academic, and what the last layer reads; 8 bits for the weights of
                     the first and the last layer, and for what the second and the last one read
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from intaglio.errors import UnknownName

PER_TENSOR = "-per-tensor"
HALF = "fp16"
WIDTH = "[2-9]|1[0-6]"
DEPLOYABLE = "deployable"
ACADEMIC, SQUANT, GENIE = PUBLISHED = ("academic", "squant", "genie")
"""Of which values have a grid, by the papers' codes."""
PATTERN = re.compile(
    rf"(?:w({WIDTH})a({WIDTH})|mixed)(?:{PER_TENSOR})?|w({WIDTH})a({WIDTH})-({'|'.join(PUBLISHED)})"
)


@dataclass(frozen=True)
class Scheme:
    """How a network is to be quantized, before its layers are looked at.

    Attributes:
        name: As on the command line.
        weight_bits: 2..16; 8 in a mixed scheme, where layers get fewer one by one. In a float
            format: of its floats.
        activation_bits: 2..16; 32 in a float format.
        per_channel: Whether a weight has a scale for each output channel, or one for all.
        mixed: Whether the weights' bits are chosen layer by layer.
        is_half: Whether weights are float16 and nothing is an integer.
        coverage: Which values have a grid: DEPLOYABLE, all of them, or one of PUBLISHED.
    """

    name: str
    weight_bits: int
    activation_bits: int
    per_channel: bool = True
    mixed: bool = False
    is_half: bool = False
    coverage: str = DEPLOYABLE

    @property
    def bits_name(self) -> str:
        """The name without the word for one scale a weight: "w4a8", "mixed"."""
        return self.name.removesuffix(PER_TENSOR)


def parse_scheme(text: str) -> Scheme:
    """Return the scheme of a name: "w4a8", "w3a3-per-tensor", "mixed", "fp16".

    Raises:
        UnknownName: If the text names none; says what names look like.
    """
    if text == HALF:
        return Scheme(HALF, weight_bits=16, activation_bits=32, is_half=True)
    found = PATTERN.fullmatch(text)
    if found is None:
        raise UnknownName(
            f"unknown scheme '{text}': a scheme is w<bits>a<bits>, with 2 to 16 bits for weights"
            f" and for activations (w8a8, w4a8), or mixed; '{PER_TENSOR}' may follow; or {HALF};"
            f" or, as papers simulate it, w<bits>a<bits>- and one of {', '.join(PUBLISHED)}"
        )
    weight_bits, activation_bits, weight_published, activation_published, coverage = found.groups()
    return Scheme(
        name=text,
        weight_bits=int(weight_bits or weight_published or 8),
        activation_bits=int(activation_bits or activation_published or 8),
        per_channel=not text.endswith(PER_TENSOR),
        mixed=text.startswith("mixed"),
        coverage=coverage or DEPLOYABLE,
    )
