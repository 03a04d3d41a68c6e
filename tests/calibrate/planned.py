"""Plans from schemes by name, as tests state them."""

from __future__ import annotations

from typing import Any

from intaglio.calibrate.plan import make_plan
from intaglio.ir.graph import Graph
from intaglio.numerics.plan import Plan
from intaglio.numerics.scheme import parse_scheme
from intaglio.targets.target import Target


def planned(graph: Graph, target: Target, scheme: str, **wishes: Any) -> tuple[Graph, Plan]:
    """Return the graph that is quantized, and its plan."""
    return make_plan(graph, target, parse_scheme(scheme), **wishes)


def plan_of(graph: Graph, target: Target, scheme: str, **wishes: Any) -> Plan:
    """Return the plan alone, for a graph in which no layer is kept in float."""
    return planned(graph, target, scheme, **wishes)[1]
