"""Every op stands in every table that is keyed by op, or is refused there with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from intaglio.cost.macs import count_macs
from intaglio.ir.graph import Graph, Node
from intaglio.ops import OPS, OpSchema
from intaglio.ops.exhaustive import missing
from intaglio.ops.traits import TRAITS
from intaglio.passes import channel_statistics
from intaglio.passes.channels import BY_AXES
from intaglio.read.module import ops_read
from intaglio.runtimes.litert.ops.refused import KERNELS_REFUSED, WRITERS_REFUSED
from intaglio.runtimes.litert.ops.site import KERNELS
from intaglio.runtimes.litert.ops.writing import FLOAT_OPS, TFLITE_OPS
from ops.samples import SAMPLED, sample


@dataclass(frozen=True)
class Table:
    """A table of ops: what stands in it, and what is refused."""

    known: Callable[[], Iterable[str]]
    refused: Mapping[str, str]


def with_shape() -> list[str]:
    """Return the ops whose float function gives a shape for tensors without storage."""
    found = ["input", "opaque"]  # given, and what the call itself does
    for op in SAMPLED:
        tried = sample(op)
        meta = {role: value.to("meta") for role, value in tried.params.items()}
        value = OPS[op].function(tried.node, [x.to("meta") for x in tried.inputs], meta)
        found += [op] * (value.shape == tried().shape)
    return found


def read_by_name() -> list[str]:
    """Return the ops that the reader of modules names where it adds nodes."""
    folder = Path(ops_read.__file__).parent
    files = [file for file in folder.glob("*.py") if file.name != "ops_read.py"]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    return [op for op in OPS if f'"{op}"' in text]


TABLES = {
    "shapes": Table(with_shape, {}),
    "traits": Table(lambda: TRAITS, {}),
    "channels": Table(
        lambda: [op for op in TRAITS if TRAITS[op].channels != "axes" or op in BY_AXES], {}
    ),
    "channel statistics": Table(lambda: channel_statistics.PROPAGATED, channel_statistics.REFUSED),
    "multiply-accumulates": Table(lambda: filter(is_counted, OPS), {}),
    "reader of modules": Table(read_by_name, ops_read.REFUSED),
    "integer kernels of LiteRT": Table(lambda: KERNELS, KERNELS_REFUSED),
    "writers of LiteRT": Table(lambda: {*TFLITE_OPS, *FLOAT_OPS}, WRITERS_REFUSED),
}


def is_counted(op: str) -> bool:
    """Whether a node of the op has a number of multiply-accumulates."""
    if op in SAMPLED:
        return count_macs(sample(op).graph()).keys() >= {"node"}
    graph = Graph()
    graph.add(Node("node", op))
    try:
        return count_macs(graph) == {"node": 0}
    except KeyError:
        return False


@pytest.mark.parametrize("name", TABLES)
def test_every_op_stands_in_the_table_or_is_refused_with_a_reason(name):
    table = TABLES[name]

    assert missing(name, table.known(), table.refused) == []


def test_the_float_function_of_an_op_is_its_definition():
    # and its shape is the float function's on tensors without storage, so that no rule can lack
    assert all(callable(OPS[op].function) for op in OPS)


@pytest.mark.parametrize("name", TABLES)
def test_an_op_that_is_added_alone_is_missing_from_the_table(name, monkeypatch):
    table = TABLES[name]
    wavelet = OpSchema("wavelet", (1, 1), (), {}, lambda node, inputs, params: inputs[0])
    monkeypatch.setitem(OPS._entries, "wavelet", wavelet)

    found = missing(name, table.known(), table.refused)

    assert found == [f"{name}: 'wavelet' is missing; add it, or refuse it with a reason"]


@pytest.mark.parametrize(
    "reason",
    ["", "not yet", "Not yet written, sorry", "TODO: a kernel", "unsupported", "it is later"],
)
def test_a_reason_that_is_none_is_refused(reason):
    found = missing("kernels", set(OPS) - {"tanh"}, {"tanh": reason})

    assert found == [f"kernels: 'tanh' is refused without a reason ('{reason}')"]


def test_a_table_with_names_that_are_no_ops_or_refused_and_there_is_wrong():
    found = missing("kernels", [*OPS, "wavelet"], {"tanh": "its table would be too large"})

    assert found == ["kernels: 'tanh' is refused, and is there", "kernels: 'wavelet' is no op"]


def test_a_table_of_a_runtime_from_elsewhere_is_held_to_the_same():
    kernels, refused = {"conv2d", "linear"}, {"tanh": "the device has no table of functions"}

    found = missing("kernels of a device", kernels, refused)

    assert len(found) == len(list(OPS)) - 3
    assert "kernels of a device: 'add' is missing; add it, or refuse it with a reason" in found
