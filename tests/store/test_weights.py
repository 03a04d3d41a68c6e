"""Weights into networks: what is accepted, and every refusal."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from intaglio import zoo
from intaglio.errors import NonFiniteError, WeightsError
from intaglio.store.weights import load_weights
from zip_parts import part_places


class Code:
    """Stands for a whole network or any other object in a checkpoint: only unpickling makes it."""


@pytest.fixture
def network():
    """A small network with a batch norm and a counter."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Linear(5, 2)).eval()


@pytest.fixture
def trained():
    """A state dict that fits `network`, with other values."""
    torch.manual_seed(1)
    other = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Linear(5, 2))
    other[1].running_mean.uniform_()
    return other.state_dict()


def snapshot(network: nn.Module) -> dict[str, torch.Tensor]:
    return {key: tensor.clone() for key, tensor in network.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def refusal(network: nn.Module, path: Path, kind: type[Exception] = WeightsError) -> str:
    """Return the message of the refusal; one line, the file named, nothing changed."""
    before = snapshot(network)
    with pytest.raises(kind) as caught:
        load_weights(network, path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    assert same(snapshot(network), before)
    return message


@pytest.mark.parametrize(
    ("name", "arguments", "file"),
    [
        ("mobilenet_v2_tf", {}, "mobilenet_v2_1.0_224_tf"),
        ("mobilenet_v1_tf", {"width": 0.75}, "mobilenet_v1_0.75_224_tf"),
        ("mobilenet_v1_tf", {"width": 0.25}, "mobilenet_v1_0.25_224_tf"),
        ("resnet20_cifar10", {}, "resnet20_cifar10"),
    ],
)
def test_public_weights_arrive_unchanged(data_pack, name, arguments, file):
    path = data_pack / "weights" / f"{file}.safetensors"
    network = zoo.ZOO[name].build(**arguments)

    load_weights(network, path)

    assert same(network.state_dict(), load_file(path))


def test_weights_of_another_width_are_refused_with_three_names_of_each_kind(data_pack):
    path = data_pack / "weights" / "mobilenet_v1_0.25_224_tf.safetensors"

    message = refusal(zoo.mobilenet_v1_tf(width=0.5), path)

    # all of 27 convolutions and 4 tensors of each norm, and the classifier's weight
    assert f"{27 * 5 + 1} wrong shapes: features.0.0.weight (file [8, 3, 3, 3], network" in message
    assert message.count("(file [") == 3
    assert "missing" not in message
    assert "unexpected" not in message


def test_safetensors_and_checkpoints_give_the_same_network(network, trained, tmp_path):
    save_file(trained, tmp_path / "a.safetensors")
    torch.save(trained, tmp_path / "a.pth")
    torch.save(trained, tmp_path / "old.pth", _use_new_zipfile_serialization=False)

    for file in ("a.safetensors", "a.pth", "old.pth"):
        nn.init.zeros_(network[0].weight)
        load_weights(network, str(tmp_path / file))
        assert same(network.state_dict(), trained)


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_a_state_dict_beside_other_things_is_found(network, trained, tmp_path, wrapper):
    torch.save({"epoch": 3, wrapper: trained, "args": {"lr": 0.1}}, tmp_path / "a.pth")

    load_weights(network, tmp_path / "a.pth")

    assert same(network.state_dict(), trained)


def test_the_prefix_of_data_parallel_is_taken_off(network, trained, tmp_path):
    torch.save({f"module.{key}": value for key, value in trained.items()}, tmp_path / "a.pth")

    load_weights(network, tmp_path / "a.pth")

    assert same(network.state_dict(), trained)


def test_a_child_that_is_called_module_keeps_its_prefix(network, trained, tmp_path):
    wrapped = nn.ModuleDict({"module": network})
    prefixed = {f"module.{key}": value for key, value in trained.items()}
    save_file(prefixed, tmp_path / "a.safetensors")

    load_weights(wrapped, tmp_path / "a.safetensors")

    assert same(network.state_dict(), trained)


def test_a_prefix_that_would_make_two_keys_one_is_not_taken_off(network, trained, tmp_path):
    trained["module.2.weight"] = trained["2.weight"] + 1.0
    torch.save(trained, tmp_path / "a.pth")

    message = refusal(network, tmp_path / "a.pth")

    assert "1 unexpected key: module.2.weight" in message


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_become_float32(network, trained, tmp_path, dtype):
    stored = {k: v.to(dtype) if v.is_floating_point() else v for k, v in trained.items()}
    save_file(stored, tmp_path / "a.safetensors")

    load_weights(network, tmp_path / "a.safetensors")

    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, stored[key].to(tensor.dtype))
        assert tensor.dtype in (torch.float32, torch.int64)


def test_batch_counters_may_be_missing_but_running_statistics_may_not(network, trained, tmp_path):
    del trained["1.num_batches_tracked"]
    save_file(trained, tmp_path / "a.safetensors")
    load_weights(network, tmp_path / "a.safetensors")
    assert torch.equal(network[1].running_mean, trained["1.running_mean"])

    del trained["1.running_mean"]
    save_file(trained, tmp_path / "b.safetensors")
    assert "1 missing key: 1.running_mean." in refusal(network, tmp_path / "b.safetensors")


def test_missing_unexpected_and_misshapen_are_counted_and_the_first_three_named(network, tmp_path):
    state = {"2.bias": torch.zeros(3), **{f"extra.{i}": torch.zeros(1) for i in range(4)}}
    save_file(state, tmp_path / "a.safetensors")

    message = refusal(network, tmp_path / "a.safetensors")

    assert "6 missing keys: 0.weight, 1.weight, 1.bias, ...;" in message
    assert "4 unexpected keys: extra.0, extra.1, extra.2, ...;" in message
    assert "1 wrong shape: 2.bias (file [3], network [2])." in message
    assert "width, num_classes" in message


def test_integers_in_the_place_of_reals_are_refused(network, trained, tmp_path):
    trained["2.weight"] = trained["2.weight"].to(torch.int8)
    save_file(trained, tmp_path / "a.safetensors")

    assert "1 wrong kind of number: 2.weight (file torch.int8, network torch.float32)" in refusal(
        network, tmp_path / "a.safetensors"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_not_finite_names_its_layer(network, trained, tmp_path, value):
    trained["1.running_var"][2] = value
    save_file(trained, tmp_path / "a.safetensors")

    message = refusal(network, tmp_path / "a.safetensors", NonFiniteError)

    assert "1 of 4 values of 'running_var' of layer '1'" in message


def test_a_weight_too_large_for_float32_is_not_finite(network, trained, tmp_path):
    trained["2.bias"] = torch.tensor([1e300, 0.0], dtype=torch.float64)
    save_file(trained, tmp_path / "a.safetensors")

    assert "'bias' of layer '2'" in refusal(network, tmp_path / "a.safetensors", NonFiniteError)


def test_a_bare_layer_is_named_as_the_network_itself(tmp_path):
    layer = nn.Linear(2, 2)
    state = {"weight": torch.full((2, 2), torch.nan), "bias": torch.zeros(2)}
    save_file(state, tmp_path / "a.safetensors")

    message = refusal(layer, tmp_path / "a.safetensors", NonFiniteError)

    assert "'weight' of the network itself" in message


def test_a_file_that_is_not_there_a_directory_and_an_empty_file_are_told_apart(network, tmp_path):
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "empty.pth").touch()

    assert "there is no weights file" in refusal(network, tmp_path / "none.safetensors")
    assert "are a directory" in refusal(network, tmp_path / "folder.safetensors")
    assert "is empty" in refusal(network, tmp_path / "empty.safetensors")
    assert "is empty" in refusal(network, tmp_path / "empty.pth")


def test_a_safetensors_file_cut_anywhere_is_refused(network, trained, tmp_path):
    save_file(trained, tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    path = tmp_path / "cut.safetensors"

    for length in (1, 7, 8, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "truncated or not safetensors" in refusal(network, path)


def test_a_corrupt_safetensors_header_is_refused(network, trained, tmp_path):
    path = tmp_path / "a.safetensors"
    save_file(trained, path)
    content = path.read_bytes()

    for damaged in (b"\xff" * 8 + content[8:], content[:8] + b"[" + content[9:], b"GIF89a" * 40):
        path.write_bytes(damaged)
        assert "truncated or not safetensors" in refusal(network, path)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_checkpoint_cut_anywhere_is_refused(network, trained, tmp_path, new_format):
    path = tmp_path / "a.pth"
    torch.save(trained, path, _use_new_zipfile_serialization=new_format)
    whole = path.read_bytes()

    for length in (1, 3, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "truncated or no PyTorch checkpoint" in refusal(network, path) or (
            "never unpickles" in refusal(network, path)
        )


def test_a_flipped_bit_in_any_part_of_a_checkpoint_is_an_error(network, trained, tmp_path):
    path = tmp_path / "a.pth"
    torch.save(trained, path)
    whole = path.read_bytes()

    for name, (start, size) in part_places(path).items():
        content = bytearray(whole)
        content[start + size // 2] ^= 16
        path.write_bytes(content)
        assert f"Bad CRC-32 for file '{name}'" in refusal(network, path)


def test_a_flipped_bit_in_a_number_of_the_old_format_is_another_number(trained, tmp_path):
    # that format has no checksum: what cannot be noticed is said in the module's text
    path = tmp_path / "a.pth"
    torch.save(trained, path, _use_new_zipfile_serialization=False)
    content = bytearray(path.read_bytes())
    content[content.index(trained["2.bias"].numpy().tobytes())] ^= 1
    path.write_bytes(content)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Linear(5, 2))

    load_weights(network, path)

    assert not torch.equal(network[2].bias, trained["2.bias"])


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("size", [b"K\xc8", b"J\xff\xff\xff\x7f", b"\x8a\x06\0\0\0\0\0\x7f"])
def test_a_tensor_that_claims_more_than_is_stored_is_refused(tmp_path, new_format, size):
    path = tmp_path / "a.pth"
    torch.save({"weight": torch.ones(2, 4)}, path, _use_new_zipfile_serialization=new_format)
    if new_format:  # with the checksum of the changed part, as whoever changed it would write it
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content.replace(b"K\x02K\x04\x86", size + b"K\x04\x86"))
    else:
        path.write_bytes(path.read_bytes().replace(b"K\x02K\x04\x86", size + b"K\x04\x86"))

    assert "no PyTorch checkpoint" in refusal(nn.Linear(4, 2, bias=False), path)


def test_a_compressed_checkpoint_and_one_with_bytes_behind_it_are_refused(
    network, trained, tmp_path
):
    path = tmp_path / "a.pth"
    torch.save(trained, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    (tmp_path / "longer.pth").write_bytes(path.read_bytes() + b"more")

    assert "is compressed" in refusal(network, tmp_path / "packed.pth")
    assert "behind its end" in refusal(network, tmp_path / "longer.pth")


def test_an_archive_of_torchscript_is_told_apart_from_a_damaged_one(network, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/data.pkl", b"")
        archive.writestr("a/code/__torch__.py", b"code", zipfile.ZIP_DEFLATED)

    assert "never unpickles" in refusal(network, tmp_path / "a.pt")


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_a_key_that_is_nested_without_end_neither_stalls_nor_crashes(
    network, tmp_path, new_format, shared
):
    path = tmp_path / "a.pth"
    key = b")q\x01" + b"h\x01h\x01\x86q\x01" * 60 if shared else b")" + b"\x85" * 500_000
    content = b"\x80\x02}" + key + b"K\x01s."
    torch.save({}, path, _use_new_zipfile_serialization=new_format)
    if new_format:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", content)
            archive.writestr("a/version", b"3")
    else:
        whole, empty = path.read_bytes(), pickle.dumps({}, 2)
        path.write_bytes(whole.replace(empty, content))

    message = refusal(network, path)
    assert "nested without end" in message or "never unpickles" in message


def test_tensors_without_values_are_refused(network, trained, tmp_path):
    trained["2.weight"] = trained["2.weight"].to("meta")
    torch.save(trained, tmp_path / "a.pth")

    assert "1 other entry: 2.weight" in refusal(network, tmp_path / "a.pth")


def test_a_key_with_a_line_break_is_told_on_one_line(network, trained, tmp_path):
    trained["a\nb"] = torch.zeros(1)
    save_file(trained, tmp_path / "a.safetensors")

    assert r"1 unexpected key: a\nb" in refusal(network, tmp_path / "a.safetensors")


def test_other_files_are_no_checkpoint(network, trained, tmp_path):
    save_file(trained, tmp_path / "misnamed.pth")
    (tmp_path / "page.pth").write_text("<html>not found</html>")

    for name in ("misnamed.pth", "page.pth"):
        message = refusal(network, tmp_path / name)
        assert "no PyTorch checkpoint" in message
        assert "must be named .safetensors" in message


@pytest.mark.parametrize("new_format", [True, False])
def test_a_checkpoint_that_needs_unpickling_is_refused_with_the_way_out(
    network, trained, tmp_path, new_format
):
    path = tmp_path / "a.pth"
    torch.save(
        {"state_dict": trained, "options": Code()}, path, _use_new_zipfile_serialization=new_format
    )

    message = refusal(network, path)

    assert "intaglio never unpickles" in message
    assert "safetensors.torch.save_file(model.state_dict()" in message


def test_a_whole_pickled_network_or_a_bare_pickle_is_refused_and_runs_nothing(network, tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    torch.save(network, tmp_path / "network.pth")
    (tmp_path / "bare.pkl").write_bytes(pickle.dumps(Trap()))

    for name in ("network.pth", "bare.pkl"):
        assert "never unpickles" in refusal(network, tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_without_a_state_dict_is_refused(network, trained, tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"epoch": 3, "net": [trained], "lr": 0.1, "best": 1}, tmp_path / "other.pth")

    assert "holds a list, not a state dict" in refusal(network, tmp_path / "list.pth")
    assert "4 other entries: epoch, net, lr, ...; save model.state_dict()" in refusal(
        network, tmp_path / "other.pth"
    )


def test_sparse_tensors_are_refused(network, trained, tmp_path):
    trained["2.weight"] = trained["2.weight"].to_sparse()
    torch.save(trained, tmp_path / "a.pth")

    assert "1 other entry: 2.weight" in refusal(network, tmp_path / "a.pth")


def test_a_network_that_refuses_halfway_is_put_back(network, trained, tmp_path):
    def refuse(*_arguments):
        raise RuntimeError("not\nmine")

    network[2].register_load_state_dict_pre_hook(refuse)
    save_file(trained, tmp_path / "a.safetensors")

    assert "refuses the weights" in refusal(network, tmp_path / "a.safetensors")


def test_loading_keeps_the_parameters_that_others_hold(network, trained, tmp_path):
    held = network[2].weight
    save_file(trained, tmp_path / "a.safetensors")

    load_weights(network, tmp_path / "a.safetensors")

    assert network[2].weight is held
    assert held.requires_grad
