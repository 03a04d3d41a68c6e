"""DeepLabv3: counts, strides, the public file by two other ways, and the way to a file."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.testing import assert_close

from intaglio import capture
from intaglio.errors import RequestError, WeightsError
from intaglio.job.of_graph import compress_graph
from intaglio.run.float import run_float
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.store.weights import load_weights
from intaglio.zoo.bodies import load_backbone
from intaglio.zoo.deeplabv3 import deeplabv3_mobilenet_v2
from intaglio.zoo.map_ends import VOC_NAMES
from intaglio.zoo.map_layouts import tensorflow_deeplabv3
from intaglio.zoo.mobilenet_v2 import mobilenet_v2, mobilenet_v2_tf
from zoo.graph_file import run_graph_file

FILE = "deeplabv3_mnv2_dm05_257"
BACKBONES = {"mobilenet_v2": mobilenet_v2, "mobilenet_v2_tf": mobilenet_v2_tf}


def small(**wishes):
    """Return a network of a quarter of the width and 4 classes, the same with each call."""
    torch.manual_seed(0)
    return deeplabv3_mobilenet_v2(0.25, 4, **wishes).eval()


def images(*size):
    return torch.rand(*size, generator=torch.Generator().manual_seed(1))


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(scope="module")
def captured():
    """A small network in front of 33 x 49 pixels; nothing changes it."""
    return capture(small(atrous_rates=(2,)), torch.zeros(1, 3, 33, 49))


@pytest.fixture(scope="module")
def trained(data_pack):
    network = deeplabv3_mobilenet_v2(0.5, batch_norm=False).eval()
    path = data_pack / f"weights/{FILE}.safetensors"
    load_weights(network, path, layouts=(tensorflow_deeplabv3(),))
    return network


@pytest.fixture(scope="module")
def seen(data_pack):
    """One picture, of a plane, as the public file sees it: within -1..1."""
    picture = Image.open(data_pack / "coco128/images/000000000081.jpg").convert("RGB")
    pixels = np.array(picture.resize((257, 257), Image.Resampling.BILINEAR), np.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)[None]


def test_without_its_last_layers_it_has_the_parameters_of_mobilenet_v2_and_those_of_the_head():
    backbone = parameters(mobilenet_v2()) - 1_281_000 - (320 * 1280 + 2 * 1280)
    branch = 320 * 256 + 2 * 256
    head = 2 * branch + (512 * 256 + 2 * 256) + (256 * 21 + 21)

    assert parameters(deeplabv3_mobilenet_v2()) == backbone + head == 2_113_557


def test_each_atrous_branch_adds_its_own_taps_and_those_of_the_projection_that_read_it():
    more = 9 * 320 * 256 + 2 * 256 + 256 * 256

    network = deeplabv3_mobilenet_v2(atrous_rates=(6, 12, 18))

    assert parameters(network) == 2_113_557 + 3 * more
    assert [branch[0].dilation for branch in network.aspp] == [(1, 1), (6, 6), (12, 12), (18, 18)]


def test_half_of_the_width_without_norms_has_the_parameters_of_the_public_file(data_pack):
    file = load_file(data_pack / f"weights/{FILE}.safetensors")

    assert parameters(deeplabv3_mobilenet_v2(0.5, batch_norm=False)) == 688_357
    assert sum(tensor.numel() for tensor in file.values()) == 688_357


def test_every_key_of_the_public_file_leads_to_one_weight_of_its_shape(data_pack):
    file = load_file(data_pack / f"weights/{FILE}.safetensors")
    own = deeplabv3_mobilenet_v2(0.5, batch_norm=False).state_dict()

    named = tensorflow_deeplabv3().named_as_own(file)

    assert {k: t.shape for k, t in named.items()} == {k: t.shape for k, t in own.items()}


def test_strides_and_rates_are_those_of_the_public_file(data_pack):
    ops = json.loads((data_pack / f"weights/{FILE}.graph.json").read_text())["ops"]
    depthwise = [one for one in ops if one["op"] == "depthwise_conv_2d"]

    layers = [m for m in small().features.modules() if getattr(m, "groups", 1) > 1]

    assert [[*layer.stride] for layer in layers] == [one["stride"] for one in depthwise]
    assert [[*layer.dilation] for layer in layers] == [one["dilation"] for one in depthwise]


def test_with_the_public_weights_it_is_the_file_operation_by_operation(data_pack, trained, seen):
    with torch.no_grad():
        ours = trained(seen)
        made = run_graph_file(data_pack / "weights" / FILE, seen)

    theirs = made[168]
    assert theirs.shape == ours.shape == (1, 21, 257, 257)
    # sums of up to 512 products in another order, through 56 layers
    assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))


def test_with_the_public_weights_litert_says_the_same(data_pack, trained, seen):
    interpreter = Interpreter(str(data_pack / f"tflite/{FILE}_float.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], seen.permute(0, 2, 3, 1).numpy()
    )
    interpreter.invoke()
    theirs = torch.from_numpy(
        interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    ).permute(0, 3, 1, 2)

    with torch.no_grad():
        ours = trained(seen)

    # as above: float sums in another order
    assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))
    counts = ours.argmax(1).flatten().bincount()
    assert counts.argsort(descending=True)[:2].tolist() == [0, VOC_NAMES.index("aeroplane")]


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_the_map_in_front_of_the_branches_has_a_cell_for_output_stride_pixels(stride):
    with torch.no_grad():
        features = small(output_stride=stride).features(images(2, 3, 64, 96))

    assert features.shape == (2, 80, 64 // stride, 96 // stride)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("stride", "fewer"), [(8, 2), (8, 4), (16, 2)])
def test_an_atrous_backbone_sees_what_the_strided_one_sees_and_more_between(
    backbone, stride, fewer
):
    dense = small(backbone=backbone, output_stride=stride)
    sparse = small(backbone=backbone, output_stride=stride * fewer)
    sparse.load_state_dict(dense.state_dict())

    with torch.no_grad():  # of an odd side both paddings are symmetric
        every, few = (net.features(images(1, 3, 65, 97)) for net in (dense, sparse))

    # the same sums, but those of padding with zeros in other places of them
    assert_close(every[..., ::fewer, ::fewer], few, rtol=1e-4, atol=1e-5)
    assert every.shape[-1] == (few.shape[-1] - 1) * fewer + 1


def test_at_one_more_than_a_multiple_of_the_stride_each_cell_is_a_pixel_of_the_output():
    network, cells = small(), []
    network.logits.register_forward_hook(lambda *given: cells.append(given[-1]))

    with torch.no_grad():
        output = network(images(1, 3, 65, 41))

    assert torch.equal(output[..., ::8, ::8], cells[0])


def test_the_pooled_branch_says_the_same_at_every_pixel():
    network, joined = small(), []
    network.projection.register_forward_pre_hook(lambda _, given: joined.append(given[0]))

    with torch.no_grad():
        network(images(1, 3, 64, 48))

    pooled, fine = joined[0][:, :256], joined[0][:, 256:]
    assert torch.equal(pooled, pooled[..., :1, :1].expand_as(pooled))
    assert not torch.equal(fine, fine[..., :1, :1].expand_as(fine))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_classifiers_weights_fill_the_backbone_at_any_stride(backbone):
    torch.manual_seed(3)
    classifier = BACKBONES[backbone]().eval()
    network = deeplabv3_mobilenet_v2(num_classes=11, backbone=backbone, output_stride=32).eval()
    before = network.projection[0].weight.clone()

    taken = load_backbone(network, classifier.state_dict())

    assert len(taken) == 51 * 5  # of each convolution a weight, and four of its norm
    with torch.no_grad():
        seen = images(1, 3, 64, 64)
        assert torch.equal(network.features(seen), classifier.features[:18](seen))
    assert torch.equal(network.projection[0].weight, before)
    load_backbone(deeplabv3_mobilenet_v2(output_stride=16), classifier.state_dict())


def test_the_public_classifier_fills_the_backbone(data_pack):
    weights = load_file(data_pack / "weights/mobilenet_v2_1.0_224_tf.safetensors")
    network = deeplabv3_mobilenet_v2(num_classes=11, output_stride=16)

    load_backbone(network, weights)

    last = network.features[17].conv[2].weight
    assert torch.equal(last, weights["features.17.conv.2.weight"])


def test_a_classifier_of_rounded_channels_is_refused_below_full_width():
    with pytest.raises(WeightsError, match="do not fit the body of DeepLabV3"):
        load_backbone(deeplabv3_mobilenet_v2(0.5), mobilenet_v2_tf(0.5).state_dict())


def test_a_capture_computes_the_same_bits(captured):
    seen = images(2, 3, 33, 49)

    (found,) = run_float(captured, seen)

    with torch.no_grad():
        assert torch.equal(found, small(atrous_rates=(2,))(seen))


def test_without_norms_it_is_what_folding_leaves():
    network, folded = small(), small(batch_norm=False)
    tensors = folded.state_dict()
    own = network.state_dict()
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):  # of mean 0, variance 1, gain 1: only eps divides
            layer, _, number = name.rpartition(".")
            key = f"{layer}.{int(number) - 1}.weight"
            tensors[key] = own[key] / (1 + module.eps) ** 0.5
    tensors |= {key: own[key] for key in ("logits.weight", "logits.bias")}
    folded.load_state_dict(tensors)

    with torch.no_grad():  # rounding alone differs, over 56 layers
        assert_close(
            folded(images(1, 3, 64, 64)), network(images(1, 3, 64, 64)), rtol=1e-4, atol=1e-4
        )
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())


def test_every_weight_learns_and_training_drops_features_that_evaluation_keeps():
    network = small(output_stride=16, atrous_rates=(2,))
    seen, truth = images(2, 3, 64, 64), torch.arange(2 * 64 * 64).reshape(2, 64, 64) % 4

    F.cross_entropy(network.train()(seen), truth).backward()

    assert all(weight.grad.abs().sum() > 0 for weight in network.parameters())
    with torch.no_grad():
        network.eval()
        assert torch.equal(network(seen), network(seen))


def test_it_is_one_partition_and_equals_its_file_in_every_bit(captured):
    seen = images(2, 3, 33, 49)

    result = compress_graph(captured, target=LITERT.name, data=seen, recipe="plain")

    check = LITERT.check(result.files, result.twin, [seen])
    assert check.mismatches == 0
    assert check.values_compared > 100_000
    assert check.partitions == 1


def test_on_the_reference_kernels_it_equals_its_file_in_every_bit_down_to_one_cell():
    seen = images(1, 3, 8, 8)

    folded = capture(small(output_stride=16, batch_norm=False), seen)
    result = compress_graph(folded, target=LITERT_REFERENCE.name, data=seen, recipe="plain")

    check = LITERT_REFERENCE.check(result.files, result.twin, [seen])
    assert check.mismatches == 0
    assert check.values_compared > 5_000


def test_postprocess_takes_the_highest_logit_and_knows_the_names_of_voc_alone():
    post = deeplabv3_mobilenet_v2().postprocess((257, 257))

    assert (post.classes, post.rule, post.scores, post.channels) == (21, "highest", "logits", 21)
    assert (post.names[0], post.names[15], post.names[20]) == ("background", "person", "tvmonitor")
    assert deeplabv3_mobilenet_v2(num_classes=11).postprocess((192, 256)).names == ()


@pytest.mark.parametrize(
    ("wishes", "named"),
    [
        ({"width": 0}, "width must be a number above 0"),
        ({"num_classes": 0}, "num_classes must be an integer"),
        ({"backbone": "resnet50"}, "backbone must be one of 'mobilenet_v2', 'mobilenet_v2_tf'"),
        ({"output_stride": 4}, "output_stride must be one of 8, 16, 32, got 4"),
        ({"atrous_rates": (6, 0)}, "atrous_rates must be integers of at least 1, got 0"),
        ({"atrous_rates": (True,)}, "atrous_rates must be integers of at least 1, got True"),
    ],
)
def test_what_gives_no_network_is_refused(wishes, named):
    with pytest.raises(RequestError, match=f"deeplabv3_mobilenet_v2: {named}"):
        deeplabv3_mobilenet_v2(**wishes)
