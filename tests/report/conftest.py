"""A small residual network with its twin, the report of it, and a browser to open the page in."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from intaglio.ir.graph import Graph
from intaglio.numerics.affine import params_from_range
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import INT8_ACTIVATION, INT8_WEIGHT, QuantParams
from intaglio.passes.canonicalize import canonicalize
from intaglio.read.module.export import capture
from intaglio.report import (
    CheckResult,
    DataSource,
    FloatSide,
    IntegerSide,
    KeptFloat,
    Report,
    StepRow,
    Verdict,
    measure_layers,
    output_sqnr_db,
)
from intaglio.run.float import run_float
from intaglio.run.twin import Twin, build_twin
from intaglio.runtimes import LITERT
from intaglio.tasks import CLASSIFY

CHROMIUM = Path("/usr/bin/chromium")
# the last one keeps the browser's own housekeeping from reaching anyone
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


class Residual(nn.Module):
    """Convolution, depthwise block with a residual, mean, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.expand = nn.Conv2d(8, 24, 1)
        self.depthwise = nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.project = nn.Conv2d(24, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = x + self.project(self.depthwise(self.expand(x).relu()).relu())
        return self.head(x.mean((2, 3)))


@dataclass(frozen=True)
class Compressed:
    """A captured network, its twin, and images of it."""

    graph: Graph
    twin: Twin
    images: Tensor


def encodings_of(graph: Graph, images: Tensor) -> Encodings:
    """Return min-max encodings, made by hand."""
    activations: dict[str, QuantParams] = {}

    def observe(node, value):
        activations[node.name] = params_from_range(value.min(), value.max(), INT8_ACTIVATION)

    run_float(graph, images, tap=observe)
    weights = {}
    for node in graph:
        if "weight" in node.params:
            rows = graph.param(node, "weight").flatten(1)
            weights[node.name] = params_from_range(rows.amin(1), rows.amax(1), INT8_WEIGHT)
    return Encodings(activations, weights)


@pytest.fixture(scope="session")
def compressed() -> Compressed:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module, images = Residual(), torch.randn(13, 3, 16, 16)
    graph = capture(module, torch.zeros(1, 3, 16, 16))
    canonicalize(graph)
    return Compressed(graph, build_twin(graph, encodings_of(graph, images), LITERT), images)


@pytest.fixture(scope="session")
def report(compressed: Compressed) -> Report:
    layers = measure_layers(compressed.graph, compressed.twin, [compressed.images])
    return Report(
        intaglio="0.1.0",
        model="residual(width=1.0)",
        target=LITERT.name,
        runtime=LITERT.runtime,
        scheme="w8a8 per-channel",
        data=DataSource("calib.csv", images=13, seed=0, skipped=2),
        preprocess={"resize": None, "crop": 16, "mean": [0.5, 0.5, 0.5]},
        float=FloatSide(
            size_bytes=2_500, macs=1_000, params=625, figures={"top1": 80.314, "top5": 95.2}, n=1150
        ),
        integer=IntegerSide(
            size_bytes=900,
            figures={"top1": 79.4, "top5": 94.9},
            n=1150,
            agreement=93.123,
            logits_sqnr_db=output_sqnr_db(layers, compressed.graph.outputs),
        ),
        verdict=Verdict("equal", "green", "0.91 points lost on 1,150 images, wished at most 1"),
        check=CheckResult(64, values_compared=123_456, mismatches=0, runtime=LITERT.runtime),
        steps=[
            StepRow("canonicalize", 0.21349, 401.26, {"fold_batch_norm": 5, "remove_noop": 0}),
            StepRow("calibrate", 12.0),
        ],
        layers=layers,
        kept_float=[KeptFloat("softmax", "kept outside the integer graph unless asked")],
        warnings=["2 unreadable images were skipped"],
        wording=CLASSIFY.wording,
    )


@dataclass(frozen=True)
class Visit:
    """What a browser made of a page: its elements as text, its console, and its network log."""

    dom: str
    console: list[str]
    network_log: str


@pytest.fixture(scope="session")
def visit() -> Callable[..., Visit]:
    """Open a page in a new headless browser, with `script` run in it when it is given."""
    if not CHROMIUM.exists():
        pytest.skip(f"needs a browser: no {CHROMIUM} (Debian: apt-get install chromium)")

    def open_page(page: str, *, fragment: str = "", script: str = "") -> Visit:
        if script:  # the page's policy allows no script but its own
            page = POLICY.sub("", page).replace("</body>", f"<script>{script}</script></body>")
        folder = Path(tempfile.mkdtemp(prefix="intaglio-page-"))
        try:
            return _open(folder, page, fragment)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return open_page


def _open(folder: Path, page: str, fragment: str) -> Visit:
    file, log = folder / "page.html", folder / "network.json"
    file.write_text(page, encoding="utf-8")
    command = [
        str(CHROMIUM),
        *CHROMIUM_FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={log}",
        "--virtual-time-budget=4000",
        "--dump-dom",
        f"{file.as_uri()}{fragment}",
    ]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    errors = done.stderr.decode("utf-8", "replace").splitlines()
    console = [line for line in errors if "CONSOLE" in line]
    return Visit(done.stdout.decode("utf-8"), console, log.read_text(encoding="utf-8"))
