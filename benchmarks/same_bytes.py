"""Whether a change of the code leaves every produced byte as it was.

    PYTHONPATH=tests python -m benchmarks.same_bytes --out before.json
    PYTHONPATH=tests python -m benchmarks.same_bytes --against before.json

Ten networks in four schemes, one network through every step, and the ways beside them (a search,
layers in float, integers at the ends, the other target): of each the hashes of the files that
`save` writes, and of report.json without the seconds and megabytes in it. Float kernels differ from
processor to processor, so that both runs belong on one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import intaglio
from architectures.catalogue import architectures, images
from benchmarks.machine import machine
from intaglio.recipe.recipe import Recipe

NETWORKS = (
    "zoo.mobilenet_v1",
    "zoo.mobilenet_v2",
    "zoo.mobilenet_v3_small",
    "zoo.resnet20_cifar10",
    "shufflenet_v2",
    "efficientnet",
    "path_aggregation",
    "unet",
    "deeplab",
    "ssd_head",
)
SCHEMES = ("w8a8", "w8a8-per-tensor", "w4a8", "mixed")
STEPS: tuple[dict[str, Any], ...] = (
    {"name": "fold-dead-channels"},
    {"name": "equalize"},
    {"name": "equalize-activations"},
    {"name": "absorb-bias"},
    {"name": "replace-relu6"},
    {"name": "correct-bias"},
    {"name": "correct-bias-analytic"},
    {"name": "adaround", "steps": 40},
    {"name": "round-second-order"},
    {"name": "brecq", "steps": 40},
    {"name": "qdrop", "steps": 40},
)
FILES = ("model.tflite", "encodings.json", "graph.json", "graph.safetensors", "recipe.toml")
IMAGES = 24


@dataclass(frozen=True)
class Row:
    """One run."""

    network: str
    name: str
    scheme: str = "w8a8"
    target: str = "litert"
    recipe: Recipe = field(default_factory=Recipe)
    wishes: dict[str, Any] = field(default_factory=dict)
    labelled: bool = False


def rows() -> Iterator[Row]:
    """Yield what is run."""
    bits = Recipe(name="bits", steps=[{"name": "allocate-bits", "forwards": 400}])
    for network in NETWORKS:
        for scheme in SCHEMES:
            recipe = bits if scheme == "mixed" else Recipe()
            yield Row(network, f"{network} {scheme}", scheme, recipe=recipe)
        yield Row(network, f"{network} reference kernels", target="litert-reference")
    v2 = "zoo.mobilenet_v2"
    for step in STEPS:
        yield Row(v2, f"{v2} {step['name']}", "w4a8", recipe=Recipe(name="step", steps=[step]))
    for name in ("mse", "entropy", "percentile-99.99", "moving-average", "aciq"):
        yield Row(v2, f"{v2} {name}", wishes={"calibrator": name})
    yield Row(v2, f"{v2} int8 ends", wishes={"io": "int8"})
    yield Row(v2, f"{v2} float layer", wishes={"keep_float": ("classifier",)})
    auto = Recipe(name="auto", search=True, judged_share=0.3, max_drop=0.0, minutes=60.0)
    yield Row(v2, f"{v2} search", recipe=auto)
    yield Row(v2, f"{v2} search with labels", recipe=auto, labelled=True)
    unseen = Recipe(name="accurate", calibrator="mse", steps=[{"name": "round-second-order"}])
    yield Row("deeplab", "deeplab accurate", recipe=unseen)


def hashes(row: Row) -> dict[str, str]:
    """Return the hash of every file that the run gives, by its name; of a refusal, its words."""
    factory, shape = architectures()[row.network]
    given = images(shape, IMAGES)
    options = intaglio.Options(scheme=row.scheme, **row.wishes)
    data: Any = given
    if row.labelled:
        with torch.no_grad():
            data = [(given, factory()(given).argmax(1))]
    try:
        result = intaglio.compress(
            factory(),
            given[:1],
            target=row.target,
            data=data,
            recipe=row.recipe,
            options=options,
            evaluate=data if row.labelled else None,
        )
    except intaglio.errors.RequestError as error:
        return {"refused": str(error)}
    with tempfile.TemporaryDirectory() as place:
        result.save(Path(place) / "out")
        found = {name: _hash((Path(place) / "out" / name).read_bytes()) for name in FILES}
    plain = result.report.to_dict()
    for timed in (*plain["steps"], *plain["attempts"]):
        timed.pop("seconds", None)
        timed.pop("peak_mb", None)
    found["report.json"] = _hash(json.dumps(plain, indent=1).encode())
    return found


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def main() -> int:
    """Write the hashes, or compare them; 1 where one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--only", default="", help="a part of the names of the runs wanted")
    asked = parser.parse_args()
    before = json.loads(asked.against.read_text())["rows"] if asked.against else {}
    found: dict[str, dict[str, str]] = {}
    differing = 0
    for row in rows():
        if asked.only not in row.name:
            continue
        found[row.name] = hashes(row)
        if asked.out:
            content = {"machine": machine(), "rows": found}
            asked.out.write_text(json.dumps(content, indent=1) + "\n")
        if asked.against:
            earlier = before.get(row.name, {})
            names = earlier.keys() | found[row.name].keys()
            wrong = sorted(n for n in names if earlier.get(n) != found[row.name].get(n))
            differing += bool(wrong)
            print(f"{row.name}: {'differs: ' + ', '.join(wrong) if wrong else 'same'}", flush=True)
        else:
            print(row.name, found[row.name].get("model.tflite", "refused"), flush=True)
    if asked.against:
        print(f"{differing} of {len(found)} runs differ")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
