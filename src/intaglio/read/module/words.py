"""Exported programs in the words that the table of calls knows."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.exported_program import default_decompositions

from intaglio.read.module.aliases import plain_of, writes_alone
from intaglio.read.module.aten import ATEN, IDENTITY, SKIPPED
from intaglio.read.module.fold import read_by
from intaglio.read.module.quiet import quiet

ROUNDS = 3
KEPT = {
    *("heaviside", "isclose", "isfinite", "logaddexp", "logaddexp2", "max_unpool2d", "nan_to_num"),
    *("nanmean", "nanquantile", "quantile", "special_entr", "special_xlogy", "xlogy"),
}
"""Calls that torch writes with others which are held no more than they are: to be refused as such.
"""
KEPT_FAMILIES = ("linalg_", "fft_")
ALGEBRA = {
    *("linalg_norm", "linalg_vector_norm", "linalg_matrix_norm", "linalg_vecdot", "linalg_matmul"),
    *("linalg_multi_dot", "linalg_cross", "linalg_diagonal"),
}
"""Of a family that is kept, those that torch writes with what is held."""


def in_our_words(program: ExportedProgram) -> ExportedProgram:
    """Return a program whose calls the table knows, as far as torch can write them with others.

    It has no nested graphs, and no call that writes into memory which another value shows. That
    traces the network once more, which costs more than all the rest of capture: a program that
    needs none of it is returned as it is.
    """
    if not all(_is_plain(node) for node in program.graph.nodes):
        program = _rewritten(program, {})
    done: set[Any] = set()
    for _ in range(ROUNDS):
        unknown = {call for call in _unknown_calls(program) - done if not _is_kept(call)}
        table = default_decompositions() if unknown else {}
        written = {call: table[call] for call in unknown if call in table}
        if not written:
            return program
        program = _rewritten(program, written)
        done |= unknown
    return program


def _rewritten(program: ExportedProgram, table: dict[Any, Any]) -> ExportedProgram:
    """Return a program with these calls written with others.

    Outside of inference torch also writes those with others that it has a gradient for so.
    """
    with quiet(), torch.inference_mode():
        written: ExportedProgram = program.run_decompositions(table)
    return written


def _is_kept(call: Any) -> bool:
    """Whether a call is to be refused by its own name."""
    if not isinstance(call, torch._ops.OpOverload):
        return True
    word = call._schema.name.removeprefix("aten::")
    return word in KEPT or (word.startswith(KEPT_FAMILIES) and word not in ALGEBRA)


def _is_plain(fx_node: fx.Node) -> bool:
    """Whether a node needs no rewriting: no nested graph, no write into what others show."""
    if fx_node.op != "call_function":
        return fx_node.op in ("placeholder", "output")
    target = fx_node.target
    if isinstance(target, torch._ops.HigherOrderOperator):
        return False
    if isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable:
        return plain_of(target) is not None and writes_alone(fx_node)
    return True


def _unknown_calls(program: ExportedProgram) -> set[Any]:
    """Return the calls, on what is computed from the image, that the table has no entry for."""
    given = set(program.graph_signature.user_inputs)
    computed: set[fx.Node] = set()
    found = set()
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in given:
            computed.add(node)
        elif node.op == "call_function" and computed.intersection(read_by(node)):
            computed.add(node)
            target = plain_of(node.target) or node.target
            if target not in ATEN and target not in IDENTITY and target not in SKIPPED:
                found.add(node.target)
    return found
