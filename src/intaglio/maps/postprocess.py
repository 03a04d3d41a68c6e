"""How a class of each pixel comes of a segmenter's outputs, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Rule = Literal["highest", "threshold", "index"]
Scores = Literal["logits", "probabilities"]
MOST_CLASSES = 255
"""Of a network: a class of a pixel is held in 8 bits, and 255 is none."""


@dataclass(frozen=True)
class MapPostProcess:
    """How a class of each pixel comes of a network's outputs.

    Attributes:
        classes: Of the network, 1..MOST_CLASSES; the background, where there is one, is class 0.
        output: Which output says it, from 0.
        rule: "highest": [N, classes, h, w], the class with the highest score, the first of equal
            ones. "threshold": [N, 1, h, w], class 1 where its probability is above `threshold`,
            else class 0; there are two classes. "index": [N, h, w], the classes themselves.
        scores: What the numbers are: "logits", of which a softmax (for "threshold" a sigmoid) makes
            probabilities, or "probabilities". Without meaning for "index".
        threshold: 0..1.
        names: Of the classes; () where they have none.
    """

    classes: int
    output: int = 0
    rule: Rule = "highest"
    scores: Scores = "logits"
    threshold: float = 0.5
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.classes <= MOST_CLASSES:
            raise ValueError(f"{self.classes} classes: 1 to {MOST_CLASSES} can be told apart")
        if self.output < 0:
            raise ValueError(f"output {self.output}: outputs are counted from 0")
        if self.rule == "threshold" and self.classes != 2:
            raise ValueError(f"a threshold tells 2 classes apart, not {self.classes}")
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"threshold {self.threshold:g}: a probability is within 0..1")
        if self.names and len(self.names) != self.classes:
            raise ValueError(f"{len(self.names)} names of {self.classes} classes")

    @property
    def channels(self) -> int:
        """How many channels the output has; 0 where it has no such axis."""
        return {"highest": self.classes, "threshold": 1, "index": 0}[self.rule]
