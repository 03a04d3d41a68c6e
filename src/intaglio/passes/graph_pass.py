"""What a pass is: a function that changes a graph in place and says how many changes it made."""

from __future__ import annotations

import functools
from collections.abc import Callable

from intaglio.ir.graph import Graph
from intaglio.ops.verify import verify
from intaglio.registry import Registry

Pass = Callable[[Graph], int]
PASSES: Registry[Pass] = Registry("pass")


def graph_pass(function: Pass) -> Pass:
    """File a pass under its name; the graph is verified after each run that changed something."""

    @functools.wraps(function)
    def checked(graph: Graph) -> int:
        """Return how many changes the pass made, the graph verified if there were any."""
        changed = function(graph)
        if changed:
            verify(graph)
        return changed

    return PASSES.register(function.__name__)(checked)
