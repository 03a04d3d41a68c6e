"""A small network captured and made integers of, its file held against its twin."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import intaglio
from intaglio.job.of_graph import compress_graph
from intaglio.run.float import run_float
from intaglio.runtimes import LITERT, LITERT_REFERENCE

DELEGATE, BOTH = (LITERT,), (LITERT, LITERT_REFERENCE)


def differences(network: nn.Module, images: Tensor, targets: tuple = BOTH) -> list[str]:
    """Return what is not as it should be: [] for a network that every word of is kept.

    The captured graph gives what the network gives, bit for bit, and that is not dead; file and
    twin agree in every value; the delegate runs the file in one part. On the reference kernels,
    which are slow, with one image.
    """
    found = []
    captured = intaglio.capture(network, images[:1])
    (output,) = run_float(captured, images)
    with torch.no_grad():
        expected = network(images)
    if not torch.equal(output, expected):
        found.append("the captured graph gives other values")
    if not 1e-4 < float((expected[0] - expected[1]).std()) < 1e4:
        found.append("the network is dead, or overflows")
    for target in targets:
        seen = images[:1] if target.is_reference else images
        result = compress_graph(captured, target=target.name, data=images, recipe="plain")
        check = target.check(result.files, result.twin, [seen])
        if check.mismatches or check.values_compared < seen.numel():
            found.append(f"{target.name}: {check.mismatches} of {check.values_compared} values")
        if check.partitions != (not target.is_reference):
            found.append(f"{target.name}: {check.partitions} parts")
    return found
