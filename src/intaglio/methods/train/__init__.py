"""Quantization-aware training: what it adds to the loop of methods/learn."""
