"""The momenta of Adam as tensors by name, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def adam_tensors(adam: torch.optim.Adam) -> dict[str, Tensor]:
    """Return its momenta, by parameter and what they are."""
    return {
        f"{index}.{key}": value
        for index, state in adam.state_dict()["state"].items()
        for key, value in state.items()
    }


def restore_adam(adam: torch.optim.Adam, tensors: Mapping[str, Tensor]) -> None:
    """Take over what `adam_tensors` returned; what it does not have is as at the start."""
    state: dict[int, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        index, key = path.split(".", 1)
        state.setdefault(int(index), {})[key] = value.clone()  # torch changes it in place
    adam.load_state_dict({"state": state, "param_groups": adam.state_dict()["param_groups"]})
