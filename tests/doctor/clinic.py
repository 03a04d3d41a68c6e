"""The doctor's verdict on a patient, for tests."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from doctor.patients import SIZE, Healthy, healthy, photographs
from intaglio.data.preprocess import Preprocess
from intaglio.doctor import Diagnosis, diagnose
from intaglio.ir.graph import Graph
from intaglio.read.module.export import capture
from intaglio.runtimes import TARGETS

SEEDS = (0, 1, 2)
COUNT = 32
LITERT = TARGETS["litert"]


@functools.cache
def captured(patient: Callable[[int], Healthy], seed: int) -> Graph:
    """Return a patient as captured; the same one each time.

    Capturing takes longer than the diagnosis, so it is done once a class of networks.
    """
    network = patient(seed)
    graph, state = _skeleton(type(network)).copy(), network.state_dict()
    for key in graph.params:
        graph.params[key] = state[key].clone()
    for node in graph:
        if node.op == "batch_norm":
            norm = network.get_submodule(node.source)
            graph.nodes[node.name] = replace(node, attrs={**node.attrs, "eps": norm.eps})
    return graph


@functools.cache
def _skeleton(kind: type[Healthy]) -> Graph:
    return capture(healthy(0, kind), torch.zeros(1, 3, SIZE, SIZE))


def sound_images(seed: int = 0, count: int = COUNT) -> Tensor:
    """Return images like those that the patients' batch norms know, but other ones."""
    return photographs(count, seed=100 + seed)


def examined(
    patient: Callable[[int], Healthy],
    images: Tensor | None,
    *,
    seed: int = 0,
    scheme: str = "w8a8",
    preprocess: Preprocess | None = None,
) -> Diagnosis:
    """Return the diagnosis of a patient on images [N, 3, 32, 32]."""
    batches = None if images is None else [images]
    graph = captured(patient, seed)
    return diagnose(graph, batches, target=LITERT, scheme=scheme, preprocess=preprocess)


@functools.cache
def verdict_on(patient: Callable[[int], Healthy], scheme: str, seed: int) -> Diagnosis:
    """Return the diagnosis of a patient on sound images; made once."""
    return examined(patient, sound_images(seed), seed=seed, scheme=scheme)


def named(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Return (cause, layer) of each finding."""
    return [(finding.cause, finding.layer) for finding in diagnosis.findings]
