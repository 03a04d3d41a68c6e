"""The network inside of what the user has in hand: wrappers, halves, other devices, odd signatures.

Capture works on a copy, so that whatever forward() leaves behind (a cached shape, a counter, a
mode) is not left in the user's module.
"""

from __future__ import annotations

import copy
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy
from torch.optim.swa_utils import AveragedModel

from intaglio.errors import CaptureError

Capture = TypeVar("Capture", bound=Callable[[nn.Module, Tensor], Any])
WRAPPERS: tuple[type[nn.Module], ...] = (
    nn.DataParallel,
    nn.parallel.DistributedDataParallel,
    AveragedModel,
)
"""Modules that hold the network as their `module`."""
COMPILED = "_orig_mod"
"""Where a compiled module holds the network; its class is not public."""
QUANTIZED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")
FLOAT_FUNCTIONAL = ("FloatFunctional", "FXFloatFunctional")
"""Named among these, but plain ops as long as nothing was converted."""
PREPARED = ("torch.ao.quantization.fake_quantize", "torch.ao.nn.qat", "torch.ao.nn.intrinsic.qat")
GUARDS = "_guards_fn"
"""A call in the module of an exported program that insists on the batch of its example."""


def on_a_copy(function: Capture) -> Capture:
    """Return the function of a module and an example, which is then given a plain copy of them.

    The copy is float32, on the CPU, in eval mode, and takes one tensor.
    """

    @functools.wraps(function)
    def work(model: nn.Module, example_input: Tensor) -> Any:
        """Return what the function makes of the copy; the user's module stays as it is."""
        network = unwrapped(model)
        example = plain_example(example_input)
        with borrowed(network) as module:
            return function(module, example)

    return cast(Capture, work)


def plain_example(example: Any) -> Any:
    """Return an example as float32 on the CPU, where it is of another real type; else itself."""
    is_real = isinstance(example, Tensor) and example.is_floating_point()
    if not is_real or example.device.type == "meta" or example.layout != torch.strided:
        return example
    return example.to("cpu", torch.float32)


def unwrapped(model: object) -> nn.Module:
    """Return the network inside of all wrappers, the user's own object.

    Raises:
        CaptureError: If it is no module with weights that could be read; says what to do.
    """
    while isinstance(model, nn.Module):
        inner = inner_of(model)
        if inner is None:
            break
        model = inner
    if not isinstance(model, nn.Module):
        raise CaptureError(not_a_module(model))
    _refuse_other_forms(model)
    _refuse_missing_weights(model)
    return model


def inner_of(module: nn.Module) -> nn.Module | None:
    """Return the module that a wrapper wraps; None where it is no wrapper."""
    inner = getattr(module, "module", None) if isinstance(module, WRAPPERS) else None
    if inner is None and COMPILED in module._modules:
        inner = module._modules[COMPILED]
    return inner if isinstance(inner, nn.Module) else None


def not_a_module(model: object) -> str:
    """Return why something in the place of a module is none, and what to do."""
    if isinstance(model, type):
        return f"the model is the class {model.__name__} itself: give a network, {model.__name__}()"
    if isinstance(model, dict):
        return (
            "the model is a dict, such as a state dict: build the network, load it with"
            " load_state_dict, and give the network"
        )
    if isinstance(model, torch.jit.ScriptFunction):
        return "the model is TorchScript: give the nn.Module that it was made from"
    if callable(model):
        name = getattr(model, "__name__", type(model).__name__)
        return f"the model is the function {name}: give an nn.Module whose forward() calls it"
    return (
        f"the model is a {type(model).__name__}: give an nn.Module, or a text or path such as"
        " 'net.pt2', 'mobilenet_v2' or 'package.module:factory'"
    )


def notes_of(model: nn.Module) -> tuple[str, ...]:
    """Return what the user should know of the way from their module to the copy."""
    said = []
    outer, module = model, inner_of(model)
    while module is not None:
        said.append(f"the network was taken out of its {type(outer).__name__}")
        outer, module = module, inner_of(module)
    tensors = [*outer.parameters(), *outer.buffers()]
    kinds = {one.dtype for one in tensors if one.is_floating_point()} - {torch.float32}
    if kinds:
        said.append(f"weights of {_names(kinds)} were converted to float32, on a copy")
    devices = {one.device.type for one in tensors} - {"cpu"}
    if devices:
        said.append(f"weights on {' and '.join(sorted(devices))} were copied to the CPU")
    return tuple(said)


def example_notes(example: object) -> tuple[str, ...]:
    """Return what the user should know of what `plain_example` did."""
    if not isinstance(example, Tensor) or example.dtype == torch.float32:
        return ()
    if plain_example(example) is example:
        return ()
    return (f"the example input of {_names([example.dtype])} was converted to float32",)


@contextmanager
def borrowed(model: nn.Module) -> Iterator[nn.Module]:
    """Give a copy of a network to work on: float32, on the CPU, in eval mode, one tensor in.

    Where a network cannot be copied, give itself, and put back all its attributes, buffers and
    modes at the end, whatever happens.

    Raises:
        CaptureError: If it cannot be copied, and would have to be converted.
    """
    is_plain = not notes_of(model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = copy.deepcopy(model, _shared(model) if is_plain else {})
    except Exception as error:  # attributes of the user's classes raise what they like
        if not is_plain:
            raise CaptureError(
                f"{type(model).__name__} has to be converted to float32 on the CPU, and cannot be"
                f" copied for it ({type(error).__name__}): call .float().cpu() yourself"
            ) from error
    else:
        yield _settled(made if is_plain else made.to("cpu", torch.float32))
        return
    with _put_back(model):
        yield _settled(model)


def _shared(model: nn.Module) -> dict[int, Any]:
    """Return the memo for a copy that shares what no forward() changes: parameters.

    Tensors that were computed (of an old weight_norm) could not be copied either.
    """
    memo: dict[int, Any] = {id(parameter): parameter for parameter in model.parameters()}
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value
    return memo


@contextmanager
def _put_back(model: nn.Module) -> Iterator[None]:
    """Put attributes back at the end, what is in those that are dicts or lists, and buffers."""
    holders = [vars(module) for module in model.modules()]
    before = [(holder, dict(holder)) for holder in holders]
    inside = [value for holder in holders for value in holder.values()]
    dicts = [(value, dict(value)) for value in inside if isinstance(value, dict)]
    lists = [(value, list(value)) for value in inside if isinstance(value, list)]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for holder, entries in (*before, *dicts):
            holder.clear()
            holder.update(entries)
        for items, kept in lists:
            items[:] = kept
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)


def _settled(module: nn.Module) -> nn.Module:
    """Return the module in eval mode, no wrapper left in it, with one argument of forward()."""
    module = _of_program(module) or module
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            inner: nn.Module | None = child
            while inner is not None:
                parent._modules[name], inner = inner, inner_of(inner)
            program = _of_program(parent._modules[name])
            if program is not None:
                parent._modules[name] = program
    module.eval()
    _take_one_argument(module)
    return module


def _of_program(module: nn.Module | None) -> nn.Module | None:
    """Return the module of an exported program for any batch, with modes; None for others."""
    if not isinstance(module, fx.GraphModule) or not hasattr(module, GUARDS):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = fx.GraphModule(module, copy.deepcopy(module.graph))
    for node in list(made.graph.nodes):
        if node.op == "call_module" and node.target == GUARDS and not node.users:
            made.graph.erase_node(node)
    made.recompile()
    return made


def _take_one_argument(module: nn.Module) -> None:
    """Give a module that takes its image as one of `*inputs` a forward() of one argument."""
    parameters = list(inspect.signature(module.forward).parameters.values())
    if not parameters or parameters[0].kind != inspect.Parameter.VAR_POSITIONAL:
        return
    if any(one.kind == one.KEYWORD_ONLY and one.default is one.empty for one in parameters):
        return
    given = module.forward

    def forward(image: Tensor) -> Any:
        """Return what the network makes of the image."""
        return given(image)

    module.forward = forward


def _refuse_other_forms(model: nn.Module) -> None:
    """Raise CaptureError for modules whose weights are not those of a float network."""
    for name, module in model.named_modules():
        kind, where = type(module), f"layer '{name}'" if name else "the model"
        if isinstance(module, torch.jit.ScriptModule):
            raise CaptureError(
                f"{where} is TorchScript ({kind.__name__}, a kind of ScriptModule), which cannot be"
                " captured: load the nn.Module that it was traced or scripted from, and its weights"
            )
        if kind.__module__.startswith(QUANTIZED) and kind.__name__ not in FLOAT_FUNCTIONAL:
            raise CaptureError(
                f"{where} is quantized already ({kind.__module__}.{kind.__name__}): give the float"
                " network that it was made from"
            )
        if kind.__module__.startswith(PREPARED):
            raise CaptureError(
                f"{where} is prepared for torch's own quantization ({kind.__name__}): give the"
                " float network that it was made from"
            )


def _refuse_missing_weights(model: nn.Module) -> None:
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if is_lazy(tensor):
            raise CaptureError(
                f"'{name}' has no shape yet: its layer is lazy and never ran; call the network once"
                " on an image, and load its weights"
            )
        if tensor.device.type == "meta":
            raise CaptureError(
                f"the weight '{name}' is on the meta device, where it has no values: build the"
                " network on the CPU, and load its weights"
            )


def _names(kinds: Sequence[torch.dtype] | set[torch.dtype]) -> str:
    return " and ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
