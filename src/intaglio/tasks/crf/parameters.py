"""What a dense conditional random field is told: how far, and how strongly, pixels agree."""

from __future__ import annotations

import math
from dataclasses import dataclass

from intaglio.errors import RequestError

Compatibility = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Crf:
    """The parameters of a dense conditional random field and of its inference.

    Two pixels at p_i, p_j with colours I_i, I_j that have different classes cost, before each of
    the two kernels is normalised (see `mean_field`),

        gaussian_weight  exp(-|p_i - p_j|² / 2 gaussian_xy²)
      + bilateral_weight exp(-|p_i - p_j|² / 2 bilateral_xy² - |I_i - I_j|² / 2 bilateral_rgb²)

    Source: Krähenbühl and Koltun 2011 (arXiv:1210.5644), equation 3.

    Attributes:
        gaussian_weight, bilateral_weight: >= 0, in nats; 0 leaves the kernel out.
        gaussian_xy, bilateral_xy: Pixels, > 0.
        bilateral_rgb: Of 0..255, > 0.
        iterations: Of mean field, at least 1.
        compatibility: [C][C], what class a beside class b costs, as a share of the weights; it is
            symmetric. None is Potts' model: 1 where they differ, else 0.
        damping: 0..1, without 1: how much of the last beliefs stays in each iteration.
    """

    gaussian_weight: float
    gaussian_xy: float
    bilateral_weight: float
    bilateral_xy: float
    bilateral_rgb: float
    iterations: int = 10
    compatibility: Compatibility | None = None
    damping: float = 0.0

    def __post_init__(self) -> None:
        for name in ("gaussian_weight", "bilateral_weight"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise RequestError(f"crf: {name} = {value:g}: a weight is finite and at least 0")
        for name in ("gaussian_xy", "bilateral_xy", "bilateral_rgb"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise RequestError(f"crf: {name} = {value:g}: a width is finite and above 0")
        if self.iterations < 1:
            raise RequestError(f"crf: iterations = {self.iterations}: at least 1 is needed")
        if not 0 <= self.damping < 1:
            raise RequestError(f"crf: damping = {self.damping:g}: it is from 0 to below 1")
        if self.compatibility is not None:
            _check_compatibility(self.compatibility)


def _check_compatibility(rows: Compatibility) -> None:
    if not rows or any(len(row) != len(rows) for row in rows):
        lengths = [len(row) for row in rows]
        raise RequestError(f"crf: compatibility has rows of {lengths}: [classes, classes] is meant")
    for a, row in enumerate(rows):
        for b, value in enumerate(row):
            if not math.isfinite(value) or value != rows[b][a]:
                raise RequestError(
                    f"crf: compatibility[{a}][{b}] = {value:g}: costs are finite, and the same"
                    f" from {a} to {b} and back"
                )


DEEPLAB_VOC = Crf(
    gaussian_weight=3, gaussian_xy=3, bilateral_weight=4, bilateral_xy=67, bilateral_rgb=3
)
"""As published with DeepLab's models of VOC 2012 (Chen et al. 2015, arXiv:1412.7062)."""

WRAPPER = Crf(
    gaussian_weight=3,
    gaussian_xy=3,
    bilateral_weight=10,
    bilateral_xy=80,
    bilateral_rgb=13,
    iterations=5,
)
"""As the examples of the customary Python wrapper have it."""
