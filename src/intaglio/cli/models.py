"""`intaglio models`: the zoo."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intaglio.cli import options
from intaglio.cli.screen import print_json, print_table
from intaglio.data.preprocess import describe
from intaglio.zoo import ZOO, ZooEntry

COUNTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def models(as_json: options.AsJson = False) -> None:
    """List the networks of the zoo: parameters, multiply-accumulates, input, preprocessing."""
    rows = [_described(ZOO[name]) for name in ZOO]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("name", "parameters", "MACs", "input", "preprocess"),
        [
            (
                row["name"],
                f"{row['params']:,}",
                f"{row['macs']:,}",
                "x".join(map(str, row["input_shape"])),
                _one_line(row["preprocess"]),
            )
            for row in rows
        ],
        right=("parameters", "MACs"),
    )


def _described(entry: ZooEntry) -> dict[str, Any]:
    with torch.device("meta"):  # shapes alone: nothing is computed
        network = entry.build().eval()
        macs = count_macs(network, torch.empty(entry.input_shape))
    return {
        "name": entry.name,
        "params": sum(weight.numel() for weight in network.parameters()),
        "macs": macs,
        "input_shape": list(entry.input_shape),
        "preprocess": describe(entry.preprocess),
    }


def count_macs(network: nn.Module, images: Tensor) -> int:
    """Return the multiply-accumulates of one image through the layers of COUNTED.

    The same count as `intaglio.cost.macs` makes of a captured graph, which takes seconds a network;
    for modules that are called, as all of the zoo's are.
    """
    found: list[int] = []

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        places = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        weight: Tensor = layer.weight  # type: ignore[assignment]
        found.append(places[0].numel() * weight[0].numel())

    hooks = [
        layer.register_forward_hook(add)
        for layer in network.modules()
        if isinstance(layer, COUNTED)
    ]
    with torch.no_grad():
        network(images[:1])
    for hook in hooks:
        hook.remove()
    return sum(found)


def _one_line(preprocess: dict[str, Any]) -> str:
    return ", ".join(
        f"{part} {'/'.join(map(str, value)) if isinstance(value, list) else value}"
        for part, value in preprocess.items()
        if value is not None
    )
