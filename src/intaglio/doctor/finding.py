"""What the doctor says: a cause, the layer, the figures that show it, and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from intaglio.report.parts import Ailment

UNEQUAL = "unequal-channel-ranges"
DEAD = "dead-channels"
OUTLIERS = "outlier-activations"
RELU6 = "relu6-saturation"
HARD_SWISH = "hard-swish-saturation"
SQUEEZE_EXCITE = "squeeze-excite-saturation"
OPERANDS = "unbalanced-operands"
OVERFLOW = "bias-overflow"
COARSE_BIAS = "bias-step-too-coarse"
SHARED = "shared-output-grid"
PREPROCESSING = "wrong-preprocessing"
DATA = "unrepresentative-data"

CAUSES = (
    UNEQUAL,
    DEAD,
    OUTLIERS,
    RELU6,
    HARD_SWISH,
    SQUEEZE_EXCITE,
    OPERANDS,
    OVERFLOW,
    COARSE_BIAS,
    SHARED,
    PREPROCESSING,
    DATA,
)
"""Every name of a cause."""

Figures = dict[str, float | int]
"""What was measured, by name; a key ends in its unit where it has one."""


@dataclass(frozen=True)
class InputChange:
    """What images need to become what the network was trained on: gain * image + offset.

    Attributes:
        gain: Common to all channels.
        offset: One number a channel, or one for all.
        swapped: Whether the first and the last channel change places before that.
    """

    gain: float = 1.0
    offset: tuple[float, ...] = (0.0,)
    swapped: bool = False


@dataclass(frozen=True)
class Treatment:
    """A remedy in the form that a run can be made with.

    Attributes:
        steps: Names of recipe steps.
        calibrator: Of activations; None: as it was.
        keep_float: Layers that stay float32.
        images: What is done to every image; None: nothing.
    """

    steps: tuple[str, ...] = ()
    calibrator: str | None = None
    keep_float: tuple[str, ...] = ()
    images: InputChange | None = None


@dataclass(frozen=True)
class Finding:
    """One cause in one layer.

    Attributes:
        cause: One of CAUSES.
        layer: The layer's name in the user's module.
        evidence: The measurements that show it.
        remedy: What to do, naming the option or the recipe's step.
        points: Points of the task's figure regained by the remedy; None where it was not tried.
        harm_db: What findings are ranked by, the lowest first: SQNR of the network's outputs, in
            dB, where nothing but this ails.
        treatment: The remedy as `apply` tries it; None where there is nothing to try.
        node: Value of the lowered graph that shows it; "" where weights or images do.
    """

    cause: str
    layer: str
    evidence: Figures
    remedy: str
    points: float | None = None
    harm_db: float = field(default=float("inf"), repr=False)
    treatment: Treatment | None = field(default=None, repr=False)
    node: str = field(default="", repr=False)

    def as_ailment(self) -> Ailment:
        """Return what a report says of it; numbers with 6 digits."""
        evidence = {name: _plain(value) for name, value in self.evidence.items()}
        return Ailment(self.cause, self.layer, evidence, self.remedy)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; numbers with 6 digits, points with 2 decimals."""
        plain = asdict(self.as_ailment())
        if self.points is not None:
            plain["points"] = round(self.points, 2)
        return plain


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was found, the worst first."""

    findings: tuple[Finding, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        found = [finding.to_dict() for finding in self.findings]
        return {"healthy": self.healthy, "findings": found}


def ranked(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings by measured harm, the worst first; of equals, the earlier one."""
    return tuple(sorted(findings, key=lambda finding: finding.harm_db))


def _plain(value: float | int) -> float | int:
    return value if isinstance(value, int) else float(f"{value:.6g}")
