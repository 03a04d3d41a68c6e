"""Everything that a network's outputs can be made into: boxes, or the class of each pixel."""

from __future__ import annotations

from intaglio.boxes.postprocess import PostProcess, TwoStage
from intaglio.maps.postprocess import MapPostProcess

Ending = PostProcess | TwoStage | MapPostProcess
"""How something for people comes of a network's outputs."""
FileEnding = PostProcess | MapPostProcess
"""Those of one network, which a runtime's file may end in."""
