"""What reaches a core while the whole network runs over data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from intaglio.read.module.core_module import checked_entry, entry_of
from intaglio.read.module.core_whole import Core, Whole
from intaglio.read.module.unwrap import plain_example


def core_inputs(whole: Whole, core: Core, batches: Iterable[object]) -> Iterator[Tensor]:
    """Give what a core is given for each batch: [N, C, H, W] or [N, F] float32.

    Each run ends where the core is entered. A batch in which nothing reaches it (no region was
    proposed) gives nothing.

    Args:
        batches: What the module takes: each a tensor, or a list of images.

    Raises:
        DataError: If an input is of another size than the example's; names both.
    """
    for batch in batches:
        entry = _entry(whole.module, core, batch)
        if entry is not None and len(entry):
            yield checked_entry(entry, core.name, core.module.core_plan)


def core_outputs(whole: Whole, core: Core, batch: object) -> tuple[Tensor, ...]:
    """Return what a core makes of one batch, in the order of its output names.

    () where nothing reaches it.

    Raises:
        DataError: If its input is of another size than the example's; names both.
    """
    for entry in core_inputs(whole, core, [batch]):
        with torch.no_grad():
            made: tuple[Tensor, ...] = core.module(entry)
        return made
    return ()


class _Reached(BaseException):
    """Ends a run; no handler of errors in the user's code may stop it."""

    def __init__(self, entry: Tensor) -> None:
        super().__init__()
        self.entry = entry


def _entry(module: nn.Module, core: Core, batch: object) -> Tensor | None:
    step = core.module.core_plan.steps[0]

    def stop(part: nn.Module, args: Any, kwargs: Any) -> NoReturn:
        """End the run with what the core's first piece is given."""
        raise _Reached(entry_of(step, (args, kwargs)))

    part = module.get_submodule(step.place)
    hook = part.register_forward_pre_hook(stop, prepend=True, with_kwargs=True)
    try:
        with torch.no_grad():
            module(pytree.tree_map_only(Tensor, plain_example, batch))
    except _Reached as reached:
        return reached.entry
    finally:
        hook.remove()
    return None
