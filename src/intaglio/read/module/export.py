"""From an nn.Module, or an exported program, to a Graph: torch.export is the front door.

The graph's float run is bit-equal to the module in eval mode, where the module's weights lie as
torch makes them: capture renames and reorders nothing that could change a rounding. Weights in
another layout (channels last, views) are laid out so (`ir.storage`). What capture does not know
becomes an `opaque` node.
"""

from __future__ import annotations

import inspect
import io
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export
from torch.export.graph_signature import OutputKind
from torch.utils import _pytree as pytree

from intaglio.errors import CaptureError, GraphError, NonFiniteError
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.ir.storage import settled_all
from intaglio.ops.verify import schemas_hold, verify
from intaglio.read.module.aten import ATEN, IDENTITY, SKIPPED, build_opaque
from intaglio.read.module.builder import Builder, NoValue, Pieces
from intaglio.read.module.unwrap import on_a_copy
from intaglio.run.float import infer_shapes

LARGEST = 2**31 - 1
"""Values of a tensor for one image."""
WRAP = "wrap it in a module whose forward takes the image alone"


@on_a_copy
def capture(model: nn.Module, example_input: Tensor) -> Graph:
    """Return the graph of `model` in eval mode, with a symbolic batch.

    Args:
        model: Any module with one tensor in; it is not changed.
        example_input: [N, C, H, W] float32, of the size that the network will be deployed at.

    Raises:
        CaptureError: If torch.export cannot follow the module, or it has several inputs.
        NonFiniteError: If a weight holds NaN or infinity; names the layer.
    """
    check_example(example_input)
    _check_takes_one_input(model)
    training = {name: module.training for name, module in model.named_modules()}
    model.eval()
    try:
        program = _export(model, example_input)
    finally:
        for name, module in model.named_modules():
            module.training = training[name]
    return graph_of_program(program)


def graph_of_program(program: ExportedProgram) -> Graph:
    """Return the graph of an exported program; a fixed batch is accepted and becomes symbolic."""
    if not _speaks_our_table(program):
        # no in-place calls and nested graphs any more; the same arithmetic. It traces the
        # network once more, which costs more than all the rest of capture
        with _quiet():
            program = program.run_decompositions({})
    builder = Builder(Graph())
    _placeholders(program, builder)
    for fx_node in program.graph.nodes:
        if fx_node.op == "call_function":
            _call(fx_node, builder)
        elif fx_node.op == "output":
            _outputs(fx_node, program, builder)
    graph = builder.graph
    graph.drop_unused()
    _refuse_non_finite(graph)
    try:
        infer_shapes(graph)
    except GraphError as error:
        raise CaptureError(f"{error}; keep the batch as axis 0 of every tensor") from error
    _refuse_giants(graph)
    try:
        schemas_hold(graph)
    except GraphError as error:  # a stride of a million
        raise CaptureError(f"the network asks for what no layer does: {error}") from error
    verify(graph)
    return graph


def _speaks_our_table(program: ExportedProgram) -> bool:
    """Whether every call is one that the table knows; none of those changes a value in place."""
    known = {*ATEN, *IDENTITY, *SKIPPED, torch.ops.aten.sym_size.int}
    for fx_node in program.graph.nodes:
        if fx_node.op == "call_function":
            if fx_node.target not in known:
                return False
        elif fx_node.op not in ("placeholder", "output"):
            return False
    return True


def check_example(example: object) -> Tensor:
    """Return an example input; raise CaptureError where it is none."""
    if not isinstance(example, Tensor) or example.dtype != torch.float32:
        got = getattr(example, "dtype", type(example).__name__)
    elif example.ndim < 2 or 0 in example.shape:
        got = f"the shape {list(example.shape)}"
    else:
        return example
    raise CaptureError(
        f"the example input must be a float32 tensor [N, C, H, W] of at least one image, got {got}:"
        " pass e.g. torch.zeros(1, 3, 224, 224)"
    )


def _check_takes_one_input(model: nn.Module) -> None:
    takes = [
        parameter
        for parameter in inspect.signature(model.forward).parameters.values()
        if parameter.kind != parameter.VAR_KEYWORD
    ]
    needed = [
        parameter.name
        for parameter in takes
        if parameter.default is parameter.empty and parameter.kind != parameter.VAR_POSITIONAL
    ]
    if len(needed) > 1 or not takes:
        raise CaptureError(
            f"the network must have one tensor as its input, but {type(model).__name__} takes"
            f" {', '.join(needed) or 'none'}: {WRAP}"
        )


def _export(model: nn.Module, example: Tensor) -> ExportedProgram:
    # torch.export specializes on batch sizes 0 and 1: give it two images
    images = example[:1].detach().repeat(2, *[1] * (example.ndim - 1))
    with _quiet():
        try:
            return export(model, (images,), dynamic_shapes=({0: Dim("batch")},))
        except Exception as error:  # torch.export raises many kinds, none of them documented
            failure = error
    name, shape = type(model).__name__, tuple(example.shape)
    try:
        with torch.no_grad():
            model(images)
    except Exception as error:
        raise CaptureError(
            f"{name} itself fails on an input of shape {shape}: {_one_line(error)}. Is that the"
            " shape that it takes?"
        ) from error
    raise CaptureError(
        f"torch.export cannot follow {name} on an input of shape {shape}: {_one_line(failure)}."
        " Take control flow that depends on values, and post-processing such as NMS, out of"
        " forward(), and make it work for any batch size"
    ) from failure


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch.export's warnings, logs and prints to itself: what matters is in the error.

    It need not write at every node where in whose code it was made either: nobody reads that here,
    and it takes a fifth of the time.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()), _no_stack_traces():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@contextmanager
def _no_stack_traces() -> Iterator[None]:
    before = torch.fx.config.do_not_emit_stack_traces
    torch.fx.config.do_not_emit_stack_traces = True
    try:
        yield
    finally:
        torch.fx.config.do_not_emit_stack_traces = before


def _one_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    first = text[0].split("For more information")[0].rstrip(" .!") if text else ""
    return f"{type(error).__name__}: {first[:300]}"


def _placeholders(program: ExportedProgram, builder: Builder) -> None:
    signature = program.graph_signature
    stored: dict[str, str] = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    tensors: Mapping[str, Any] = {**program.constants, **program.state_dict}
    for fx_node in program.graph.nodes:
        if fx_node.op != "placeholder":
            continue
        if fx_node.name in stored:
            key = stored[fx_node.name]
            builder.stored[fx_node.name] = key
            builder.graph.params[key] = tensors[key].detach()
        elif fx_node.name in signature.user_inputs:
            _user_input(fx_node, builder)
    builder.graph.params = settled_all(builder.graph.params)


def _user_input(fx_node: torch.fx.Node, builder: Builder) -> None:
    value = fx_node.meta.get("val")
    if not isinstance(value, Tensor) or builder.graph.inputs:
        raise CaptureError(
            f"the network must have one tensor as its input, but it takes '{fx_node.name}' too:"
            f" {WRAP}"
        )
    shape = (BATCH, *(int(size) for size in value.shape[1:]))
    node = Node(builder.graph.unique_name(fx_node.name), "input", shape=shape, source="")
    builder.graph.add(node)
    builder.graph.inputs.append(node.name)
    builder.values[fx_node] = node.name
    builder.set_batch(value.shape[0])


def _call(fx_node: torch.fx.Node, builder: Builder) -> None:
    target = fx_node.target
    value = fx_node.meta.get("val")
    if target in SKIPPED:
        return
    if isinstance(value, torch.SymInt | int) and not isinstance(value, bool):
        builder.values[fx_node] = builder.size(value, fx_node)
    elif target in IDENTITY and builder.is_unchanged(fx_node):
        builder.share(fx_node)
    else:
        builder.values[fx_node] = _known(fx_node, builder) or (
            build_opaque(fx_node, builder) if isinstance(value, Tensor) else NoValue()
        )


def _known(fx_node: torch.fx.Node, builder: Builder) -> str | Pieces | None:
    """Return what the table makes of a call; None where it has no op of ours."""
    if fx_node.target not in ATEN or not _is_float32(fx_node):
        return None
    return ATEN[fx_node.target](fx_node, builder)


def _is_float32(fx_node: torch.fx.Node) -> bool:
    """Whether every tensor that the call reads or makes is float32, as all ops of ours are."""
    values = [node.meta.get("val") for node in (fx_node, *fx_node.all_input_nodes)]
    return all(
        leaf.dtype == torch.float32
        for leaf in pytree.tree_leaves(values)
        if isinstance(leaf, Tensor)
    )


def _outputs(fx_node: torch.fx.Node, program: ExportedProgram, builder: Builder) -> None:
    specs = program.graph_signature.output_specs
    for spec, value in zip(specs, fx_node.args[0], strict=True):  # type: ignore[arg-type]
        if spec.kind != OutputKind.USER_OUTPUT or not isinstance(value, torch.fx.Node):
            continue  # a buffer that forward() changed, or a number
        name = builder.values.get(value)
        if not isinstance(name, str):
            raise CaptureError(f"output '{value.name}' of the network is not a tensor it computed")
        builder.graph.outputs.append(name)
    if not builder.graph.outputs:
        raise CaptureError("the network returns no tensor")


def _refuse_giants(graph: Graph) -> None:
    for node in graph:
        count = math.prod(abs(size) for size in node.shape)
        if count > LARGEST:
            raise CaptureError(
                f"layer '{node.source or node.name}' makes {count} values of one image:"
                f" {LARGEST} at most can be held"
            )


def _refuse_non_finite(graph: Graph) -> None:
    for node in graph:
        for role, key in node.params.items():
            tensor = graph.params[key]
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                bad = int((~tensor.isfinite()).sum())
                raise NonFiniteError(
                    f"layer '{node.source or node.name}' has {bad} NaN or infinite values in its"
                    f" {role} ('{key}'): the checkpoint is damaged or training diverged"
                )
