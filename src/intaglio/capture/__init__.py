"""From an nn.Module, or a saved exported program, to a graph."""

from intaglio.capture import aten_shape
from intaglio.capture.export import capture, graph_of_program

__all__ = ["aten_shape", "capture", "graph_of_program"]
