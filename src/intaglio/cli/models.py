"""`intaglio models`: the zoo."""

from __future__ import annotations

from typing import Any

from intaglio.cli.names import MODELS
from intaglio.cli.options import ListRequest
from intaglio.cli.screen import print_json, print_table


def run(request: ListRequest) -> None:
    """Show each network's task, parameters, multiply-accumulates, input and preprocessing."""
    if request.as_json:
        print_json(MODELS)
        return
    print_table(
        ("name", "task", "parameters", "MACs", "input", "preprocess"),
        [
            (
                row["name"],
                row["task"],
                f"{row['params']:,}",
                f"{row['macs']:,}",
                "x".join(map(str, row["input_shape"])),
                _one_line(row["preprocess"]),
            )
            for row in MODELS
        ],
        right=("parameters", "MACs"),
    )


def _one_line(preprocess: dict[str, Any]) -> str:
    return ", ".join(
        f"{part} {'/'.join(f'{one:.6g}' for one in value) if isinstance(value, list) else value}"
        for part, value in preprocess.items()
        if value is not None
    )
