"""The graph: nodes by name and their float32 weights; how it is edited, printed and laid out."""
