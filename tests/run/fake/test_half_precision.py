"""A network under autocast: what is computed in half precision, and what is not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from intaglio.run.float import run_float
from run.fake.deployed import architecture, train_steps, twin_of

HALVES = {torch.float16, torch.bfloat16}
IN_HALF = {"convolution", "convolution_backward", "addmm", "mm", "bmm"}
"""What the chosen precision is for; biases' gradients are sums of the same call."""
MOVES = {"_to_copy", "sum", "t", "view", "detach", "expand", "clone", "transpose", "_unsafe_view"}


class Halves(TorchDispatchMode):
    """Notes every op of torch that takes in or gives out a tensor in half precision.

    Attributes:
        seen: Their names.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute; note."""
        found = func(*args, **(kwargs or {}))
        leaves = pytree.tree_leaves((args, kwargs, found))
        if any(isinstance(leaf, torch.Tensor) and leaf.dtype in HALVES for leaf in leaves):
            self.seen.add(func.overloadpacket.__name__)
        return found


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("method", ["lsq", "lsq+", "pact", "held", "fixed"])
def test_only_convolutions_and_products_of_a_network_on_grids_are_in_half_precision(method, frozen):
    ready = architecture("mobilenet_manual")
    network = ready.trainable(method)
    if frozen:
        network.freeze_norms()
    network.train()

    with Halves() as halves:
        with torch.autocast("cpu", torch.bfloat16):
            outputs = network(ready.images)
        torch.stack([output.float().square().mean() for output in outputs]).sum().backward()

    assert halves.seen & IN_HALF
    assert halves.seen <= IN_HALF | MOVES
    assert {value.dtype for value in network.state_dict().values()} & HALVES == set()
    gradients = [one.grad.dtype for one in network.parameters() if one.grad is not None]
    assert set(gradients) == {torch.float32}


@pytest.mark.parametrize("dtype", sorted(HALVES, key=str))
@pytest.mark.parametrize("name", ["mobilenet_manual", "regnet_y", "squeezenet"])
def test_the_integers_of_an_exact_network_are_the_same_in_half_precision(name, dtype):
    ready = architecture(name)
    network = ready.trainable(exact=True)
    train_steps(network.train(), ready.images, 2)
    network.freeze_norms()

    for training in (False, True):
        network.train(training)
        network.observes = False
        with torch.no_grad():
            exact = network(ready.images)
            with torch.autocast("cpu", dtype):
                found = network(ready.images)
        assert all(torch.equal(*both) for both in zip(found, exact, strict=True))


def test_a_twin_computes_the_same_integers_in_half_precision_and_a_float_network_does_not():
    ready = architecture("mobilenet_manual")
    twin, images = twin_of(ready.trainable()), ready.images
    exact, real = twin.outputs(images), run_float(ready.graph, images)

    with torch.autocast("cpu", torch.bfloat16):
        found, rounded = twin.outputs(images), run_float(ready.graph, images)

    assert all(torch.equal(*both) for both in zip(found, exact, strict=True))
    assert not torch.equal(rounded[0], real[0])
