"""`intaglio recipes`: what can be done to a network."""

from __future__ import annotations

from intaglio.cli import options
from intaglio.cli.screen import print_json, print_table
from intaglio.recipe.recipe import RECIPES


def recipes(as_json: options.AsJson = False) -> None:
    """List the recipes by name, each with one line on what it does."""
    rows = [(name, RECIPES[name].description) for name in RECIPES]
    if as_json:
        print_json([{"name": name, "description": text} for name, text in rows])
    else:
        print_table(("name", "what it does"), rows, right=())
