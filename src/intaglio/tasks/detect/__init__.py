"""Detectors: their average precision, how sure a loss of it is, and whether two find the same."""
