"""Detectors measured: float figures, integers with and without images, training."""
