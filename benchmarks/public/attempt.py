"""One public network through `compress`, and what became of it.

A row has, as far as it came:

* `outcome`: "ok"; "refused" (a RequestError, for the person who has the network); "crash" (an
  exception that is none of ours); "internal error" (another one of ours); "not built" (the
  package's own fault); "timeout"; with `message`, and for all but the first `place`;
* `seconds`, `cpu_seconds` of `compress`; `capture_s`, CPU seconds of `capture` alone, before it;
* `mismatches` among `compared` values; `partitions` of the delegate; `outside`, the ops that it did
  not take, by kind; `float_share`, percent of the multiply-accumulates in float; `kept_float` and
  `warnings`, as the report has them; `bytes` of the file;
* `outputs`, the names of the network's outputs; `sqnr`, dB of each beside the float network's on
  images that calibration did not see; `control`, dB of the float network's own outputs under noise
  40 dB below the images: what amplifies that noise amplifies rounding too.
"""

from __future__ import annotations

import collections
import math
import time
import traceback
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import intaglio
from benchmarks.machine import machine
from benchmarks.public.definitions import Definition
from benchmarks.public.images import random_images, settle
from intaglio.errors import IntaglioError, RequestError
from intaglio.runtimes import LITERT
from intaglio.runtimes.litert.interpreter.runtime import (
    not_delegated,
    open_interpreter,
    partitions,
)

OK, REFUSED, CRASH, INTERNAL = "ok", "refused", "crash", "internal error"
TIMEOUT, NOT_BUILT = "timeout", "not built"
CALIBRATION, FRESH, NOISE = 3, 11, 5
"""Seeds."""
NOISE_SHARE = 0.01
"""Of the images' standard deviation: 40 dB."""
SILENT_DB = 99.0
"""Stands for an SQNR without noise; less this number, for one without a signal."""
MESSAGE_LETTERS, FRAMES = 2000, 3

Row = dict[str, Any]


def tried(definition: Definition, recipe: str, *, allow_float: bool) -> Row:
    """Return the row of one network, without its name."""
    row: Row = {"cpu": machine()["cpu"], "at": round(time.time())}
    try:
        network = built(definition)
    except Exception as error:  # of a package by others
        return row | {"outcome": NOT_BUILT, "message": _said(error)}
    images = random_images(definition.shape, CALIBRATION)
    row |= captured(network, images[:1])
    options = intaglio.Options(allow_float=True) if allow_float else intaglio.Options()
    began, cpu_began = time.perf_counter(), time.process_time()
    try:
        result = intaglio.compress(network, images[:1], data=images, recipe=recipe, options=options)
        row |= {"outcome": OK}
    except RequestError as error:
        row |= {"outcome": REFUSED, "message": str(error), "place": _place(error)}
    except Exception as error:
        outcome = INTERNAL if isinstance(error, IntaglioError) else CRASH
        row |= {"outcome": outcome, "message": _said(error), "place": _place(error)}
    row["seconds"] = round(time.perf_counter() - began, 2)
    row["cpu_seconds"] = round(time.process_time() - cpu_began, 2)
    if row["outcome"] != OK:
        return row
    row |= told(result)
    try:
        return row | quality(network, result, definition.shape)
    except Exception as error:  # a twin that does not run is as bad as no file
        return row | {"outcome": CRASH, "message": _said(error), "place": _place(error)}


def built(definition: Definition) -> nn.Module:
    """Return the network as it is deployed, in evaluation mode."""
    torch.manual_seed(0)
    network = definition.build()
    settle(network, definition.shape)
    return network if definition.post is None else definition.post(network).eval()


def captured(network: nn.Module, example: Tensor) -> Row:
    """Return the CPU seconds of capture, and the outputs' names; of a refusal only the seconds."""
    outputs: Row = {}
    began = time.process_time()
    try:
        outputs = {"outputs": intaglio.capture(network, example).outputs}
    except Exception:  # `compress` captures once more, and says why not
        outputs = {}
    return {"capture_s": round(time.process_time() - began, 3)} | outputs


def told(result: intaglio.Result) -> Row:
    """Return what the report and the runtime say of a file."""
    report = result.report
    assert report.check is not None
    interpreter = open_interpreter(result.content, LITERT)
    return {
        "mismatches": report.check.mismatches,
        "compared": report.check.values_compared,
        "partitions": partitions(interpreter),
        "outside": dict(collections.Counter(not_delegated(interpreter))),
        "float_share": 0.0 if report.in_float is None else round(report.in_float.macs_percent, 2),
        "kept_float": [[kept.name, kept.why] for kept in report.kept_float],
        "warnings": list(report.warnings),
        "bytes": len(result.content),
    }


def quality(network: nn.Module, result: intaglio.Result, shape: tuple[int, int, int]) -> Row:
    """Return the SQNR of each output on fresh images, and that of the network under noise."""
    fresh = random_images(shape, FRESH)
    generator = torch.Generator().manual_seed(NOISE)
    noise = NOISE_SHARE * fresh.std() * torch.randn(fresh.shape, generator=generator)
    with torch.no_grad():
        real, noisy = tensors(network(fresh)), tensors(network(fresh + noise))
    found = tensors(result.twin(fresh))
    return {
        "sqnr": [round(sqnr_db(*pair), 1) for pair in zip(real, found, strict=True)],
        "control": [round(sqnr_db(*pair), 1) for pair in zip(real, noisy, strict=True)],
    }


def tensors(outputs: Any) -> list[Tensor]:
    """Return the tensors in what a network returns, however it is nested, in order."""
    return [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]


def sqnr_db(real: Tensor, found: Tensor) -> float:
    """Return the SQNR of `found` in dB; 99 without noise, -99 where there is nothing but noise."""
    noise = float((real.double() - found.double()).square().sum())
    signal = float(real.double().square().sum())
    if noise == 0.0:
        return SILENT_DB
    return 10.0 * math.log10(signal / noise) if signal > 0.0 else -SILENT_DB


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:MESSAGE_LETTERS]


def _place(error: Exception) -> list[str]:
    """Return the last places of ours that the error came through."""
    frames = [
        f"{frame.filename.split('/intaglio/')[-1]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "/intaglio/" in frame.filename
    ]
    return frames[-FRAMES:]
