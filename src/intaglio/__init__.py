"""intaglio: what you measure in Python is what the phone computes, to the bit.

result = intaglio.compress(model, example_input, data=images)
result.save("out/")                  # model.tflite, report.html, report.json, ...
result.twin(images)                  # integer-only arithmetic, equal to model.tflite bit for bit
again = intaglio.load("out/")
"""

from intaglio import zoo
from intaglio.job.compress import compress
from intaglio.job.result import Result, load
from intaglio.numerics.encodings import Encodings
from intaglio.read.module.export import capture
from intaglio.recipe.options import Options, Provenance
from intaglio.report.record import Report

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
