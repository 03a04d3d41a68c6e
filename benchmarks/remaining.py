"""Where the error that is left at 8 bits comes from: one weight, one value at a time.

    python -m benchmarks.remaining

MobileNetV2, w8a8 per channel, ranges by MSE, dead channels folded, 256 images. `error` is the
squared change of the logits relative to their power when one weight is rounded (to second order) or
one value is put on its grid, everything else in float; `sum` adds them up.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from benchmarks.ladder import DEAD
from benchmarks.measured import lowered
from benchmarks.networks import V2
from benchmarks.places import write_result
from intaglio.job.quantize import quantize_network
from intaglio.job.recorder import Recorder
from intaglio.methods.bits.sensitivity import layer_sensitivity, value_sensitivity
from intaglio.methods.steps.state import Context
from intaglio.numerics.scheme import parse_scheme
from intaglio.read.module.export import capture
from intaglio.recipe.recipe import Recipe
from intaglio.recipe.settings import Settings
from intaglio.runtimes import LITERT

IMAGES = 256
SHOWN = 8


def main() -> None:
    """Measure all, write benchmarks/results/remaining.json."""
    module, _, shape = V2.build()
    prepared = lowered(capture(module.eval(), torch.zeros(shape)))
    recipe = Recipe(name="folded", calibrator="mse", steps=[DEAD])
    settings = Settings(
        recipe, LITERT, scheme=parse_scheme("w8a8"), calibrator="mse", io="float", seed=0
    )
    images = torch.cat(list(V2.images(V2.calibration, IMAGES)))
    state = quantize_network(prepared, settings, images, Recorder(), device="cpu").state
    graph, encodings = state.reference, state.encodings
    context = Context(images, LITERT)
    weights = layer_sensitivity(
        graph, encodings, context, options={name: [8] for name in encodings.weights}
    )
    values = value_sensitivity(graph, encodings, context)
    rows = _rows("weight", {name: found[8].error for name, found in weights.items()})
    rows += _rows("value", {name: harm.error for name, harm in values.items()})
    write_result("remaining", "python -m benchmarks.remaining", rows)


def _rows(what: str, errors: dict[str, float]) -> list[dict[str, Any]]:
    worst = sorted(errors.items(), key=lambda item: item[1], reverse=True)[:SHOWN]
    total = sum(errors.values())
    return [
        {
            "what": what,
            "name": name,
            "error": f"{error:.2e}",
            "share": round(error / total, 3),
            "db": round(-10 * math.log10(error), 1),
        }
        for name, error in (("sum", total), *worst)
    ]


if __name__ == "__main__":
    main()
