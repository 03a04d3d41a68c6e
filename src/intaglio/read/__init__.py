"""From an nn.Module, or a saved exported program, to a graph."""

from intaglio.read.module import aten_shape
from intaglio.read.module.export import capture, graph_of_program

__all__ = ["aten_shape", "capture", "graph_of_program"]
