"""Graphs, encodings and weights as files, which are read as those of a stranger."""
