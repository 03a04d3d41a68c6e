"""Layouts: every key of a public file leads to one of the network's, and half a file is refused."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from intaglio.errors import WeightsError
from intaglio.read.named.reader import NAMED
from intaglio.read.reader import Given
from intaglio.store.layout import Layout
from intaglio.store.weights import load_weights
from intaglio.zoo.catalog import ZOO

FILES = {
    "ssd_mobilenet_v1": ("tensorflow", "ssd_mobilenet_v1_coco_300_dequant"),
    "yolov3_nano_mobilenet_v2": ("darknet", "mobilenetv2_yolov3_nano_coco"),
}


@pytest.fixture(params=FILES)
def public(request, data_pack):
    """Name of the network, its one layout, and the public file."""
    name, file = request.param, FILES[request.param][1]
    (layout,) = ZOO[name].layouts
    return name, layout, data_pack / "weights" / f"{file}.safetensors"


def test_every_weight_of_the_network_has_one_key_of_the_file(public):
    name, layout, path = public
    file, own = load_file(path), ZOO[name].build().state_dict()

    named = layout.named_as_own({k: t for k, t in file.items() if k not in layout.beside})

    assert {k: t.shape for k, t in named.items()} == {k: t.shape for k, t in own.items()}
    assert len(set(layout.keys.values())) == len(layout.keys)


def test_public_weights_arrive_unchanged_and_the_layout_is_told(public):
    name, layout, path = public
    network = ZOO[name].build()

    (note,) = load_weights(network, path, layouts=ZOO[name].layouts)

    assert f"the weights of '{path.name}' were read in the layout '{FILES[name][0]}'" in note
    file, own = load_file(path), network.state_dict()
    assert all(torch.equal(own[layout.keys[key]], file[key]) for key in file if key != "anchors")


def test_the_reader_of_names_knows_the_layouts(public):
    name, layout, path = public

    source = NAMED.open(name, Given(weights=path))

    assert any(f"in the layout '{layout.name}'" in note for note in source.notes)


def test_numbers_that_the_network_computes_itself_are_told_to_be_left(data_pack):
    _, file = FILES["ssd_mobilenet_v1"]
    entry = ZOO["ssd_mobilenet_v1"]

    (note,) = load_weights(
        entry.build(), data_pack / "weights" / f"{file}.safetensors", layouts=entry.layouts
    )

    assert "1 other tensor was left: anchors" in note


def test_a_file_in_the_networks_own_keys_is_read_as_before(tmp_path):
    entry = ZOO["yolov3_nano_mobilenet_v2"]
    save_file(entry.build().state_dict(), tmp_path / "own.safetensors")

    assert load_weights(entry.build(), tmp_path / "own.safetensors", layouts=entry.layouts) == ()


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_lacks_one_weight_is_refused_by_the_files_own_key(data_pack, tmp_path, name):
    entry, file = ZOO[name], FILES[name][1]
    tensors = load_file(data_pack / "weights" / f"{file}.safetensors")
    gone = next(key for key in sorted(tensors) if tensors[key].ndim == 4)
    del tensors[gone]
    save_file(tensors, tmp_path / "half.safetensors")
    network = entry.build()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}

    with pytest.raises(WeightsError, match=f"'{FILES[name][0]}'.*1 missing key: {gone}"):
        load_weights(network, tmp_path / "half.safetensors", layouts=entry.layouts)

    after = network.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_a_file_with_one_weight_more_is_refused(data_pack, tmp_path):
    tensors = load_file(data_pack / "weights" / "mobilenetv2_yolov3_nano_coco.safetensors")
    tensors["L.79.conv.weight"] = torch.zeros(1)
    save_file(tensors, tmp_path / "more.safetensors")
    entry = ZOO["yolov3_nano_mobilenet_v2"]

    with pytest.raises(WeightsError, match=r"1 unexpected key: L\.79\.conv\.weight"):
        load_weights(entry.build(), tmp_path / "more.safetensors", layouts=entry.layouts)


def test_a_file_of_another_width_is_refused_by_its_shapes(data_pack):
    _, file = FILES["ssd_mobilenet_v1"]
    entry = ZOO["ssd_mobilenet_v1"]

    # all but the biases of the 12 predictions
    with pytest.raises(WeightsError, match=r"in the layout 'tensorflow': 82 wrong shapes"):
        load_weights(
            entry.build(width=0.5),
            data_pack / "weights" / f"{file}.safetensors",
            layouts=entry.layouts,
        )


def test_without_its_layout_a_foreign_file_is_refused(data_pack):
    path = data_pack / "weights" / "mobilenetv2_yolov3_nano_coco.safetensors"

    # five of each of the 57 layers with a norm, two of each prediction
    with pytest.raises(WeightsError, match="do not fit the network: 289 missing keys"):
        load_weights(ZOO["yolov3_nano_mobilenet_v2"].build(), path)


def test_a_layout_renames_there_and_back():
    layout = Layout("other", {"a.w": "first.weight", "a.b": "first.bias"})
    own = {"first.weight": 1, "first.bias": 2, "last.weight": 3}

    assert layout.named_as_in_file(own) == {"a.w": 1, "a.b": 2, "last.weight": 3}
    assert layout.named_as_own(layout.named_as_in_file(own)) == own
