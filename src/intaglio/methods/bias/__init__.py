"""Bias correction: each channel's mean is again what it is in the float network."""
