"""What the file says about itself: how to prepare images, and what the classes are called."""

from __future__ import annotations

import json
from collections.abc import Sequence

from intaglio.data.preprocess import Preprocess, describe
from intaglio.ir.graph import Graph


def file_metadata(
    graph: Graph, preprocess: Preprocess | None, labels: Sequence[str], *, scheme: str
) -> dict[str, bytes]:
    """Return the named buffers to store in the file."""
    content = {
        "scheme": scheme,
        "preprocess": describe(preprocess) if preprocess else None,
        "labels": list(labels) or None,
    }
    return {"intaglio": json.dumps(content).encode("utf-8")}
