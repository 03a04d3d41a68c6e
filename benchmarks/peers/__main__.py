"""Run the peers and ourselves on the same network and images, and print the rows side by side.

python -m benchmarks.peers [--tool NAME]... [--environments DIR] [--recipe NAME]
    [--scheme NAME]... [--quick]

Environments are made under --environments (several GB; a second run finds them there). All of it
takes about an hour on one core. Rows that were not asked for stay in the results as they were, if
they were measured on this machine; --quick writes no results.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from benchmarks.peers import ours
from benchmarks.peers.catalog import FOUR_BITS, PER_CHANNEL, PER_TENSOR, SETTINGS, TOOLS, Setting
from benchmarks.peers.environment import PeerError, environment
from benchmarks.peers.exchange import CALIBRATION_IMAGES, Exchange, export
from benchmarks.peers.score import score
from benchmarks.places import RESULTS, write_result

NAME, COMMAND = "peers", "python -m benchmarks.peers"
QUICK_IMAGES = 200
NOT_MEASURED = "not measured on this machine so far"
OUR_RECIPES = {
    PER_CHANNEL: "accurate",
    PER_TENSOR: "accurate-per-tensor",
    FOUR_BITS: "accurate",
}
OUR_SCHEMES = {PER_CHANNEL: "w8a8", PER_TENSOR: "w8a8-per-tensor", FOUR_BITS: "w4a8"}


def main() -> None:
    """Measure the rows that were asked for; write benchmarks/results/peers.json."""
    arguments = _arguments()
    tools = tuple(arguments.tool or (ours.TOOL, *TOOLS))
    place = arguments.environments.resolve()
    place.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    try:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            exchange = export(Path(folder), QUICK_IMAGES if arguments.quick else None)
            for scheme in arguments.scheme or (PER_CHANNEL, PER_TENSOR):
                if ours.TOOL in tools:
                    recipe = arguments.recipe or OUR_RECIPES[scheme]
                    rows.append(_shown(our_row(scheme, recipe, exchange)))
                for setting in SETTINGS:
                    if setting.scheme == scheme and setting.tool in tools:
                        rows.append(_shown(peer_row(setting, place, exchange)))
    finally:  # an interrupted run keeps what it measured
        if rows and not arguments.quick:
            write_result(NAME, COMMAND, _with_earlier_rows(rows))


def our_row(scheme: str, recipe: str, exchange: Exchange) -> dict[str, Any]:
    """Return our row of a scheme; a failure is a row that says why."""
    row = {"scheme": scheme, "tool": ours.TOOL, "setting": f"recipe {recipe}, every bit known"}
    row |= {"calibration_images": CALIBRATION_IMAGES, "n": len(exchange.labels)}
    with tempfile.TemporaryDirectory(dir=exchange.folder) as folder:
        try:
            answer = ours.compress(OUR_SCHEMES[scheme], recipe, exchange.folder, Path(folder))
        except PeerError as error:
            return row | {"failed": str(error)}
    row |= _figures(answer.predictions, exchange)
    row |= {"seconds": answer.seconds, "cpu_seconds": answer.cpu_seconds}
    return row | {"versions": answer.versions}


def peer_row(setting: Setting, place: Path, exchange: Exchange) -> dict[str, Any]:
    """Return the row of a peer's setting; a failure is a row that says why."""
    row = _name(setting) | {"calibration_images": setting.calibration_images}
    row |= {"n": len(exchange.labels)}
    with tempfile.TemporaryDirectory(dir=exchange.folder) as folder:
        out = Path(folder) / "answer.json"
        script = f"benchmarks.peers.with_{setting.tool}"
        log = place / f"{setting.tool} {setting.name}.log"
        try:
            made = environment(setting.tool, place)
            made.run("-m", script, str(exchange.folder), setting.name, str(out), log=log)
        except PeerError as error:
            return row | {"failed": str(error)}
        answer = json.loads(out.read_text())
    row |= _figures(np.asarray(answer["predictions"]), exchange)
    row |= {"seconds": answer["seconds"], "cpu_seconds": answer["cpu_seconds"]}
    return row | {"versions": ", ".join(f"{k} {v}" for k, v in answer["versions"].items())}


def _figures(predictions: np.ndarray, exchange: Exchange) -> dict[str, float]:
    floats = exchange.float_predictions
    float_top1 = round(100.0 * float((floats == exchange.labels).mean()), 2)
    figures = score(predictions, labels=exchange.labels, float_predictions=floats)
    return {"float_top1": float_top1, **figures}


def _with_earlier_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return all rows: these, else those measured before on this machine, else that none was."""
    found = {_key(row): row for row in rows}
    path = RESULTS / f"{NAME}.json"
    if path.is_file():
        before = json.loads(path.read_text())
        if before["machine"] == machine():
            found = {_key(row): row for row in before["rows"]} | found
    names = [name for scheme in OUR_SCHEMES for name in _names(scheme)]
    return [found.get(_key(name), name | {"failed": NOT_MEASURED}) for name in names]


def _names(scheme: str) -> list[dict[str, Any]]:
    """Return what names the rows of a scheme, ours first."""
    peers = [_name(setting) for setting in SETTINGS if setting.scheme == scheme]
    return [{"scheme": scheme, "tool": ours.TOOL, "setting": ""}, *peers]


def _name(setting: Setting) -> dict[str, Any]:
    return {"scheme": setting.scheme, "tool": setting.tool, "setting": setting.text}


def _key(row: dict[str, Any]) -> tuple[str, str, str]:
    """Return what tells rows apart; of ours there is one for each scheme, whatever the recipe."""
    return row["scheme"], row["tool"], "" if row["tool"] == ours.TOOL else row["setting"]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    return row


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=COMMAND)
    parser.add_argument("--tool", action="append", choices=(ours.TOOL, *TOOLS))
    cache = Path(tempfile.gettempdir()) / "intaglio-peers"
    parser.add_argument("--environments", type=Path, default=cache, help=f"default {cache}")
    parser.add_argument("--recipe", help="of our own rows; accurate if left out")
    parser.add_argument(
        "--scheme",
        action="append",
        choices=tuple(OUR_SCHEMES),
        help="both of 8 bits if left out; w4a8 takes long",
    )
    parser.add_argument("--quick", action="store_true", help=f"judge on {QUICK_IMAGES} images")
    return parser.parse_args()


if __name__ == "__main__":
    main()
