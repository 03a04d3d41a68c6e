"""What ails a network that is to be quantized: causes by name, from measurements."""

from intaglio.doctor.diagnose import diagnose, findings_for_report
from intaglio.doctor.finding import CAUSES, Diagnosis, Finding
from intaglio.doctor.inspection import Inspection, inspect

__all__ = [
    "CAUSES",
    "Diagnosis",
    "Finding",
    "Inspection",
    "diagnose",
    "findings_for_report",
    "inspect",
]
