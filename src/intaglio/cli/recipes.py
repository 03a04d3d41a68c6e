"""`intaglio recipes`: what can be done to a network."""

from __future__ import annotations

from intaglio.cli.names import RECIPES
from intaglio.cli.options import ListRequest
from intaglio.cli.screen import print_json, print_table


def run(request: ListRequest) -> None:
    """Show each recipe's name, and one line on what it does."""
    if request.as_json:
        print_json(RECIPES)
        return
    rows = [(row["name"], row["description"]) for row in RECIPES]
    print_table(("name", "what it does"), rows, right=())
