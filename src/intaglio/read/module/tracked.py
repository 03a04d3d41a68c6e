"""Networks whose forward() computes weights behind torch.export's back, through `.data`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

READ, WRITTEN = Tensor.data.__get__, Tensor.data.__set__  # type: ignore[attr-defined]


class DataTracked(TorchFunctionMode):
    """While it is active `.data` is a tensor like any other: what is made of it can be traced.

    What is written into the `.data` of a tensor stands for that tensor from then on.
    """

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return what the function makes of its arguments, or of what stands for them."""
        if func == WRITTEN:
            target, value = args
            self._written[id(target)] = (target, self._now(value))
            return None
        args, kwargs = pytree.tree_map_only(Tensor, self._now, (args, dict(kwargs or {})))
        return args[0].detach() if func == READ else func(*args, **kwargs)

    def _now(self, tensor: Tensor) -> Tensor:
        return self._written.get(id(tensor), (tensor, tensor))[1]


def track_data(module: nn.Module) -> None:
    """Let a module's forward() run with `.data` tracked."""
    given = module.forward

    def forward(image: Tensor) -> Any:
        """Return what the network makes of the image."""
        with DataTracked():
            return given(image)

    module.forward = forward
