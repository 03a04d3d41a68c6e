"""The zoo's networks: exact counts, key names, real weights, structure, refusals."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.testing import assert_close

from architectures.catalogue import ZOO_ARGUMENTS
from intaglio import zoo
from intaglio.boxes.postprocess import TwoStage
from intaglio.errors import RequestError
from intaglio.maps.postprocess import MapPostProcess
from intaglio.read.module.postprocess import own_postprocess
from intaglio.zoo.blocks import rounded_channels
from intaglio.zoo.mobilenet_v2 import InvertedResidual
from intaglio.zoo.padding import Conv2dSame

CLASSIFIERS, DETECTORS = zoo.names("classify"), zoo.names("detect")
SEGMENTERS = zoo.names("segment")

# The published counts for 1000 classes and 224 x 224 pixels.
COUNTS = {
    "mobilenet_v1": (4_231_976, 568.74),
    "mobilenet_v2": (3_504_872, 300.77),
    "mobilenet_v3_large": (5_483_032, 216.59),
    "mobilenet_v3_small": (2_542_856, 56.51),
}


def without_values(name: str, **arguments: object) -> nn.Module:
    """Return a network of shapes alone: nothing is drawn or computed."""
    with torch.device("meta"):
        return zoo.ZOO[name].build(**arguments)


def parameter_count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_accumulates(module: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Count the products in all convolutions and linear layers while the module runs once."""
    total = 0

    def count(layer, _inputs, output):
        nonlocal total
        per_output = layer.weight[0].numel()  # C_in / groups * kH * kW, or the inputs of a linear
        total += output.numel() * per_output

    hooks = [
        layer.register_forward_hook(count)
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        module.eval()(torch.zeros(input_shape, device=next(module.parameters()).device))
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_macs_are_the_published_ones(name):
    network = without_values(name)

    parameters, macs_in_millions = COUNTS[name]
    macs = multiply_accumulates(network, (1, 3, 224, 224))
    assert parameter_count(network) == parameters
    assert round(macs / 1e6, 2) == macs_in_millions


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
def test_a_tensorflow_twin_has_the_same_keys_shapes_and_macs(name):
    ours, twin = without_values(name), without_values(f"{name}_tf")

    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in twin.state_dict().items()
    }
    shape = (1, 3, 64, 64)
    assert multiply_accumulates(ours, shape) == multiply_accumulates(twin, shape)


@pytest.mark.parametrize(
    ("name", "arguments", "file"),
    [
        ("mobilenet_v2_tf", {}, "mobilenet_v2_1.0_224_tf"),
        ("mobilenet_v1_tf", {"width": 0.75}, "mobilenet_v1_0.75_224_tf"),
        ("mobilenet_v1_tf", {"width": 0.25}, "mobilenet_v1_0.25_224_tf"),
        ("resnet20_cifar10", {}, "resnet20_cifar10"),
    ],
)
def test_public_weights_load_strictly(data_pack, name, arguments, file):
    network = zoo.ZOO[name].build(**arguments)

    network.load_state_dict(load_file(data_pack / "weights" / f"{file}.safetensors"), strict=True)


@pytest.mark.parametrize(
    ("name", "epsilon"),
    [
        ("mobilenet_v1", 1e-5),
        ("mobilenet_v1_tf", 1e-3),
        ("mobilenet_v2", 1e-5),
        ("mobilenet_v2_tf", 1e-3),
        ("mobilenet_v3_large", 1e-3),
        ("mobilenet_v3_small", 1e-3),
        ("nasnet_mobile", 1e-3),
        ("pnasnet5_mobile", 1e-3),
        ("qf_mobilenet_v1", 1e-5),
        ("qf_mobilenet_v2", 1e-5),
        ("qf_mobilenet_v3_large", 1e-3),
        ("qf_mobilenet_v3_small", 1e-3),
        ("resnet20_cifar10", 1e-5),
    ],
)
def test_every_batch_norm_has_the_epsilon_of_its_framework(name, epsilon):
    norms = [m for m in without_values(name).modules() if isinstance(m, nn.BatchNorm2d)]

    assert norms
    assert {norm.eps for norm in norms} == {epsilon}


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
def test_only_the_strided_convolutions_of_a_tensorflow_twin_pad_by_size(name):
    twin = zoo.ZOO[f"{name}_tf"].build(width=0.25)

    convolutions = [m for m in twin.modules() if isinstance(m, nn.Conv2d)]
    by_size = [m for m in convolutions if isinstance(m, Conv2dSame)]
    assert len(by_size) == 5  # 224 to 7 pixels
    assert all((m.stride == (2, 2)) == isinstance(m, Conv2dSame) for m in convolutions)
    plain = zoo.ZOO[name].build(width=0.25)
    assert not any(isinstance(m, Conv2dSame) for m in plain.modules())


def test_mobilenet_v1_truncates_its_channels():
    network = zoo.mobilenet_v1(width=0.3)

    assert network.state_dict()["features.0.0.weight"].shape == (9, 3, 3, 3)  # 9.6
    assert network.state_dict()["features.1.1.0.weight"].shape == (19, 9, 1, 1)  # 19.2
    assert network.classifier.in_features == 307  # 307.2


def test_channels_are_rounded_to_eights_but_never_below_90_percent():
    assert [rounded_channels(c) for c in (3, 8, 11.2, 12, 16, 44.8, 240.0)] == [
        8,
        8,
        16,  # 8 would be 71 %
        16,
        16,
        48,
        240,
    ]
    assert all(rounded_channels(c / 10) >= 0.9 * c / 10 for c in range(1, 20_000))
    assert all(rounded_channels(c) % 8 == 0 for c in range(1, 2000))


def test_mobilenet_v2_never_narrows_its_last_convolution():
    assert zoo.mobilenet_v2(width=0.35).classifier[1].in_features == 1280
    assert zoo.mobilenet_v2(width=1.4).classifier[1].in_features == 1792


def test_mobilenet_v2_bottlenecks_are_linear_and_add_only_what_fits():
    blocks = [m for m in zoo.mobilenet_v2().modules() if isinstance(m, InvertedResidual)]

    assert len(blocks) == 17
    assert all(isinstance(block.conv[-1], nn.BatchNorm2d) for block in blocks)
    assert sum(block.adds_input for block in blocks) == 10


@pytest.mark.parametrize(
    ("name", "shapes", "absent"),
    [
        (
            "mobilenet_v3_large",
            {
                "features.0.0.weight": (16, 3, 3, 3),
                "features.1.block.0.0.weight": (16, 1, 3, 3),
                "features.1.block.1.1.running_var": (16,),
                "features.4.block.1.0.weight": (72, 1, 5, 5),
                "features.4.block.2.fc1.weight": (24, 72, 1, 1),
                "features.4.block.2.fc2.bias": (72,),
                "features.4.block.3.0.weight": (40, 72, 1, 1),
                "features.15.block.2.fc1.bias": (240,),
                "features.16.1.weight": (960,),
                "classifier.0.weight": (1280, 960),
                "classifier.3.weight": (1000, 1280),
            },
            "features.7.block.2.fc1.weight",
        ),
        (
            "mobilenet_v3_small",
            {
                "features.1.block.0.0.weight": (16, 1, 3, 3),
                "features.1.block.1.fc1.weight": (8, 16, 1, 1),
                "features.1.block.2.0.weight": (16, 16, 1, 1),
                "features.11.block.2.fc2.weight": (576, 144, 1, 1),
                "features.12.0.weight": (576, 96, 1, 1),
                "classifier.0.weight": (1024, 576),
                "classifier.3.bias": (1000,),
            },
            "features.2.block.2.fc1.weight",
        ),
    ],
)
def test_mobilenet_v3_has_torchvisions_keys(name, shapes, absent):
    state = without_values(name).state_dict()

    assert {key: tuple(state[key].shape) for key in shapes} == shapes
    assert absent not in state


def test_mobilenet_v3_uses_hard_swish_and_hard_sigmoid_modules():
    kinds = [type(m) for m in zoo.mobilenet_v3_large().modules()]

    assert kinds.count(nn.Hardsigmoid) == 8
    assert kinds.count(nn.Hardswish) == 1 + 2 * 9 + 1 + 1
    assert nn.ReLU6 not in kinds


@pytest.mark.parametrize(
    "name", [name for name in CLASSIFIERS if "mobilenet" in name and "spp" not in name]
)
def test_small_input_keeps_keys_and_shapes_and_divides_the_image_by_eight(name):
    with torch.device("meta"):
        plain, small = (zoo.ZOO[name].build(width=0.25, small_input=one) for one in (False, True))
        sizes = [net.eval().features(torch.zeros(1, 3, 64, 64)).shape for net in (plain, small)]

    assert [tuple(size[-2:]) for size in sizes] == [(2, 2), (8, 8)]
    assert {k: v.shape for k, v in plain.state_dict().items()} == {
        k: v.shape for k, v in small.state_dict().items()
    }


def test_the_resnet_shortcut_keeps_every_second_pixel_between_zero_channels():
    block = zoo.resnet20_cifar10().layer2[0].eval()
    nn.init.zeros_(block.conv2.weight)  # the branch is zero: the block is its shortcut
    images = torch.rand(2, 16, 8, 8)

    with torch.no_grad():
        output = block(images)  # [2, 32, 4, 4]

    expected = torch.zeros(2, 32, 4, 4)
    expected[:, 8:24] = images[:, :, ::2, ::2]
    assert_close(output, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_random_network_passes_a_signal_that_is_neither_dead_nor_overflowing(name):
    entry = zoo.ZOO[name]
    torch.manual_seed(0)
    network = entry.build().eval()

    with torch.no_grad():
        logits = network(torch.randn(2, 3, 64, 64))

    assert logits.isfinite().all()
    deviation = float((logits[0] - logits[1]).std())  # between two images
    assert 1e-3 < deviation < 10
    assert deviation > 0.01 * float(logits.std())


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_exports_with_symbolic_batch_and_replays_bit_for_bit(name):
    network = zoo.ZOO[name].build(**ZOO_ARGUMENTS.get(name, {"width": 0.25})).eval()
    batch = torch.export.Dim("batch", min=1, max=64)

    program = torch.export.export(
        network, (torch.randn(2, 3, 32, 32),), dynamic_shapes=({0: batch},), strict=False
    )

    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(program.module()(images), network(images))


def test_every_network_tells_classes_or_boxes_or_maps():
    assert sorted(CLASSIFIERS + DETECTORS + SEGMENTERS) == sorted(zoo.names())
    assert zoo.names("values") == ()


@pytest.mark.parametrize("name", zoo.names())
def test_what_says_what_its_outputs_mean_is_no_classifier_and_sees_whole_pictures(name):
    entry = zoo.ZOO[name]
    with torch.device("meta"):
        post = own_postprocess(entry.build(), entry.input_shape)

    assert (post is None) == (name in CLASSIFIERS) == (entry.preprocess.fit is None)
    assert isinstance(post, MapPostProcess) == (name in SEGMENTERS)
    if name in DETECTORS:
        head = post.head if isinstance(post, TwoStage) else post
        assert head.input_size == entry.input_shape[2:]


@pytest.mark.parametrize("name", zoo.names())
def test_every_factory_of_the_zoo_is_at_its_door(name):
    assert getattr(zoo, name) is zoo.ZOO[name].build
    assert name in zoo.__all__


@pytest.mark.parametrize("width", [0, -1.0, float("nan"), float("inf"), "1", True, None])
@pytest.mark.parametrize("name", [n for n in zoo.names() if n != "resnet20_cifar10"])
def test_a_width_that_is_no_number_above_zero_is_refused(name, width):
    with pytest.raises(RequestError, match=f"{name}: width must be a number above 0"):
        zoo.ZOO[name].build(width=width)


@pytest.mark.parametrize("num_classes", [0, -3, 2.5, "10", True])
@pytest.mark.parametrize("name", [n for n in zoo.names() if n != "selfie_segmentation"])
def test_a_class_count_below_one_is_refused(name, num_classes):
    with pytest.raises(RequestError, match=f"{name}: num_classes must be an integer"):
        zoo.ZOO[name].build(num_classes=num_classes)


def test_a_width_that_leaves_mobilenet_v1_no_channel_is_refused():
    with pytest.raises(RequestError, match="leaves the first layer no channel"):
        zoo.mobilenet_v1(width=0.03)
