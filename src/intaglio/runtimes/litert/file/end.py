"""How a file ends where it does not end in its network's outputs: in boxes, or in classes."""

from __future__ import annotations

from collections.abc import Sequence

from intaglio.ir.graph import Graph
from intaglio.maps.postprocess import MapPostProcess
from intaglio.numerics.encodings import Encodings
from intaglio.runtimes.litert.file import detection_fit
from intaglio.runtimes.litert.file.detection_end import detection_end
from intaglio.runtimes.litert.file.detection_fit import DetectionEnd, Shapes
from intaglio.runtimes.litert.file.map_end import MapEnd, map_differences, map_end, map_misfit
from intaglio.targets.ending import Ending, FileEnding

End = DetectionEnd | MapEnd


def end_of(post: FileEnding, graph: Graph, encodings: Encodings, labels: Sequence[str] = ()) -> End:
    """Return how the file of a lowered graph ends.

    Args:
        post: What the graph's outputs mean.
        labels: Names of classes, where the network brings none.

    Raises:
        RequestError: If the runtime has no operators for it.
    """
    if isinstance(post, MapPostProcess):
        return map_end(post, graph, labels)
    return detection_end(post, graph, encodings, labels)


def misfit(post: Ending | None, shapes: Shapes) -> str | None:
    """Return why a file cannot end in what comes of outputs of these shapes; None: it can."""
    if isinstance(post, MapPostProcess):
        return map_misfit(post, shapes)
    return detection_fit.misfit(post, shapes)


def differences(post: FileEnding) -> tuple[str, ...]:
    """Return how the file's end differs from what we make of the same outputs, in sentences."""
    if isinstance(post, MapPostProcess):
        return map_differences(post)
    return detection_fit.differences(post)
