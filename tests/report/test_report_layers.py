"""Per-layer figures against closed forms and a second computation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from architectures.sketch import Sketch
from calibrate.planned import planned
from intaglio.calibrate import CALIBRATORS, choose_encodings, observe_ranges
from intaglio.errors import NonFiniteError
from intaglio.ir.edit import insert_after, redirect
from intaglio.ir.graph import BATCH, Graph, Node
from intaglio.numerics.encodings import Encodings
from intaglio.numerics.spec import INT8_WEIGHT, QuantParams, per_tensor
from intaglio.read.module.export import capture
from intaglio.report import measure_layers, output_sqnr_db, weight_ranges
from intaglio.run.float import run_float
from intaglio.run.twin import build_twin
from intaglio.runtimes import LITERT


def one_weight(*, weight=1.0, source="head"):
    """y = weight * x on single numbers."""
    nodes = {
        "x": Node("x", "input", shape=(BATCH, 1)),
        "y": Node("y", "linear", ["x"], {"weight": "w"}, {"activation": None}, (BATCH, 1), source),
    }
    return Graph(nodes, {"w": torch.tensor([[weight]])}, ["x"], ["y"])


def twin_of(graph, *, x, y=None):
    """The twin on the grids given as (scale, zero point); the weight is its own step."""
    activations = {"x": per_tensor(*x)} | ({} if y is None else {"y": per_tensor(*y)})
    scale = graph.params["w"].abs().flatten()
    weights = {"y": QuantParams(scale, torch.zeros(1, dtype=torch.int32), INT8_WEIGHT)}
    return build_twin(graph, Encodings(activations, weights if y else {}), LITERT)


def by_name(rows):
    return {row.name: row for row in rows}


def test_sqnr_is_the_closed_form():
    graph = one_weight()
    twin = twin_of(graph, x=(1.0, 0), y=(4.0, 0))

    rows = by_name(measure_layers(graph, twin, [torch.full((3, 1), 10.25)]))

    # 10.25 -> 10 on a grid of 1; 10 -> 8 (2.5 steps of 4, half to even)
    assert rows["x"].sqnr_db == pytest.approx(10 * math.log10(10.25**2 / 0.25**2), abs=1e-9)
    assert rows["y"].sqnr_db == pytest.approx(10 * math.log10(10.25**2 / 2.25**2), abs=1e-9)


def test_uniform_noise_has_the_sqnr_of_the_textbook():
    graph = one_weight()
    step, half = 2.0**-7, 127 * 2.0**-7
    twin = twin_of(graph, x=(step, 0), y=(step, 0))
    images = torch.linspace(-half, half, 200_003).unsqueeze(1)

    rows = by_name(measure_layers(graph, twin, [images[::97]]))

    # signal half^2 / 3, noise step^2 / 12: 20 log10(2 * 127); few values, so 0.1 dB
    assert rows["x"].sqnr_db == pytest.approx(20 * math.log10(2 * 127), abs=0.1)


def test_values_on_the_grid_have_no_noise():
    graph = one_weight(weight=2.0)
    twin = twin_of(graph, x=(1.0, 0), y=(2.0, 0))

    rows = measure_layers(graph, twin, [torch.tensor([[3.0], [-7.0]])])

    assert [row.sqnr_db for row in rows] == [math.inf, math.inf]
    assert output_sqnr_db(rows, graph.outputs) == math.inf


def test_a_value_that_is_always_zero_has_no_sqnr_but_a_note():
    graph = one_weight()
    graph.params["b"] = torch.tensor([0.4])
    graph["y"].params["bias"] = "b"
    twin = twin_of(graph, x=(1.0, 0), y=(1.0, 0))
    silent = one_weight(weight=0.0)

    row = by_name(measure_layers(silent, twin, [torch.full((2, 1), 9.0)]))["y"]

    assert row.sqnr_db is None
    assert "0 for every image" in row.note


def test_saturation_and_clipping_are_counted_by_hand():
    graph = one_weight()
    twin = twin_of(graph, x=(1.0, 0), y=(1.0, 0))
    images = torch.tensor([[200.0], [127.0], [127.4], [0.0], [-128.0]])

    row = by_name(measure_layers(graph, twin, [images]))["x"]

    assert row.saturated == pytest.approx(4 / 5)
    assert row.clipped == pytest.approx(1 / 5)


def test_the_zero_of_a_relu_is_not_counted_as_saturated():
    graph = one_weight()
    twin = twin_of(graph, x=(1.0, -128), y=(1.0, -128))
    images = torch.tensor([[0.0], [0.0], [255.0], [7.0]])

    row = by_name(measure_layers(graph, twin, [images]))["x"]

    assert row.saturated == pytest.approx(1 / 4)
    assert row.clipped == 0.0


def test_sqnr_equals_a_second_computation_over_all_images_at_once(compressed):
    graph, twin, images = compressed.graph, compressed.twin, compressed.images
    reals, integers = {}, {}
    run_float(graph, images, tap=lambda node, value: reals.update({node.name: value.numpy()}))
    twin.run(images, tap=lambda node, value: integers.update({node.name: value.clone()}))

    rows = measure_layers(graph, twin, [images])

    assert [row.name for row in rows] == list(graph.nodes)
    for row in rows:
        real = reals[row.name].astype(np.float64)
        noise = integers[row.name].numpy().astype(np.float64) * row.scale - real
        wanted = 10 * np.log10(np.sum(real**2) / np.sum(noise**2))
        assert row.sqnr_db == pytest.approx(wanted, abs=1e-3), row.name  # float32 differences


def test_how_images_are_batched_changes_nothing(compressed):
    graph, twin, images = compressed.graph, compressed.twin, compressed.images
    whole = measure_layers(graph, twin, [images])

    pieces = measure_layers(graph, twin, iter([images[:7], images[7:8], images[:0], images[8:]]))

    for one, other in zip(whole, pieces, strict=True):
        assert one.sqnr_db == pytest.approx(other.sqnr_db, abs=1e-3)
        assert (one.saturated, one.clipped) == (other.saturated, other.clipped)


def test_rows_say_how_each_layer_is_stored(compressed):
    rows = by_name(measure_layers(compressed.graph, compressed.twin, [compressed.images]))

    stem, total = rows["stem"], next(row for row in rows.values() if row.op == "add")
    assert (stem.op, stem.source, stem.shape) == ("conv2d", "stem", [-1, 8, 8, 8])
    assert (stem.weight_bits, stem.activation_bits) == (8, 8)
    assert (stem.macs, stem.params) == (8 * 8 * 8 * 27, 8 * 27 + 8)
    assert stem.zero_point == compressed.twin.encodings.activations["stem"].zero
    assert (total.weight_bits, total.activation_bits) == (None, 8)
    assert (total.macs, total.params) == (0, 0)


def test_a_layer_in_float_has_no_bits_but_an_sqnr():
    graph = one_weight(weight=3.0)
    twin = twin_of(graph, x=(1.0, 0))

    row = by_name(measure_layers(graph, twin, [torch.full((2, 1), 10.25)]))["y"]

    assert (row.weight_bits, row.activation_bits, row.scale, row.zero_point) == (None,) * 4
    assert row.sqnr_db == pytest.approx(10 * math.log10(10.25**2 / 0.25**2), abs=1e-4)
    assert (row.saturated, row.clipped) == (None, None)


def test_without_images_the_rows_have_no_figures(compressed):
    rows = measure_layers(compressed.graph, compressed.twin, [])

    assert {row.sqnr_db for row in rows} == {None}
    assert {row.note for row in rows} == {"no image was measured"}
    assert output_sqnr_db(rows, compressed.graph.outputs) is None


def test_a_node_made_for_the_target_is_listed_with_a_note(compressed):
    graph = compressed.graph.copy()
    stem = graph["stem"]
    extra = Node("extra", "reshape", ["stem"], {}, {"shape": stem.shape}, stem.shape)
    insert_after(graph, "stem", extra)
    redirect(graph, "stem", "extra", keep=frozenset({"extra"}))
    old = compressed.twin.encodings
    grids = {**old.activations, "extra": old.activations["stem"]}
    twin = build_twin(graph, Encodings(grids, old.weights), LITERT)

    rows = by_name(measure_layers(compressed.graph, twin, [compressed.images]))

    assert rows["extra"].sqnr_db is None
    assert "made for the target" in rows["extra"].note
    assert rows["stem"].note is None


def test_nan_is_refused_by_layer():
    graph = one_weight()
    twin = twin_of(graph, x=(1.0, 0), y=(1.0, 0))

    with pytest.raises(NonFiniteError, match="'x'"):
        measure_layers(graph, twin, [torch.tensor([[math.nan]])])


def test_weight_ranges_are_per_output_channel():
    module = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.Flatten(), nn.Linear(6 * 36, 5))
    graph = capture(module, torch.zeros(1, 4, 8, 8))

    found = weight_ranges(graph)

    assert len(found) == 2
    for (low, high), layer in zip(found.values(), (module[0], module[2]), strict=True):
        assert low == [float(channel.min()) for channel in layer.weight.detach()]
        assert high == [float(channel.max()) for channel in layer.weight.detach()]


@pytest.mark.parametrize("groups", [1, 2])
def test_weight_ranges_of_a_transposed_convolution_follow_its_impulse_response(groups):
    module = nn.ConvTranspose2d(4, 6, 3, groups=groups, bias=False)
    graph = capture(module, torch.zeros(1, 4, 5, 5))
    impulses = torch.eye(4).reshape(4, 4, 1, 1)  # one input channel each
    response = F.conv_transpose2d(impulses, module.weight.detach(), groups=groups)

    ((low, high),) = weight_ranges(graph).values()

    for channel in range(6):
        seen = response[:, channel]
        seen = seen[seen != 0]
        assert (low[channel], high[channel]) == (float(seen.min()), float(seen.max()))


def test_ops_without_weights_have_no_weight_range(compressed):
    assert set(weight_ranges(compressed.graph)) == {
        row for row in compressed.graph.nodes if "weight" in compressed.graph[row].params
    }


def test_numbers_that_a_pad_fills_with_infinity_are_left_out():
    nodes = {
        "x": Node("x", "input", shape=(BATCH, 2)),
        "y": Node("y", "pad", ["x"], {}, {"padding": (1, 1), "value": -math.inf}, (BATCH, 4)),
    }
    grids = dict.fromkeys(nodes, per_tensor(1.0, 0))
    graph = Graph(nodes, {}, ["x"], ["y"])
    twin = build_twin(graph, Encodings(grids, {}), LITERT)

    rows = by_name(measure_layers(graph, twin, [torch.tensor([[1.25, 3.0]])]))

    assert (
        rows["y"].sqnr_db == rows["x"].sqnr_db == pytest.approx(10 * math.log10(10.5625 / 0.0625))
    )


def test_what_nobody_reads_of_a_value_is_not_measured():
    sketch = Sketch(3, 4, 4)
    sketch.conv("conv", "x", 4, 1)
    sketch.add("gate", "function", "conv", chain=(("clamp", -0.1, 0.1), ("exp",)))
    graph = sketch.done()
    images = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    graph, plan = planned(graph, LITERT, "w8a8")
    ranges = observe_ranges(graph, plan, [images], calibrator=CALIBRATORS["minmax"])
    twin = build_twin(graph, choose_encodings(graph, plan, ranges, LITERT), LITERT)

    row = next(row for row in measure_layers(graph, twin, [images]) if row.name == "conv")

    assert row.clipped == 0
    assert row.sqnr_db is not None
    assert row.sqnr_db > 30
    assert row.scale == pytest.approx(0.2 / 255)
