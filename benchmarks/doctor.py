"""What the doctor finds: causes planted in small networks, and its verdict on trained ones.

    python -m benchmarks.doctor [PART ...]

Parts: planted and verdicts (benchmarks/results/doctor.json, written together), and sound, the false
alarms (doctor_sound.py). Planted: one row a cause and seed; `rank` is the place of that cause in
that layer among all findings (0: not found), `others` how many findings accuse another layer; sound
networks and images have the cause "none", and `found` says that nothing was found. Verdicts: a
network of the data pack under a scheme, with 128 images of calib.csv; `points` is what a remedy
regains of top-1 against plain quantization, on JUDGED images drawn from judge.csv by seed 0, with
128 images to tune on; `cpu_seconds` is what the diagnosis took of one core, reading images and
trying remedies left out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from tests.doctor import patients
from torch import Tensor

from benchmarks import doctor_sound
from benchmarks.networks import V1_025, V1_075, V2, Subject
from benchmarks.places import IMAGENET, write_result
from intaglio.data.held import HeldImages
from intaglio.data.images import batches, draw, open_dataset
from intaglio.doctor import Diagnosis, diagnose
from intaglio.doctor.finding import Treatment
from intaglio.job.remedies import Trial, apply_remedies
from intaglio.read.module.export import capture
from intaglio.runtimes import LITERT

PER_TENSOR = patients.PER_TENSOR
SEEDS = range(3)
PHOTOGRAPHS, IMAGES, JUDGED = 32, 128, 250

Rows = list[dict[str, Any]]
Change = Callable[[Tensor], Tensor]

SICK: list[tuple[Callable[[int], Any], str, str, str]] = [
    *patients.PLANTS,
    (patients.healthy, "w8a8", "none", ""),
    (patients.healthy, PER_TENSOR, "none", ""),
    (patients.joined, "w8a8", "none", ""),
]
WRONG: list[tuple[str, str, Change]] = [
    ("0..1 for -1..1", "wrong-preprocessing", lambda images: (images + 1) / 2),
    ("bytes for -1..1", "wrong-preprocessing", lambda images: (images + 1) * 127.5),
    ("BGR for RGB", "wrong-preprocessing", lambda images: images.flip(1)),
    ("four", "unrepresentative-data", lambda images: images[:4]),
    ("copies of one", "unrepresentative-data", lambda images: images[:1].repeat(32, 1, 1, 1)),
    ("noise", "unrepresentative-data", lambda images: torch.rand_like(images) * 2 - 1),
    ("one colour each", "unrepresentative-data", lambda images: images[..., :1, :1] + 0 * images),
]


def main(*parts: str) -> None:
    """Measure the parts, or all; write benchmarks/results/doctor.json and doctor-sound.json."""
    if not parts or "planted" in parts or "verdicts" in parts:
        rows = list(planted())
        write_result("doctor", "python -m benchmarks.doctor", rows)
        for subject in (V1_025, V1_075, V2) if not parts or "verdicts" in parts else ():
            rows += verdicts(subject)
            write_result("doctor", "python -m benchmarks.doctor", rows)
    if not parts or "sound" in parts:
        doctor_sound.main()


def planted() -> Iterator[dict[str, Any]]:
    """Yield a row for each planted cause and seed."""
    for seed in SEEDS:
        images = patients.photographs(PHOTOGRAPHS, seed=200 + seed)
        for patient, scheme, cause, layer in SICK:
            found = _examined(patient(seed), images, scheme)
            yield _row(patient.__name__, scheme, seed, (cause, layer), found)
        torch.manual_seed(seed)
        for name, cause, change in WRONG:
            found = _examined(patients.healthy(seed), change(images), "w8a8")
            yield _row(f"images: {name}", "w8a8", seed, (cause, "stem.0"), found)


def _examined(network: torch.nn.Module, images: Tensor, scheme: str) -> Diagnosis:
    graph = capture(network, torch.zeros(1, *images.shape[1:]))
    return diagnose(graph, [images], target=LITERT, scheme=scheme)


def _row(
    planted_in: str, scheme: str, seed: int, wanted: tuple[str, str], found: Diagnosis
) -> dict[str, Any]:
    names = [(finding.cause, finding.layer) for finding in found.findings]
    rank = names.index(wanted) + 1 if wanted in names else 0
    return {
        "planted": planted_in,
        "scheme": scheme,
        "seed": seed,
        "cause": wanted[0],
        "layer": wanted[1],
        "found": found.healthy if wanted[0] == "none" else rank > 0,
        "rank": rank,
        "others": sum(layer != wanted[1] for _, layer in names),
    }


def verdicts(subject: Subject) -> Rows:
    """Return one row a scheme and finding; one that says so where nothing was found."""
    module, preprocess, shape = subject.build()
    captured = capture(module.eval(), torch.zeros(shape))
    images = torch.cat(list(subject.images(subject.calibration, IMAGES)))
    chosen = draw(open_dataset(IMAGENET / "judge.csv", need_labels=True), JUDGED, 0)

    def labelled() -> Iterator[tuple[Tensor, Tensor]]:
        with batches(chosen, preprocess, shape, batch_size=16) as stream:
            for batch in stream:
                assert batch.labels is not None
                yield batch.images, batch.labels

    rows: Rows = []
    for scheme in ("w8a8", PER_TENSOR):
        began = time.process_time()
        found = diagnose(captured, [images], target=LITERT, scheme=scheme, preprocess=preprocess)
        seconds = time.process_time() - began
        trial = Trial(captured, HeldImages(images, images[:0]), labelled, "litert", scheme)
        rows += _verdict(subject, scheme, apply_remedies(found, trial), seconds, trial)
    return rows


def _verdict(subject: Subject, scheme: str, found: Diagnosis, seconds: float, trial: Trial) -> Rows:
    shared = {
        "model": subject.model,
        "scheme": scheme,
        "images": IMAGES,
        "cpu_seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
        "judged": JUDGED,
        "plain_top1": round(trial.score(Treatment()), 2),
    }
    if found.healthy:
        return [{**shared, "rank": 0, "cause": "none"}]
    return [
        {**shared, "rank": rank, "harm_db": round(finding.harm_db, 1), **finding.to_dict()}
        for rank, finding in enumerate(found.findings, 1)
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
