"""A window of a block's result is what the whole picture has there."""

from __future__ import annotations

import pytest
import torch

from intaglio.methods.blocks.blocks import find_blocks
from intaglio.methods.blocks.windows import Box, boxes_for, run_window
from intaglio.ops.schema import activate
from intaglio.run.float import run_float
from methods.quantized import calibrated, random_images


def finish(node, value):
    return activate(value, node.attrs.get("activation"))


@pytest.mark.parametrize(
    "box", [Box(0, 0, 3, 3), Box(5, 5, 8, 8), Box(2, 3, 4, 7), Box(0, 0, 8, 8), Box(7, 0, 8, 1)]
)
def test_a_window_equals_the_whole_picture_at_its_positions(box):
    state, _ = calibrated()
    graph = state.graph
    values = {}
    run_float(graph, random_images(2), tap=lambda node, value: values.update({node.name: value}))
    for block in [block for block in find_blocks(graph) if block.is_local]:
        given = {name: values[name] for name in block.inputs}
        whole = values[block.outputs[0]]

        boxes = boxes_for(graph, block.nodes, block.outputs[0], box)
        cut = {name: boxes[name].cut(value) for name, value in given.items()}
        found = run_window(
            graph,
            block.nodes,
            cut,
            boxes,
            parameters=graph.params_of,
            finish=finish,
        )

        # other shapes let the convolution sum in another order
        torch.testing.assert_close(found, box.cut(whole), rtol=1e-5, atol=1e-5)
