"""False alarms of the doctor: what it says of sound networks on right images.

    python -m benchmarks.doctor sound

Thirty networks with random weights and right statistics (benchmarks/sound_networks.py), and the
data pack's networks with real weights, on 8, 32 and 128 right images of several draws, w8a8. A row
a network, number of images and draw, written as it ends; what the file has already is not measured
again. A false alarm is

* every `wrong-preprocessing` and `unrepresentative-data`: the images are right;
* with random weights, every other finding whose remedy, applied, does not raise the SQNR of the
  outputs by WORTH_DB against plain quantization, on images that nothing was tuned on: there is
  nothing to find. With real weights there may be: what the doctor says of them beside the images is
  counted under `findings` and judged by the points of `python -m benchmarks.doctor verdicts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.networks import RESNET20, RESNET56, V1_025, V1_075, V2, V2_TV, Subject
from benchmarks.places import earlier_rows, print_row, save_result
from benchmarks.sound_networks import Sound, random_images, sound_networks
from intaglio.doctor import Finding, diagnose
from intaglio.doctor.finding import DATA, PREPROCESSING, Treatment
from intaglio.errors import RequestError
from intaglio.ir.graph import Graph
from intaglio.job.of_graph import compress_graph
from intaglio.numerics.metrics import sqnr_db
from intaglio.read.module.export import capture
from intaglio.recipe.options import Options
from intaglio.recipe.recipe import Recipe
from intaglio.run.float import run_float

NAME, COMMAND = "doctor-sound", "python -m benchmarks.doctor sound"
DRAWS = {8: range(2), 32: range(1), 128: range(1)}
WORTH_DB = 1.0
FRESH = 16
SUBJECTS = (RESNET20, RESNET56, V1_025, V1_075, V2, V2_TV)


def main() -> None:
    """Measure what is missing, write benchmarks/results/doctor-sound.json."""
    rows = earlier_rows(NAME)
    known = {(row["network"], row["images"], row["draw"]) for row in rows}
    for row in _missing(known):
        rows.append(row)
        print_row(row)
        save_result(NAME, COMMAND, rows)
    print(f"{sum(row['false_alarms'] for row in rows)} false alarms in {len(rows)} rows")


def _missing(known: set[tuple[str, int, int]]) -> Iterator[dict[str, Any]]:
    for sound, network in sound_networks():
        captured: Graph | None = None
        for count, draws in DRAWS.items():
            for draw in draws:
                if (sound.name, count, draw) not in known:
                    captured = captured or capture(network, torch.zeros(1, *sound.shape))
                    yield _of_random(sound, captured, count, draw)
    for subject in SUBJECTS:
        module, _, shape = subject.build()
        captured = capture(module.eval(), torch.zeros(shape))
        for count, draws in DRAWS.items():
            for draw in draws:
                if (subject.model, count, draw) not in known:
                    yield _of_real(subject, captured, count, draw)


def _of_random(sound: Sound, captured: Graph, count: int, draw: int) -> dict[str, Any]:
    images = random_images(sound.shape, count, 1000 * count + draw)
    fresh = random_images(sound.shape, FRESH, 11)
    plain: float | None = None
    gains: list[float] = []
    found = diagnose(captured, [images]).findings
    for finding in found:
        gain = 0.0
        if finding.treatment is not None and not _of_images(finding):
            plain = _outputs_db(captured, images, fresh, Treatment()) if plain is None else plain
            gain = _outputs_db(captured, images, fresh, finding.treatment) - plain
        gains.append(gain)
    false = [finding for finding, gain in zip(found, gains, strict=True) if gain < WORTH_DB]
    return _row(sound.name, "random", (count, draw), found, false)


def _of_real(subject: Subject, captured: Graph, count: int, draw: int) -> dict[str, Any]:
    images = torch.cat(list(subject.images(subject.calibration, count, draw)))
    found = diagnose(captured, [images]).findings
    assert subject.weights is not None
    false = [finding for finding in found if _of_images(finding)]
    return _row(subject.model, subject.weights.stem, (count, draw), found, false)


def _of_images(finding: Finding) -> bool:
    return finding.cause in (PREPROCESSING, DATA)


def _outputs_db(captured: Graph, images: Tensor, fresh: Tensor, treatment: Treatment) -> float:
    """Return the lowest SQNR of the outputs in dB on fresh images; 0 where it is refused."""
    recipe = Recipe(
        name="sound",
        calibrator=treatment.calibrator or "minmax",
        steps=[{"name": name} for name in treatment.steps],
    )
    options = Options(keep_float=treatment.keep_float)
    try:
        twin = compress_graph(captured, data=images, recipe=recipe, options=options).twin
    except RequestError:
        return 0.0
    made = twin(fresh)
    outputs = [made] if isinstance(made, Tensor) else list(made)
    return min(
        sqnr_db(float(real.square().sum()), float((real - got).square().sum()))
        for real, got in zip(run_float(captured, fresh), outputs, strict=True)
    )


def _row(
    network: str,
    weights: str,
    drawn: tuple[int, int],
    found: tuple[Finding, ...],
    false: list[Finding],
) -> dict[str, Any]:
    return {
        "network": network,
        "weights": weights,
        "images": drawn[0],
        "draw": drawn[1],
        "findings": len(found),
        "false_alarms": len(false),
        "said_falsely": "; ".join(f"{finding.cause} in {finding.layer}" for finding in false),
    }


if __name__ == "__main__":
    main()
