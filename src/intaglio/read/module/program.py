"""From an exported program to a graph: call by call, by the table of ATen calls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind

from intaglio.errors import CaptureError, GraphError, NonFiniteError
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.ir.storage import settled_all
from intaglio.ops.verify import schemas_hold, verify
from intaglio.read.module import (
    aten_choices,
    aten_layers,
    aten_pick,
    aten_pools,
    aten_products,
    aten_rounding,
    aten_scatter,
    aten_shape,
    aten_sums,
    aten_values,
)
from intaglio.read.module.aliases import plain_of, shown_by
from intaglio.read.module.aten import ATEN, IDENTITY, SKIPPED, build_opaque
from intaglio.read.module.builder import Builder, NoValue, Pieces, module_path
from intaglio.read.module.fold import fold_stored
from intaglio.read.module.output_names import output_names
from intaglio.read.module.words import in_our_words
from intaglio.read.module.written_norms import written_norm
from intaglio.run.float import infer_shapes

FAMILIES = (
    *(aten_choices, aten_layers, aten_pick, aten_pools, aten_products, aten_rounding),
    *(aten_scatter, aten_shape, aten_sums, aten_values),
)
"""Whoever imports this page has the whole table."""
LARGEST = 2**31 - 1
"""Values of a tensor for one image."""
NAMES = {0: "number of channels", 1: "height", 2: "width"}
"""Of an image's axes."""
WRAP = "wrap it in a module whose forward takes the image alone"


def graph_of_program(program: ExportedProgram) -> Graph:
    """Return the graph of an exported program; a fixed batch is accepted and becomes symbolic."""
    return built(program).graph


def built(program: ExportedProgram) -> Builder:
    """Return the graph of an exported program, with what became of its calls.

    Raises:
        CaptureError: If the batch does not stay apart, or a layer asks for what none does.
        NonFiniteError: If a weight holds NaN or infinity; names the layer.
    """
    program = in_our_words(program)
    builder = _read(program)
    graph = builder.graph
    names = output_names(program)
    graph.output_names = names if len(names) == len(graph.outputs) else ()
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
    return builder


def _read(program: ExportedProgram) -> Builder:
    builder = Builder(Graph())
    _placeholders(program, builder)
    for fx_node in program.graph.nodes:
        if fx_node.op == "call_function":
            _call(fx_node, builder)
        elif fx_node.op == "output":
            _outputs(fx_node, program, builder)
    return builder


def _call(fx_node: torch.fx.Node, builder: Builder) -> None:
    target = fx_node.target
    value = fx_node.meta.get("val")
    if target in SKIPPED or fold_stored(fx_node, builder):
        return
    if isinstance(value, torch.SymInt | int) and not isinstance(value, bool):
        builder.values[fx_node] = builder.size(value, fx_node)
        return
    if isinstance(value, torch.SymFloat | torch.SymBool):
        _refuse_number(fx_node)
        return
    plain = plain_of(target)
    if (plain or target) in IDENTITY and (
        builder.is_unchanged(fx_node) or _says_yes_as_one(fx_node, builder)
    ):
        builder.share(fx_node)
        return
    builder.values[fx_node] = _known(fx_node, plain or target, builder) or (
        build_opaque(fx_node, builder) if isinstance(value, Tensor) else NoValue()
    )
    if plain is not None:
        for other in shown_by(fx_node):
            builder.values[other] = builder.values[fx_node]
            builder.broadcast.pop(other, None)


def _refuse_number(fx_node: torch.fx.Node) -> None:
    """Raise CaptureError where something is computed from a number that was read from an image."""
    for user in fx_node.users:
        if user.target in SKIPPED:
            continue
        if isinstance(user.meta.get("val"), Tensor) or user.op == "output":
            raise CaptureError(
                f"layer '{module_path(user) or user.name}' computes with a number that was read"
                " from a tensor by .item() or float(): leave it a tensor"
            )
        _refuse_number(user)


def _says_yes_as_one(fx_node: torch.fx.Node, builder: Builder) -> bool:
    """Whether a call turns yes and no into 1 and 0, which they are in the graph already."""
    source = fx_node.args[0]
    if not isinstance(source, torch.fx.Node) or not isinstance(builder.values.get(source), str):
        return False
    before, after = source.meta["val"], fx_node.meta["val"]
    return bool(
        before.dtype == torch.bool and after.dtype == torch.float32 and before.shape == after.shape
    )


def _known(fx_node: torch.fx.Node, target: Any, builder: Builder) -> str | Pieces | None:
    """Return what the table makes of a call; None where it has no op of ours."""
    if target not in ATEN or not _is_real(fx_node, builder):
        return None
    return written_norm(fx_node, builder) or ATEN[target](fx_node, builder)


def _is_real(fx_node: torch.fx.Node, builder: Builder) -> bool:
    """Whether all that the call computes, and reads of what is computed, is float32, or yes and no.

    Stored tensors may be of any type: indices, masks.
    """
    computed = [node for node in fx_node.all_input_nodes if builder.key(node) is None]
    values = [node.meta.get("val") for node in (fx_node, *computed)]
    # of several results, the first is what is computed: places and statistics come behind it
    leaves = [value[0] if isinstance(value, tuple | list) and value else value for value in values]
    types = {leaf.dtype for leaf in leaves if isinstance(leaf, Tensor)}
    return types <= {torch.float32, torch.bool}


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
    for axis, size in enumerate(value.shape[1:]):
        if isinstance(size, torch.SymInt):
            what = NAMES.get(axis, f"size of axis {axis + 1}")
            raise CaptureError(
                f"the program takes images of any {what}, and a file has one size: export it with"
                " dynamic_shapes for the batch alone"
            )
    shape = (BATCH, *(int(size) for size in value.shape[1:]))
    node = Node(builder.graph.unique_name(fx_node.name), "input", shape=shape, source="")
    builder.graph.add(node)
    builder.graph.inputs.append(node.name)
    builder.values[fx_node] = node.name
    builder.set_batch(value.shape[0])


def _outputs(fx_node: torch.fx.Node, program: ExportedProgram, builder: Builder) -> None:
    specs = program.graph_signature.output_specs
    for spec, value in zip(specs, fx_node.args[0], strict=True):  # type: ignore[arg-type]
        if spec.kind != OutputKind.USER_OUTPUT or not isinstance(value, torch.fx.Node):
            continue  # a buffer that forward() changed, or a number
        name = builder.operand(value, fx_node) if builder.key(value) is None else None
        if name is None:
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
