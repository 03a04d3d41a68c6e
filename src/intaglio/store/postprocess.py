"""postprocess.json: how boxes come of a detector's outputs, read as the file of a stranger."""

from __future__ import annotations

import json
from pathlib import Path

from intaglio.boxes.as_data import as_json, from_json
from intaglio.boxes.postprocess import PostProcess, TwoStage
from intaglio.errors import RequestError
from intaglio.host.strict_json import read_json


def postprocess_text(post: PostProcess | TwoStage) -> str:
    """Return the text of the file."""
    return json.dumps(as_json(post), indent=1) + "\n"


def read_postprocess(path: Path) -> PostProcess | TwoStage | None:
    """Return what the file says; None where there is none.

    Raises:
        RequestError: If it is damaged; names what is wrong.
    """
    if not path.is_file():
        return None
    try:
        return from_json(read_json(path))
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: is damaged, or of another version: {error}") from error
