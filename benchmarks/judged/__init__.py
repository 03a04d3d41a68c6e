"""Twelve kinds of small networks, and what they are worth, counted without intaglio."""
