"""`python -m intaglio.demo [DIR]`: compress, evaluate and check a small MobileNetV2 on digits.

DIR is ./demo-out when it is left out. The functions called are those of the public API
(`intaglio.compress`, `intaglio.load`), as a user would call them.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from intaglio.demo.digits import LABELS, MODEL, PREPROCESS, Digits, build_network, load_digits
from intaglio.errors import OutputError, RequestError
from intaglio.host.folder import claim_place, whole_folder
from intaglio.host.place import Place
from intaglio.job.compress import compress
from intaglio.job.result import Result, load
from intaglio.recipe.options import Options, Provenance
from intaglio.store.weights import load_weights
from intaglio.targets.runtime import CheckCounts

CHECKPOINT = Path(__file__).parent / "digits.safetensors"
PLACE = Path("demo-out")
CHECKED = 64


def main(arguments: list[str]) -> int:
    """Run the demo; return the exit code."""
    place = Path(arguments[0]) if arguments else PLACE
    began = time.perf_counter()
    torch.set_num_threads(1)  # its layers are small: several threads mostly wait for each other
    try:
        claimed = _claimed(place)
        digits = load_digits()
        _say(_opening(digits))
        with whole_folder(claimed) as folder:
            compress_digits(digits).write_into(folder)
        result = load(place)  # what follows is of the saved files
        counts = result.target.check(result.files, result.twin, [digits.held_out.images[:CHECKED]])
    except RequestError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    seconds = time.perf_counter() - began
    _say(
        "\n".join([*summary(result, counts), *_places(place, result), f"Time      {seconds:.0f} s"])
    )
    return 1 if counts.mismatches else 0


def _claimed(place: Path) -> Place:
    """Return the place for the demo's result; an older one is replaced if it is this demo's."""
    claimed = claim_place(place, replace=True)
    if claimed.older is not None and claimed.older.model != MODEL:
        raise OutputError(f"{place} holds another result ({claimed.older}): give another folder")
    return claimed


def compress_digits(digits: Digits) -> Result:
    """Return the network of the checkpoint, compressed, and evaluated on the held-out digits."""
    network = build_network()
    load_weights(network, CHECKPOINT)
    where = Provenance(
        model=MODEL,
        data="scikit-learn digits, calibration part",
        images=len(digits.calibration.labels),
        preprocess=PREPROCESS,
        labels=LABELS,
    )
    return compress(
        network,
        torch.zeros(1, *digits.calibration.images.shape[1:]),
        data=digits.calibration.images,
        evaluate=(digits.held_out.images, digits.held_out.labels),
        recipe="plain",
        options=Options(provenance=where),
    )


def summary(result: Result, counts: CheckCounts) -> list[str]:
    """Return what was measured, one line each."""
    real, integer = result.report.float, result.report.integer
    size, name = len(result.content), result.target.file_name
    less = 1.0 - size / real.size_bytes
    return [
        f"Accuracy  float {real.figures['top1']:.1f} %, integer {integer.figures['top1']:.1f} % on"
        f" {integer.n} held-out"
        f" digits; both name the same digit for {integer.agreement:.1f} %",
        f"Size      float {real.size_bytes:,} bytes, {name} {size:,} bytes ({less:.0%} less)",
        f"Check     {counts.values_compared:,} values of {counts.images} held-out digits compared"
        f" between {name} and its twin, {counts.mismatches} differ ({result.target.runtime})",
    ]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _opening(digits: Digits) -> str:
    parts = (digits.train, digits.calibration, digits.held_out)
    train, calibration, held_out = (len(part.labels) for part in parts)
    return (
        f"Network   {MODEL}\n"
        f"Data      scikit-learn's handwritten digits, 8x8 pixels enlarged to 32x32, in three parts"
        f" that share no image:\n"
        f"          {train} that the checkpoint was trained on, {calibration} for calibration,"
        f" {held_out} held out"
    )


def _places(place: Path, result: Result) -> list[str]:
    return [
        f"Model     {place / result.target.file_name}",
        f"Report    {place / 'report.html'} (open it in a browser), {place / 'report.json'}",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
