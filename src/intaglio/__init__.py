"""intaglio: what you measure in Python is what the phone computes, to the bit.

result = intaglio.compress(model, example_input, data=images)
result.save("out/")                  # model.tflite, report.html, report.json, ...
result.twin(images)                  # integer-only arithmetic, equal to model.tflite bit for bit
again = intaglio.load("out/")
"""

from importlib import import_module
from typing import TYPE_CHECKING

from intaglio.errors import (
    CaptureError,
    DataError,
    GraphError,
    IntaglioError,
    MismatchError,
    NonFiniteError,
    OutputError,
    PartnerLost,
    RangeError,
    RequestError,
    SpecError,
    UnknownName,
    UnsupportedByTarget,
    UnsupportedLayers,
    Untraceable,
    WeightsError,
)

if TYPE_CHECKING:
    from intaglio import zoo
    from intaglio.doctor import diagnose, inspect
    from intaglio.ir.graph import Graph
    from intaglio.job.compress import compress
    from intaglio.job.operated import SurgeryResult
    from intaglio.job.result import Result, load
    from intaglio.job.surgery import surgery
    from intaglio.job.train import train
    from intaglio.job.trained import TrainResult
    from intaglio.job.training import TrainRun
    from intaglio.methods import Context, State, Step, register_step
    from intaglio.methods.learn.options import TrainOptions
    from intaglio.numerics.encodings import Encodings
    from intaglio.numerics.spec import QuantParams, QuantSpec
    from intaglio.read.module.export import capture
    from intaglio.read.source import read
    from intaglio.recipe.options import Options, Provenance
    from intaglio.recipe.recipe import Recipe
    from intaglio.report.record import Report
    from intaglio.run.fake import Deployment, trainable
    from intaglio.run.float import run_float
    from intaglio.run.twin import build_twin
    from intaglio.runtimes import TARGETS
    from intaglio.store.weights import load_weights
    from intaglio.targets.target import Target
    from intaglio.tasks import evaluate

__all__ = [
    "TARGETS",
    "CaptureError",
    "Context",
    "DataError",
    "Deployment",
    "Encodings",
    "Graph",
    "GraphError",
    "IntaglioError",
    "MismatchError",
    "NonFiniteError",
    "Options",
    "OutputError",
    "PartnerLost",
    "Provenance",
    "QuantParams",
    "QuantSpec",
    "RangeError",
    "Recipe",
    "Report",
    "RequestError",
    "Result",
    "SpecError",
    "State",
    "Step",
    "SurgeryResult",
    "Target",
    "TrainOptions",
    "TrainResult",
    "TrainRun",
    "UnknownName",
    "UnsupportedByTarget",
    "UnsupportedLayers",
    "Untraceable",
    "WeightsError",
    "build_twin",
    "capture",
    "compress",
    "diagnose",
    "evaluate",
    "inspect",
    "load",
    "load_weights",
    "read",
    "register_step",
    "run_float",
    "surgery",
    "train",
    "trainable",
    "zoo",
]

_MODULES = {
    "Context": "intaglio.methods",
    "Deployment": "intaglio.run.fake",
    "Encodings": "intaglio.numerics.encodings",
    "Graph": "intaglio.ir.graph",
    "Options": "intaglio.recipe.options",
    "Provenance": "intaglio.recipe.options",
    "QuantParams": "intaglio.numerics.spec",
    "QuantSpec": "intaglio.numerics.spec",
    "Recipe": "intaglio.recipe.recipe",
    "Report": "intaglio.report.record",
    "Result": "intaglio.job.result",
    "State": "intaglio.methods",
    "Step": "intaglio.methods",
    "SurgeryResult": "intaglio.job.operated",
    "TARGETS": "intaglio.runtimes",
    "Target": "intaglio.targets.target",
    "TrainOptions": "intaglio.methods.learn.options",
    "TrainResult": "intaglio.job.trained",
    "TrainRun": "intaglio.job.training",
    "build_twin": "intaglio.run.twin",
    "capture": "intaglio.read.module.export",
    "compress": "intaglio.job.compress",
    "diagnose": "intaglio.doctor",
    "evaluate": "intaglio.tasks",
    "inspect": "intaglio.doctor",
    "load": "intaglio.job.result",
    "load_weights": "intaglio.store.weights",
    "read": "intaglio.read",
    "register_step": "intaglio.methods",
    "run_float": "intaglio.run.float",
    "surgery": "intaglio.job.surgery",
    "train": "intaglio.job.train",
    "trainable": "intaglio.run.fake",
    "zoo": "intaglio.zoo",
}
"""Public name to the module that brings it; tables come from what fills them."""

if not TYPE_CHECKING:  # a type checker sees the imports above, and that there is nothing else

    def __getattr__(name: str) -> object:
        """Return what a public name stands for; its module is imported when it is first asked for.

        Whatever is imported of the package imports this file first: with torch in it, the command
        line could not answer anything at once.

        Raises:
            AttributeError: If it is no public name.
        """
        if name not in _MODULES:
            raise AttributeError(f"module 'intaglio' has no attribute '{name}'")
        module = import_module(_MODULES[name])
        is_module = _MODULES[name] == f"{__name__}.{name}"
        found = globals()[name] = module if is_module else getattr(module, name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
