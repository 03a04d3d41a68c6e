"""Maps: from a segmenter's numbers to a class for each pixel. NumPy alone."""
