"""Benchmarks: every published figure can be made again by `make bench`."""
