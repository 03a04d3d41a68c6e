"""Sums and concatenations of values of very different size, which end on one grid."""

from __future__ import annotations

import math
from collections.abc import Iterator

from intaglio.doctor.alone import Change
from intaglio.doctor.case import Case, add_db, rounding_to
from intaglio.doctor.finding import OPERANDS, Figures, Finding, Treatment
from intaglio.ir.graph import Node

UNBALANCED = 16.0
"""Ratio of the operands' largest magnitudes: 4 of the smaller one's 8 bits are lost.

Residual sums of the data pack's networks stay below 2.7.
"""

REMEDY = (
    "keep the {op} in float (--keep-float {names}), or scale its operands alike when training: of"
    " the smaller operand about {bits:.0f} bits are left"
)


def find_unbalanced_operands(case: Case) -> Iterator[Finding]:
    """Find additions, subtractions and concatenations that drown one of their operands.

    An operand that is 0 on all images says nothing and is left out; so are constants.
    """
    for node in case.graph:
        extents = _extents(case, node)
        if len(extents) > 1 and max(extents.values()) >= UNBALANCED * min(extents.values()):
            yield _finding(case, node, extents)


def _extents(case: Case, node: Node) -> dict[str, float]:
    """Return the largest magnitude of each operand, those that are always 0 left out."""
    if node.op not in ("add", "sub", "concat") or case.evidence is None or case.encodings is None:
        return {}
    if node.name not in case.encodings.activations:
        return {}
    values = case.evidence.values
    found = {name: float(values[name].extent.max()) for name in node.inputs if name in values}
    return {name: extent for name, extent in found.items() if extent > 0.0}


def _finding(case: Case, node: Node, extents: dict[str, float]) -> Finding:
    assert case.encodings is not None
    small, large = min(extents, key=extents.__getitem__), max(extents, key=extents.__getitem__)
    grid = case.encodings.activations[node.name]
    harm = case.alone(Change(node.name, inputs={small: rounding_to(grid)}))[0]
    ratio = extents[large] / extents[small]
    bits = max(0.0, grid.spec.bits - math.log2(ratio))
    evidence: Figures = {
        "range_ratio": ratio,
        "larger_operand_magnitude": extents[large],
        "smaller_operand_magnitude": extents[small],
        "smaller_operand_in_steps": extents[small] / float(grid.step),
    }
    kept = [node.name]
    if node.op == "concat":  # it only moves values: on one grid again unless its readers are float
        kept += [reader.name for reader in case.graph.readers(node.name)]
    remedy = REMEDY.format(op=node.op, names=" --keep-float ".join(kept), bits=bits)
    evidence = add_db(evidence, sqnr_alone_db=harm)
    treatment = Treatment(keep_float=tuple(kept))
    return Finding(
        OPERANDS, case.layer_name(node.name), evidence, remedy, None, harm, treatment, node.name
    )
