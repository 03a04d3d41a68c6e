"""From what a user calls a network to a graph: `intaglio.read(model, ...)` opens it.

`intaglio.read` is this package, and the public function `read` of `read/source.py` as well. As soon
as any file of it is imported, Python binds the package to the name `read` of `intaglio`, and a
function there would be lost. So the package itself can be called: it has a class of its own, which
Python's data model allows under "Customizing module attribute access". What a call takes and
returns is written at `intaglio.read.source.read`.
"""

import inspect
import sys
from types import ModuleType

from intaglio.read.module import aten_shape
from intaglio.read.module.export import capture
from intaglio.read.module.program import graph_of_program
from intaglio.read.source import read

__all__ = ["aten_shape", "capture", "graph_of_program", "read"]


class _Callable(ModuleType):
    """A module that is called like `read`."""

    __call__ = staticmethod(read)
    __signature__ = inspect.signature(read)


sys.modules[__name__].__class__ = _Callable
