"""A graph in LiteRT's words: every node becomes one tensor of the file."""
