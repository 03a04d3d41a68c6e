"""The pages of benchmarks/results from the results beside them: nothing in them is typed by hand.

python -m benchmarks.tables
"""

from __future__ import annotations

import json

from benchmarks.markdown import table
from benchmarks.places import RESULTS
from benchmarks.public.page import PUBLIC, latest, page, rows_of_all
from benchmarks.training import page as training

HEAD = """# Measured

Each table is made by the command above it and written by `python -m benchmarks.tables`. All of
them together: `make bench`. The accuracy sets are easier than the full ImageNet validation set:
compare a row's integer network with its own float network, never with published figures.
"""
ABOUT_PUBLIC = """Hundreds of public network definitions, which the repository does not hold, are on
a page of their own: [public.md](public.md).
"""
ABOUT_TRAINING = "Training is on a page of its own: [training.md](training.md).\n"


def main() -> None:
    """Write README.md, and public.md and training.md where there are rows for them."""
    parts = [HEAD]
    public = latest(rows_of_all(sorted(PUBLIC.glob("*.json"))))
    if public:
        (RESULTS / "public.md").write_text(page(public))
        parts.append(ABOUT_PUBLIC)
    about_training = training.page(training.TRAINING)
    if about_training:
        (RESULTS / "training.md").write_text(about_training)
        parts.append(ABOUT_TRAINING)
    for path in sorted(RESULTS.glob("*.json")):
        content = json.loads(path.read_text())
        parts.append(f"## {path.stem}\n\n`{content['command']}`\n")
        machine = content["machine"]
        parts.append("; ".join(f"{key}: {value}" for key, value in machine.items()) + "\n")
        parts.append(table(content["rows"]))
    (RESULTS / "README.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
