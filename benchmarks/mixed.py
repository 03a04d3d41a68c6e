"""Mixed precision: the size of the file against accuracy, bits of each layer found by the search.

    python -m benchmarks.mixed

MobileNetV2, 8, 4 or 2 bits for each weight by `allocate-bits`, rounded by `round-second-order`,
1000 unlabelled images of calib.csv, judged on judge.csv (n = 1150) against the same float network.
The harms of the layers are measured once for a draw of images and used for every size, as
`allocate-bits` would measure them again.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.ladder import ALL, DEAD, JUDGED
from benchmarks.measured import Place, judged, judged_at, lowered, written
from benchmarks.networks import V2
from benchmarks.places import write_result
from intaglio.job.quantize import quantize_network
from intaglio.job.recorder import Recorder
from intaglio.methods.bits.search_bits import Harms, chosen_bits, with_bits
from intaglio.methods.bits.sensitivity import layer_sensitivity, possible_bits
from intaglio.methods.rounding.second_order import RoundSecondOrder
from intaglio.methods.steps.state import Context, Quantized
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import Recipe
from intaglio.recipe.settings import settle
from intaglio.run.twin import build_twin

IMAGES = 1000
ASKED_BYTES = 2_050_000
CURVE_BYTES = (2_400_000, 1_500_000, 3_000_000, 1_750_000)
METADATA_BYTES = 3_000
"""Left free for what a command line run adds: class count, preprocessing."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A calibrated network, not rounded yet, and the harm of each layer at each of its bits."""

    state: Quantized
    harms: Harms
    context: Context
    seconds: float


def main() -> None:
    """Measure every row, write benchmarks/results/mixed.json."""
    place = judged_at(V2, JUDGED)
    rows = []
    for seed in ALL:
        images = torch.cat(list(V2.images(V2.calibration, IMAGES, seed)))
        found = measured_harms(place, images, seed)
        for size in (ASKED_BYTES, *(CURVE_BYTES if seed == 0 else ())):
            rows.append(row_at(size, found, place))
            print(json.dumps(rows[-1]), flush=True)
            write_result("mixed", "python -m benchmarks.mixed", rows)


def measured_harms(place: Place, images: Tensor, seed: int) -> Measured:
    """Return the network calibrated at 8 bits, and what fewer bits do to each layer."""
    settings = settle(Recipe(name="folded", steps=[DEAD]), None, Options(seed=seed))
    prepared = lowered(place.captured)
    state = quantize_network(prepared, settings, images, Recorder(), device="cpu").state
    context = Context(images, settings.target, seed)
    options = possible_bits(state.graph, state.encodings, (8, 4, 2), context.target)
    began = time.perf_counter()
    harms = layer_sensitivity(state.reference, state.encodings, context, options=options)
    return Measured(state, harms, context, time.perf_counter() - began)


def row_at(size_bytes: int, found: Measured, place: Place) -> dict[str, Any]:
    """Choose bits for a size, round, judge, write and check."""
    context = found.context
    began = time.perf_counter()
    target = context.target
    size = size_bytes - METADATA_BYTES
    bits = chosen_bits(found.state.graph, found.harms, size, target=target)
    state = RoundSecondOrder()(with_bits(found.state, bits, target), context)
    seconds = time.perf_counter() - began
    twin = build_twin(state.graph, state.encodings, context.target)
    layers = Counter(bits.values())
    return {
        "model": V2.model,
        "asked_bytes": size_bytes,
        "layers_at_8_4_2": [layers[8], layers[4], layers[2]],
        "images": len(context.tuning_images),
        "seed": context.seed,
        **judged(twin, place),
        "search_seconds": round(found.seconds, 1),
        "round_seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
        **written(state, twin, place),
    }


if __name__ == "__main__":
    main()
