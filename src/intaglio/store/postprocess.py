"""postprocess.json: what a network's outputs are made into, read as the file of a stranger."""

from __future__ import annotations

import json
from pathlib import Path

from intaglio.boxes import as_data as boxes
from intaglio.errors import RequestError
from intaglio.host.strict_json import read_json
from intaglio.maps import as_data as maps
from intaglio.maps.postprocess import MapPostProcess
from intaglio.targets.ending import Ending


def postprocess_text(post: Ending) -> str:
    """Return the text of the file."""
    data = maps.as_json(post) if isinstance(post, MapPostProcess) else boxes.as_json(post)
    return json.dumps(data, indent=1) + "\n"


def read_postprocess(path: Path) -> Ending | None:
    """Return what the file says; None where there is none.

    Raises:
        RequestError: If it is damaged; names what is wrong.
    """
    if not path.is_file():
        return None
    try:
        data = read_json(path)
        is_map = isinstance(data, dict) and data.get("kind") == maps.KIND
        return maps.from_json(data) if is_map else boxes.from_json(data)
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: is damaged, or of another version: {error}") from error
