"""What is copied to a device beside a detector's file: a runner in NumPy and LiteRT alone."""
