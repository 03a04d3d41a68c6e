"""Which layers a file can hold: by their bits, and by what their ops can say."""

from __future__ import annotations

from intaglio.calibrate.encodings import trial_encodings
from intaglio.errors import UnsupportedByTarget
from intaglio.ir.graph import Graph
from intaglio.numerics.plan import Plan
from intaglio.runtimes.litert.file.bits import unheld
from intaglio.runtimes.litert.file.write import write_node
from intaglio.runtimes.litert.format.builder import TfliteBuilder
from intaglio.runtimes.litert.ops.site import arithmetic_of
from intaglio.runtimes.litert.ops.writing import Writing
from intaglio.targets.target import Target


def refusals(graph: Graph, plan: Plan, target: Target) -> list[UnsupportedByTarget]:
    """Return every layer of a lowered, planned graph that a file cannot hold.

    Each node's writer is asked, with made-up ranges; nothing is put together. What depends on
    ranges, such as scales that cannot be matched, shows when they are known.
    """
    try:
        encodings = trial_encodings(graph, plan, target)
    except UnsupportedByTarget as error:
        return [error]
    found = list(unheld(graph, encodings, target))
    writing = Writing(graph, encodings, target.name, TfliteBuilder(), arithmetic_of(target))
    for node in graph:
        try:
            if node.op != "input":
                write_node(node, writing)
        except UnsupportedByTarget as error:
            found.append(error)
        if node.name not in writing.index:
            writing.output(node)  # what reads it is asked as well
    return found
