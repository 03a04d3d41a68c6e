"""Ops that the reader of modules makes of no ATen call, and who makes them."""

from __future__ import annotations

REFUSED = {
    "quantize": "no network has one: the plan puts it where float values enter integer layers",
    "rescale": "a module says mul or div by a number: multiply_by_scalar and lowering make it",
}
"""All others stand in the tables of ATen calls, or end a program."""
