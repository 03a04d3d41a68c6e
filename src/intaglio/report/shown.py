"""What a task tells of an evaluation beside its figures."""

from __future__ import annotations

from dataclasses import dataclass

from intaglio.report.detection import Detection
from intaglio.report.section import Section
from intaglio.report.segmentation import Segmentation


@dataclass(frozen=True, eq=False)
class Shown:
    """What came out, beside figures; most tasks have nothing of it.

    Attributes:
        detection: Numbers that report.json holds.
        sections: What the page alone shows, and only that of this very run: pictures and curves.
        segmentation: Numbers that report.json holds.
    """

    detection: Detection | None = None
    sections: tuple[Section, ...] = ()
    segmentation: Segmentation | None = None


NOTHING = Shown()
