"""A module and the parts of it that can be captured."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from intaglio.errors import UnknownName
from intaglio.read.module.core_module import CoreModule


@dataclass(frozen=True, eq=False)
class Core:
    """A part of a module that computes tensors from one tensor.

    Attributes:
        name: Path of its first piece; no two cores have the same.
        places: Paths of its pieces in the order of their calls; repeated where one is called again.
        module: Takes `example`, returns a tuple of tensors.
        example: [N, C, H, W] or [N, F] float32, what it was given when the module ran.
        output_names: Of the tensors that it returns: path of the piece, then where in its result.
        share: Of the module's weights (those of two axes and more), 0..1.
        entered: Cores are entered in the rising order of it; the first is given the pictures.
    """

    name: str
    places: tuple[str, ...]
    module: CoreModule
    example: Tensor
    output_names: tuple[str, ...]
    share: float
    entered: int


@dataclass(frozen=True, eq=False)
class Whole:
    """A module and its cores.

    Attributes:
        module: A copy of the user's, float32 on the CPU, in eval mode. The cores are parts of it.
        cores: With the most weights first.
        left_out: A sentence for each part with weights that is in no core.
        example: What the module took when it was cut.
    """

    module: nn.Module
    cores: tuple[Core, ...]
    left_out: tuple[str, ...] = ()
    example: object = None

    def core(self, name: str) -> Core:
        """Return the core of that name.

        Raises:
            UnknownName: If there is none.
        """
        for core in self.cores:
            if core.name == name:
                return core
        known = ", ".join(core.name for core in self.cores)
        raise UnknownName(f"{type(self.module).__name__} has no core '{name}': known: {known}")
