"""Ops that the reader of modules makes of no ATen call, and who makes them."""

from __future__ import annotations

REFUSED = {
    "affine": "no call means it: it is what batch_norm_to_affine makes of a batch norm",
    "depth_to_space": "torch's pixel_shuffle orders channels otherwise: lower_nearest makes it",
    "quantize": "no network has one: the plan puts it where float values enter integer layers",
    "rescale": "a module says mul or div by a number: multiply_by_scalar and lowering make it",
}
"""All others stand in the tables of ATen calls (aten.py, aten_shape.py), or end a program."""
