"""Which layers stay in float because the target refuses them; and, without leave, how it is said.

All that is refused is refused at once: each layer with the true reason and what to do about it, and
whether letting layers stay in float would do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from intaglio.calibrate import make_plan
from intaglio.calibrate.float_islands import layers_called
from intaglio.cost.macs import count_macs
from intaglio.errors import RequestError, UnsupportedByTarget, UnsupportedLayers
from intaglio.ir.graph import Graph, Node
from intaglio.numerics.plan import Plan
from intaglio.ops.traits import WEIGHTED
from intaglio.ops.unknown_call import follows_from_another
from intaglio.recipe.settings import Settings

LAYERS_NAMED, GROUPS_NAMED, ALIKE_NAMED = 8, 5, 3
"""How many layers a message names in all, how many kinds of them, and of each kind."""
NO_FORM = "no integer form of"
BESIDE = "part of a layer that has"


def planned(
    graph: Graph, settings: Settings, tails: Mapping[str, str] | None = None
) -> tuple[Graph, Plan]:
    """Return the graph that is quantized, with the borders of float islands, and its plan."""
    return make_plan(
        graph,
        settings.target,
        settings.scheme,
        keep_float=settings.keep_float,
        weight_bits=settings.weight_bits,
        float_tails=tails,
    )


def held_settings(graph: Graph, settings: Settings) -> Settings:
    """Return the settings with which the target holds a lowered graph.

    Raises:
        UnsupportedByTarget: If there are none; names all layers that it refuses.
        RequestError: If nothing with weights would be left to quantize.
    """
    while True:
        refusals = settings.target.refusals(*planned(graph, _held(settings)))
        if not refusals:
            return settings
        wider = widened(graph, settings, refusals) if settings.allow_float else None
        if wider is None:
            raise refused(graph, settings, refusals)
        settings = wider


def _held(settings: Settings) -> Settings:
    """Return the settings with bits that the target holds: no other reason to refuse is theirs."""
    if not settings.is_simulated or settings.target.computes_reals:
        return settings
    return replace(settings, scheme=settings.target.widest_scheme, weight_bits={})


def widened(
    graph: Graph, settings: Settings, refusals: Iterable[UnsupportedByTarget]
) -> Settings | None:
    """Return the settings that keep what was refused in float too, with what belongs to it.

    None where none of it can be kept, or all of it is in float already.

    Raises:
        RequestError: If nothing with weights would be left to quantize.
    """
    reasons = dict(settings.float_reasons)
    for refusal in refusals:
        node = graph.nodes.get(refusal.node)
        if node is None or node.op == "opaque":  # float is no form of it either
            continue
        why = refusal.reason.removeprefix("there is no integer form of it").lstrip(": ")
        said = f"{NO_FORM} {refusal.op}" + (f": {why}" if why else "")
        reasons.setdefault(refusal.node, said)
        for name in same_layer(graph, node):
            reasons.setdefault(name, f"{BESIDE} {said}")
    return kept_too(graph, settings, reasons)


def kept_too(graph: Graph, settings: Settings, reasons: Mapping[str, str]) -> Settings | None:
    """Return the settings that keep more nodes in float, each with the reason; None: no more.

    Raises:
        RequestError: If nothing with weights would be left to quantize.
    """
    new = [name for name in reasons if name not in settings.keep_float]
    if not new:
        return None
    made = replace(settings, keep_float=(*settings.keep_float, *new), float_reasons=dict(reasons))
    weighted = [node for node in graph if node.op in WEIGHTED]
    kept = {node.name for layer in made.keep_float for node in layers_called(graph, layer)}
    if weighted and all(node.name in kept for node in weighted):
        why = reasons.get(weighted[0].name, "asked for")
        raise RequestError(
            f"all {len(weighted)} layers with weights would stay in float (first"
            f" '{_layer(weighted[0])}': {why}), and nothing would be left to quantize on"
            f" {settings.target.name}: use the float network, or another target"
        )
    return made


def same_layer(graph: Graph, node: Node) -> list[str]:
    """Return what a layer of the user's consists of beside a node of it, reached through it alone.

    Layers with weights are layers of their own.
    """
    if not node.source:
        return []
    found, waiting = {node.name}, [node]
    for each in waiting:
        near = [*graph.readers(each.name), *(graph[name] for name in each.inputs)]
        for other in near:
            alike = other.source == node.source and other.op not in WEIGHTED
            if alike and other.name not in found and other.op != "input":
                found.add(other.name)
                waiting.append(other)
    return [name for name in graph.nodes if name in found and name != node.name]


def refused(
    graph: Graph, settings: Settings, refusals: Sequence[UnsupportedByTarget]
) -> UnsupportedByTarget:
    """Return the error that names every refused layer once, and says whether float would do."""
    causes = [refusal for refusal in refusals if not _follows(graph, refusal)]
    told = list({(one.layer, one.op, one.reason): one for one in causes or refusals}.values())
    remark = "" if settings.allow_float else _in_float_instead(graph, settings, refusals)
    if len({one.layer for one in told}) == 1:
        first = told[0]
        return UnsupportedByTarget(
            first.layer,
            first.op,
            first.target,
            reason=first.reason,
            try_instead=first.try_instead + remark,
            node=first.node,
        )
    return UnsupportedLayers(tuple(told), _message(told, settings.target.name) + f"{remark}.")


def _follows(graph: Graph, refusal: UnsupportedByTarget) -> bool:
    node = graph.nodes.get(refusal.node)
    if node is None:
        return False
    if node.op == "constant":
        return all(reader.op == "opaque" for reader in graph.readers(node.name))
    return node.op == "opaque" and follows_from_another(graph, node)


def _in_float_instead(
    graph: Graph, settings: Settings, refusals: Sequence[UnsupportedByTarget]
) -> str:
    """Return the sentence that offers float islands, with their price; "" where they do not do."""
    try:
        wider = widened(graph, replace(settings, allow_float=True), refusals)
        if wider is None or any(
            graph[one.node].op == "opaque" for one in refusals if one.node in graph.nodes
        ):
            return ""
        allowed = held_settings(graph, wider)
    except RequestError:
        return ""
    made, plan = planned(graph, allowed)
    layers = {_layer(made[name]) for name in allowed.float_reasons}
    count = f"{len(layers)} layer{'s' * (len(layers) != 1)}"
    return (
        f". Or pass --allow-float (Options(allow_float=True)): {count},"
        f" {macs_in_float(made, plan):.1f} % of the multiply-accumulates, would stay in float"
    )


def macs_in_float(graph: Graph, plan: Plan) -> float:
    """Return the percent of a planned graph's multiply-accumulates that stay in float."""
    counted = count_macs(graph)
    total = sum(counted.values())
    kept = sum(count for name, count in counted.items() if name in plan.kept_float)
    return 100.0 * kept / total if total else 0.0


def _message(refusals: Sequence[UnsupportedByTarget], target: str) -> str:
    """Return sentences that name layers of each kind together; the last without its full stop."""
    kinds: dict[tuple[str, str], list[UnsupportedByTarget]] = {}
    for one in refusals:
        kinds.setdefault((one.op, one.reason), []).append(one)
    named, said = 0, []
    for (op, reason), alike in list(kinds.items())[:GROUPS_NAMED]:
        shown = [f"'{one.layer}'" for one in alike[: min(ALIKE_NAMED, LAYERS_NAMED - named)]]
        if not shown:
            break
        named += len(alike)
        more = f" and {len(alike) - len(shown)} more" if len(alike) > len(shown) else ""
        said.append(f"{', '.join(shown)}{more} ({op}): {reason}. {alike[0].try_instead}")
    if len(refusals) > named:
        said.append(f"And {len(refusals) - named} more")
    return f"{target} cannot hold {len(refusals)} layers: " + ". ".join(said)


def _layer(node: Node) -> str:
    return node.source or node.name
