"""From an nn.Module to a graph: torch.export is the door, and a table turns its calls into ops."""
