"""A run made again with more layers in float: where the target refuses, and where outputs suffer.

Both are known only when images have gone by: scales that no kernel takes, and normalizations whose
errors the layers behind them amplify. Each is mended by one more run on the same images, and only
where layers may stay in float.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from intaglio.errors import RequestError, UnsupportedByTarget
from intaglio.ir.graph import Graph
from intaglio.job.islands import held_settings, kept_too, refused, same_layer, widened
from intaglio.job.outcome import POOR_DB, Outcome
from intaglio.recipe.settings import Settings
from intaglio.run.twin import Twin

ROUNDS = 8
"""Runs that may end with a layer refused for its scales; then it is refused."""
AMPLIFYING = ("function", "softmax")
"""Ops of which normalizations and attention are made: the layers that hold one are tried."""
WORTH_DB = 1.0
"""What float must gain at least: less is chance, and float is slower."""
NAMED = 4


@dataclass(frozen=True, eq=False)
class Made:
    """What one run made: the network, its twin, and its files by name."""

    outcome: Outcome
    twin: Twin
    files: dict[str, bytes]

    @property
    def sqnr_db(self) -> float | None:
        """SQNR of the output that has the lowest, on images of the run; None where none judged."""
        judgement = self.outcome.judgement
        return None if judgement is None else judgement.sqnr_db


def made_with_islands(
    graph: Graph, settings: Settings, run: Callable[[Settings], Made], *, again: bool
) -> Made:
    """Return what a run makes, with layers in float where that is allowed and of use.

    Args:
        graph: The lowered network.
        settings: With which the target holds it, as far as that is known without images.
        run: Makes everything, on the same images each time.
        again: Whether it can be called a second time.

    Raises:
        UnsupportedByTarget: If a layer is refused, and cannot or may not stay in float.
    """
    may_widen = settings.allow_float and again
    for left in reversed(range(ROUNDS)):
        try:
            made = run(settings)
            break
        except UnsupportedByTarget as refusal:
            wider = widened(graph, settings, [refusal]) if may_widen and left else None
            if wider is None:
                raise refused(graph, settings, [refusal]) from refusal
            settings = held_settings(graph, wider)
    is_poor = made.sqnr_db is not None and made.sqnr_db < POOR_DB
    if not may_widen or not is_poor or settings.recipe.search:
        return made
    return _without_amplifying(graph, settings, run, made)


def _without_amplifying(
    graph: Graph, settings: Settings, run: Callable[[Settings], Made], made: Made
) -> Made:
    """Return what a run makes with normalizations and attention in float, where that is better."""
    layers = amplifying_layers(graph, settings)
    before = made.sqnr_db
    assert before is not None, "an output was judged"
    why = f"in integers an output kept {before:.1f} dB alone (allow_float)"
    try:
        reasons = {**dict.fromkeys(layers, why), **settings.float_reasons}
        wider = kept_too(graph, settings, reasons)
        other = None if wider is None else run(held_settings(graph, wider))
    except RequestError:  # nothing would be left in integers, or the runtime lacks a form of it
        return made
    if other is None or other.sqnr_db is None or other.sqnr_db < before + WORTH_DB:
        return made
    sources = list(dict.fromkeys(graph[name].source or name for name in layers))
    shown = ", ".join(f"'{source}'" for source in sources[:NAMED])
    more = f" and {len(sources) - NAMED} more" if len(sources) > NAMED else ""
    warning = (
        f"normalizations and attention were put in float (allow_float): {shown}{more}. The lowest"
        f" output has {other.sqnr_db:.1f} dB so, and {before:.1f} dB with them in integers"
    )
    outcome = replace(other.outcome, warnings=[*other.outcome.warnings, warning])
    return replace(other, outcome=outcome)


def amplifying_layers(graph: Graph, settings: Settings) -> list[str]:
    """Return the nodes of layers that normalize or attend, and are not in float yet."""
    found: dict[str, None] = {}
    for node in graph:
        if node.op in AMPLIFYING and node.name not in found:
            found |= dict.fromkeys([node.name, *same_layer(graph, node)])
    kept = set(settings.keep_float)
    return [name for name in graph.nodes if name in found and name not in kept]
