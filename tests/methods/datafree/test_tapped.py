"""The teacher: one pass, values kept where they are wanted, gradients for the images alone."""

from __future__ import annotations

import torch
from torch import nn

from intaglio.methods.datafree.game import student_of
from intaglio.methods.datafree.tapped import Teacher, features_of
from intaglio.read.module.export import capture
from intaglio.run.float import run_float
from methods.datafree.small import TwoHeads, cached_state, context, quantized


def images(count=3):
    return torch.randn(count, 3, 9, 9, generator=torch.Generator().manual_seed(0))


def test_the_taps_are_the_last_activated_values_of_each_size():
    graph = cached_state("w4a4").reference

    taps = features_of(graph)

    assert [graph[name].shape[1:] for name in taps] == [(8, 9, 9), (12, 5, 5)]
    assert [graph[name].op for name in taps] == ["add", "conv2d"]
    assert all(graph[name].attrs["activation"] == (0.0, float("inf")) for name in taps)


def test_a_network_without_places_has_its_last_hidden_value_as_a_tap():
    module = nn.Sequential(nn.Flatten(), nn.Linear(27, 6), nn.ReLU(), nn.Linear(6, 5))
    graph = capture(module.eval(), torch.zeros(1, 3, 3, 3))

    (tap,) = features_of(graph)

    assert graph[tap].shape[1:] == (6,)


def test_one_pass_gives_outputs_features_and_what_batch_norms_speak_of():
    state = cached_state("w4a4")
    graph, taps = state.reference, features_of(state.reference)
    seen = Teacher(graph, taps, set(state.statistics))(images(), norms=True)
    values = {}

    outputs = run_float(graph, images(), tap=lambda node, value: values.update({node.name: value}))

    assert torch.allclose(seen.outputs[0], outputs[0], atol=1e-5)
    for name, feature in zip(taps, seen.features, strict=True):
        assert torch.allclose(feature, values[name], atol=1e-5)
    assert set(seen.before) == set(state.statistics)
    for name, value in seen.before.items():
        low, high = graph[name].attrs["activation"] or (-torch.inf, torch.inf)
        assert torch.allclose(value.clamp(low, high), values[name], atol=1e-5)
    assert any(bool((value < 0).any()) for value in seen.before.values())


def test_the_student_s_values_are_those_that_its_outputs_are_made_of():
    student = student_of(cached_state("w4a4"), context(), "fixed")
    taps = features_of(cached_state("w4a4").reference)

    outputs, features = student.values(images(), taps)

    assert torch.equal(outputs[0], student(images())[0])
    grid = student.value_grids.used(taps[0])
    steps = features[0] / grid.scale
    assert torch.allclose(steps, steps.round(), atol=1e-4)


def test_gradients_reach_the_images_and_no_parameter_of_the_teacher():
    state = cached_state("w4a4")
    teacher = Teacher(state.reference, features_of(state.reference), set(state.statistics))
    shown = images().requires_grad_()

    seen = teacher(shown, norms=True)
    (seen.outputs[0].square().sum() + sum(x.sum() for x in seen.before.values())).backward()

    assert shown.grad is not None
    assert all(not value.requires_grad for value in teacher.graph.params.values())
    assert all(value.grad is None for value in teacher.graph.params.values())


def test_all_outputs_of_a_network_are_there():
    state = quantized(TwoHeads().eval())

    seen = Teacher(state.reference, features_of(state.reference), ())(images())

    assert [output.shape[1] for output in seen.outputs] == [2, 5]
