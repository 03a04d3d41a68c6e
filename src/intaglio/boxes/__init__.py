"""Boxes: from a detector's numbers to what it found. NumPy alone, so that a device can run it."""
