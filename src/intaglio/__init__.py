"""intaglio: what you measure in Python is what the phone computes, to the bit.

result = intaglio.compress(model, example_input, data=images)
result.save("out/")                  # model.tflite, report.html, report.json, ...
result.twin(images)                  # integer-only arithmetic, equal to model.tflite bit for bit
again = intaglio.load("out/")
"""

from intaglio import zoo
from intaglio.capture import capture
from intaglio.numerics.encodings import Encodings
from intaglio.options import Options, Provenance
from intaglio.pipeline import compress
from intaglio.report.record import Report
from intaglio.result import Result, load

__all__ = [
    "Encodings",
    "Options",
    "Provenance",
    "Report",
    "Result",
    "capture",
    "compress",
    "load",
    "zoo",
]
