"""The selfie segmenter: counts, the public file operation by operation, and the way to a file."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn
from torch.testing import assert_close

from intaglio import capture
from intaglio.errors import RequestError
from intaglio.job.of_graph import compress_graph
from intaglio.run.float import run_float
from intaglio.runtimes import LITERT, LITERT_REFERENCE
from intaglio.store.weights import load_weights
from intaglio.zoo.map_layouts import mediapipe_selfie_segmentation
from intaglio.zoo.selfie import Doubled, Gate, Level, selfie_segmentation
from zoo.graph_file import run_graph_file

FILE = "selfie_segmentation_256"


def untrained():
    torch.manual_seed(0)
    return selfie_segmentation().eval()


@pytest.fixture
def network():
    return untrained()


@pytest.fixture(scope="module")
def captured():
    """The network in front of 32 x 48 pixels; nothing changes it."""
    return capture(untrained(), torch.zeros(1, 3, 32, 48))


def images(*size):
    return torch.rand(*size, generator=torch.Generator().manual_seed(1))


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_it_has_the_parameters_of_the_public_file_and_with_norms_one_more_a_channel(data_pack):
    file = load_file(data_pack / f"weights/{FILE}.safetensors")
    normed = selfie_segmentation(batch_norm=True)

    channels = sum(m.num_features for m in normed.modules() if isinstance(m, nn.BatchNorm2d))

    assert sum(tensor.numel() for tensor in file.values()) == 106_401
    assert parameters(selfie_segmentation()) == 106_401
    assert parameters(normed) == 106_401 + channels  # a bias becomes a factor and an offset


def test_every_key_of_the_public_file_leads_to_one_weight_of_its_shape(data_pack):
    file = load_file(data_pack / f"weights/{FILE}.safetensors")

    named = mediapipe_selfie_segmentation().named_as_own(file)

    own = selfie_segmentation().state_dict()
    assert {k: t.shape for k, t in named.items()} == {k: t.shape for k, t in own.items()}


def test_with_the_public_weights_it_is_the_file_operation_by_operation(data_pack, network):
    path = data_pack / "weights" / FILE
    load_weights(
        network, path.with_suffix(".safetensors"), layouts=(mediapipe_selfie_segmentation(),)
    )
    seen = F.interpolate(images(1, 3, 9, 9), size=(256, 256), mode="bicubic").clamp(0, 1)

    with torch.no_grad():
        ours = network(seen)
        theirs = run_graph_file(path, seen)[249]

    assert theirs.shape == (1, 1, 256, 256)
    # sums in another order in front of a sigmoid, which is nowhere steeper than 1/4
    assert_close(ours, theirs, rtol=0, atol=1e-4)
    assert theirs.std() > 0.01


def test_a_doubled_pixel_is_four_sums_over_the_channels():
    torch.manual_seed(0)
    layer, seen = Doubled(3, 2), images(1, 3, 4, 5)

    with torch.no_grad():
        output, weight = layer(seen), layer.weight.detach().numpy()

    assert output.shape == (1, 2, 8, 10)
    for y, x, out in ((0, 0, 0), (5, 3, 1), (7, 8, 0)):
        total = sum(
            float(seen[0, c, y // 2, x // 2]) * float(weight[out, y % 2, x % 2, c])
            for c in range(3)
        )
        assert float(output[0, out, y, x]) == pytest.approx(total, rel=1e-5)  # of float32


def test_a_gate_says_one_number_for_each_channel_whatever_the_places_of_the_pixels():
    torch.manual_seed(0)
    gate, seen = Gate(8, 4), images(2, 8, 6, 6)

    with torch.no_grad():
        said, turned = gate(seen), gate(seen.flip(2, 3))

    assert said.shape == (2, 8, 1, 1)
    assert 0 < said.min() < said.max() < 1
    assert_close(said, turned)  # a mean in another order


def test_a_level_whose_coarse_map_says_nothing_lets_the_fine_one_through_its_gate():
    torch.manual_seed(0)
    level, fine = Level(16, 8, batch_norm=False), images(1, 8, 6, 10)

    with torch.no_grad():
        output = level(torch.zeros(1, 16, 3, 5), fine)
        joined = level.pointwise(fine * level.gate(fine))

    assert_close(output, joined + level.depthwise(joined))


@pytest.mark.parametrize(
    ("size", "out"), [((16, 16), (16, 16)), ((64, 96), (64, 96)), ((33, 30), (34, 30))]
)
def test_an_image_of_even_sides_has_a_probability_for_each_pixel(network, size, out):
    with torch.no_grad():
        found = network(images(2, 3, *size))

    assert found.shape == (2, 1, *out)
    assert 0 < found.min() < found.max() < 1


def test_a_capture_computes_the_same_bits(network, captured):
    seen = images(2, 3, 32, 48)

    (found,) = run_float(captured, seen)

    with torch.no_grad():
        assert torch.equal(found, network(seen))


def test_every_weight_learns_from_scratch():
    torch.manual_seed(0)
    network = selfie_segmentation(batch_norm=True).train()
    truth = (torch.arange(2 * 64 * 64) % 2).float().reshape(2, 1, 64, 64)

    F.binary_cross_entropy(network(images(2, 3, 64, 64)), truth).backward()

    assert all(weight.grad.abs().sum() > 0 for weight in network.parameters())


def test_a_network_of_half_the_width_has_fewer_channels_and_one_output_still():
    network = selfie_segmentation(0.5).eval()

    with torch.no_grad():
        found = network(images(1, 3, 32, 32))

    assert found.shape == (1, 1, 32, 32)
    assert parameters(network) < 0.5 * 106_401


def test_it_is_one_partition_and_equals_its_file_in_every_bit(captured):
    seen = images(2, 3, 32, 48)

    result = compress_graph(captured, target=LITERT.name, data=seen, recipe="plain")

    check = LITERT.check(result.files, result.twin, [seen])
    assert check.mismatches == 0
    assert check.values_compared > 100_000
    assert check.partitions == 1


def test_on_the_reference_kernels_it_equals_its_file_in_every_bit_down_to_one_cell(network):
    seen = images(1, 3, 16, 16)

    captured = capture(network, seen)
    result = compress_graph(captured, target=LITERT_REFERENCE.name, data=seen, recipe="plain")

    check = LITERT_REFERENCE.check(result.files, result.twin, [seen])
    assert check.mismatches == 0
    assert check.values_compared > 20_000


def test_postprocess_takes_what_is_more_likely_a_person_than_not(network):
    post = network.postprocess((256, 256))

    assert (post.classes, post.rule, post.scores) == (2, "threshold", "probabilities")
    assert (post.threshold, post.channels) == (0.5, 1)
    assert post.names == ("background", "person")


@pytest.mark.parametrize("width", [0, -1.0, True, float("inf")])
def test_a_width_that_is_no_number_above_zero_is_refused(width):
    with pytest.raises(RequestError, match="selfie_segmentation: width must be a number above 0"):
        selfie_segmentation(width)
