"""Writers of activation functions, resizing and softmax."""

from __future__ import annotations

from intaglio.ir.graph import Node
from intaglio.runtimes.litert.format.layout import file_axis, file_shape
from intaglio.runtimes.litert.ops.writing import Writing, options, tflite_op


@tflite_op("sigmoid")
def write_sigmoid(node: Node, writing: Writing) -> None:
    """LOGISTIC."""
    inputs, output = writing.inputs(node), [writing.output(node)]
    writing.build.operator("LOGISTIC", inputs, output, version=2)


@tflite_op("tanh")
def write_tanh(node: Node, writing: Writing) -> None:
    """TANH."""
    inputs, output = writing.inputs(node), [writing.output(node)]
    writing.build.operator("TANH", inputs, output, version=2)


@tflite_op("leaky_relu")
def write_leaky_relu(node: Node, writing: Writing) -> None:
    """LEAKY_RELU."""
    made = options("LeakyReluOptions", alpha=node.attrs["slope"])
    inputs, output = writing.inputs(node), [writing.output(node)]
    writing.build.operator("LEAKY_RELU", inputs, output, version=2, options=made)


@tflite_op("resize")
def write_resize(node: Node, writing: Writing) -> None:
    """RESIZE_BILINEAR; or RESIZE_NEAREST_NEIGHBOR, which runs in a built-in kernel."""
    size = writing.integers(f"{node.name}.size", list(node.shape[2:]))
    inputs, output = [*writing.inputs(node), size], [writing.output(node)]
    if node.attrs["mode"] == "nearest":
        made = options("ResizeNearestNeighborOptions", alignCorners=False, halfPixelCenters=False)
        build = writing.build
        build.operator("RESIZE_NEAREST_NEIGHBOR", inputs, output, version=2, options=made)
        return
    align = bool(node.attrs["align_corners"])
    made = options("ResizeBilinearOptions", alignCorners=align, halfPixelCenters=not align)
    writing.build.operator("RESIZE_BILINEAR", inputs, output, version=3, options=made)


@tflite_op("softmax")
def write_softmax(node: Node, writing: Writing) -> None:
    """SOFTMAX in float32, over the last axis of the file's layout."""
    writing.refuse_integers(node)
    shape = file_shape(node.shape)
    if file_axis(node.attrs["axis"], len(shape)) != len(shape) - 1:
        raise writing.refuse(
            node, f"a softmax over axis {node.attrs['axis']} of {len(shape)}", "Leave it out"
        )
    inputs, output = writing.inputs(node), [writing.output(node)]
    chosen = options("SoftmaxOptions", beta=1.0)
    writing.build.operator("SOFTMAX", inputs, output, version=1, options=chosen)
