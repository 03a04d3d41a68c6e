"""Scales on which LiteRT's kernels are exact and agree on every processor."""
