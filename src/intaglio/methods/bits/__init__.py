"""Bits of each weight: what fewer of them cost, and the best choice under a size."""
