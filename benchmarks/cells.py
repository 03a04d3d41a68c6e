"""The networks of searched cells: sizes, bits, and what int8 brings.

    python -m benchmarks.cells [NETWORK ...]

Random weights, batch norms fitted to random images: right for counts, bits and time, not for
accuracy. Mismatches over all values of 8 images that calibration did not see, on both targets;
latency of LiteRT int8 against LiteRT float32, one thread, batch 1, `invoke` alone, interleaved:
the median and the quartiles of the rounds' ratios. A network that is refused says why.

Rows are saved as each ends. Another run goes on behind them and tries again what was refused; with
names of networks it measures these again.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.cost import latencies, row_of
from benchmarks.float_file import float_file
from benchmarks.places import earlier_rows, print_row, save_result
from intaglio.cost.macs import count_macs, total_params
from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph
from intaglio.job.of_graph import compress_graph
from intaglio.job.result import Result
from intaglio.read.module.export import capture
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.targets.target import Target
from intaglio.zoo import ZOO

NAME, COMMAND = "cells", "python -m benchmarks.cells"
NETWORKS = ("nasnet_mobile", "pnasnet5_mobile")
TARGETS: tuple[Target, ...] = (LITERT, LITERT_REFERENCE)
CALIBRATION, CHECKED, ROUNDS = 16, 8, 60

Row = dict[str, Any]


def main(names: list[str]) -> None:
    """Measure every row that is not there yet, and write benchmarks/results/cells.json."""
    torch.set_num_threads(1)
    earlier = [row for row in earlier_rows(NAME) if "refused" not in row]
    rows = [row for row in earlier if row["network"] not in names]
    done = {(row["network"], row["target"]) for row in rows}
    for name in NETWORKS:
        wanted = [target for target in TARGETS if (name, target.name) not in done]
        if not wanted:
            continue
        graph = settled_graph(name)
        for target in wanted:
            rows.append(measured(name, graph, target))
            print_row(rows[-1])
            save_result(NAME, COMMAND, rows)


def settled_graph(name: str) -> Graph:
    """Return the captured network, random under seed 0, its batch norms fitted to random images."""
    torch.manual_seed(0)
    module = ZOO[name].build()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the plain mean of all batches
    images = random_images(name, CALIBRATION, seed=0)
    with torch.no_grad():
        module.train()(images)
    return capture(module.eval(), images[:1])


def random_images(name: str, count: int, seed: int) -> Tensor:
    """Return normal random images [count, 3, H, W]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((count, *ZOO[name].input_shape[1:]), generator=generator)


def measured(name: str, graph: Graph, target: Target) -> Row:
    """Return one row: counts, then bits and latency, or why there are none."""
    row: Row = {
        "network": name,
        "target": target.name,
        "parameters": total_params(graph),
        "macs": sum(count_macs(graph).values()),
    }
    data = random_images(name, CALIBRATION, seed=0)
    try:
        result = compress_graph(graph, target=target.name, data=data, recipe="plain")
    except UnsupportedByTarget as error:
        return row | {"refused": str(error)}
    counts = target.check(result.files, result.twin, [random_images(name, CHECKED, seed=1)])
    row |= {
        "file_bytes": len(result.content),
        "partitions": counts.partitions,
        "values_compared": counts.values_compared,
        "mismatches": counts.mismatches,
    }
    return row | (latency(result) if target is LITERT else {})


def latency(result: Result) -> Row:
    """Return how long the int8 file takes, and as a ratio to the same network in float32."""
    files = {"bare": float_file(result), "int8": result.content}
    found = row_of("", latencies(files, ROUNDS), "int8", threads=1)
    return {
        "int8 / float32": found["ratio"],
        "quartiles": found["quartiles"],
        "int8_ms": round(found["seconds"] * 1000, 1),
        "float32_ms": round(found["bare_seconds"] * 1000, 1),
        "rounds": found["rounds"],
    }


if __name__ == "__main__":
    main(sys.argv[1:])
