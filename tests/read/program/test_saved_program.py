"""Saved programs: what torch writes is read bit for bit, what could run code is never opened."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from intaglio.errors import WeightsError
from intaglio.read import graph_of_program
from intaglio.read.program.saved_program import EXAMPLES, PROGRAM, load_program, program_input
from intaglio.run.float import run_float
from zip_parts import part_places

WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
Parts = dict[str, bytes]


class Network(nn.Module):
    """Parameters, a buffer, a constant, and a size that is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.factor = torch.full((4, 1, 1), 0.5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = self.norm(self.conv(images)) * self.factor
        return values.reshape(images.shape[0], -1)


def saved(path: Path, *, batch: int | None = None) -> nn.Module:
    torch.manual_seed(0)
    network = Network().eval()
    shapes = None if batch else ({0: torch.export.Dim("batch")},)
    program = torch.export.export(
        network, (torch.zeros(batch or 2, 3, 8, 8),), dynamic_shapes=shapes
    )
    torch.export.save(program, path)
    return network


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A saved program with a free batch."""
    path = tmp_path_factory.mktemp("program") / "net.pt2"
    saved(path)
    return path.read_bytes()


def rewritten(path: Path, change: Callable[[Parts], None], how: int = zipfile.ZIP_STORED) -> None:
    """Change the archive's parts, by name without the folder that holds them."""
    with zipfile.ZipFile(path) as archive:
        parts = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in parts.items():
            archive.writestr(f"net/{name}", content)


@pytest.mark.parametrize("batch", [1, 3, None])
def test_a_saved_program_is_the_network_bit_for_bit(tmp_path: Path, batch: int | None) -> None:
    network = saved(tmp_path / "net.pt2", batch=batch)
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))

    program = load_program(tmp_path / "net.pt2")

    assert program_input(program) == (batch, (3, 8, 8))
    if batch in (1, None):  # a batch of 3 would be part of the reshape
        with torch.no_grad():
            assert torch.equal(run_float(graph_of_program(program), images)[0], network(images))


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (self.mark,)


def pickled_examples(parts: Parts, mark: str) -> None:
    content = io.BytesIO()
    torch.save((Evil(mark),), content)
    parts[EXAMPLES] = content.getvalue()


def pickled_weight(parts: Parts, mark: str) -> None:
    config = json.loads(parts[WEIGHTS])
    config["config"]["conv.weight"]["use_pickle"] = True
    parts[WEIGHTS] = json.dumps(config).encode()
    content = io.BytesIO()
    torch.save(Evil(mark), content)
    parts["data/weights/weight_0"] = content.getvalue()


def pickled_constant(parts: Parts, mark: str) -> None:
    config = json.loads(parts[CONSTANTS])
    entry = {
        "path_name": "opaque_obj_0",
        "is_param": False,
        "use_pickle": True,
        "tensor_meta": None,
    }
    config["config"]["object"] = entry
    parts[CONSTANTS] = json.dumps(config).encode()
    parts["data/constants/opaque_obj_0"] = pickle.dumps(Evil(mark))


def legacy_weights(parts: Parts, mark: str) -> None:
    content = io.BytesIO()
    torch.save(Evil(mark), content)
    parts["data/weights/model.pt"] = content.getvalue()


def compiled_code(parts: Parts, mark: str) -> None:
    parts["data/aotinductor/model/code.so"] = b"\x7fELF"


def formula_that_calls(parts: Parts, mark: str) -> None:
    text = parts[PROGRAM].decode()
    call = f"__import__('os').mkdir('{mark}')"
    changed = json.loads(
        text, object_hook=lambda o: {**o, "expr_str": call} if "expr_str" in o else o
    )
    parts[PROGRAM] = json.dumps(changed).encode()


def operator_of_python(parts: Parts, mark: str) -> None:
    parts[PROGRAM] = parts[PROGRAM].replace(b"torch.ops.aten.conv2d.default", b"torch.os.mkdir")


def renamed(parts: Parts, name: str, wish: str) -> None:
    text = json.dumps(json.loads(parts[PROGRAM]))
    parts[PROGRAM] = text.replace(json.dumps(name), json.dumps(wish)).encode()


def name_of_an_input(parts: Parts, mark: str) -> None:
    renamed(parts, "images", f"images=__import__('os').mkdir('{mark}')")


def name_of_a_weight(parts: Parts, mark: str) -> None:
    renamed(parts, "norm.bias", f"norm.bias\", __import__('os').mkdir('{mark}'), \"")


def name_of_an_argument(parts: Parts, mark: str) -> None:
    program = json.loads(parts[PROGRAM])
    signature = program["graph_module"]["module_call_graph"][0]["signature"]
    signature["forward_arg_names"] = [f"images=__import__('os').mkdir('{mark}')"]
    parts[PROGRAM] = json.dumps(program).encode()


def name_in_the_structure(parts: Parts, mark: str) -> None:
    program = json.loads(parts[PROGRAM])
    signature = program["graph_module"]["module_call_graph"][0]["signature"]
    keys = json.dumps(json.dumps([f"a=__import__('os').mkdir('{mark}')"]))
    signature["in_spec"] = signature["in_spec"].replace('"[]"', keys)
    parts[PROGRAM] = json.dumps(program).encode()


def renamed_part(parts: Parts, mark: str) -> None:
    pickled_weight(parts, mark)
    parts["data/weights/MODEL_weights_config.json"] = parts[WEIGHTS]


ATTACKS = (
    pickled_examples,
    pickled_weight,
    pickled_constant,
    legacy_weights,
    compiled_code,
    formula_that_calls,
    operator_of_python,
    renamed_part,
    name_of_an_input,
    name_of_a_weight,
    name_of_an_argument,
    name_in_the_structure,
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_part_that_could_run_code_is_refused_and_not_run(
    tmp_path: Path, program: bytes, attack: Callable[[Parts, str], None]
) -> None:
    path, mark = tmp_path / "net.pt2", tmp_path / "mark"
    path.write_bytes(program)
    rewritten(path, lambda parts: attack(parts, str(mark)))

    with pytest.raises(WeightsError, match=r"net\.pt2") as caught:
        load_program(path)

    assert "unpickling" in str(caught.value) or "damaged" in str(caught.value)
    assert not mark.exists()


def test_guards_are_left_out_before_torch_reads_the_program(tmp_path: Path) -> None:
    path, mark = tmp_path / "net.pt2", tmp_path / "mark"
    saved(path)

    def guard(parts: Parts) -> None:
        program = json.loads(parts[PROGRAM])
        program["guards_code"] = [f"__import__('os').mkdir('{mark}') is None"]
        parts[PROGRAM] = json.dumps(program).encode()

    rewritten(path, guard)
    graph_of_program(load_program(path))

    assert not mark.exists()


def test_compressed_archives_are_refused(tmp_path: Path, program: bytes) -> None:
    (tmp_path / "net.pt2").write_bytes(program)
    rewritten(tmp_path / "net.pt2", lambda parts: None, zipfile.ZIP_DEFLATED)

    with pytest.raises(WeightsError, match="compressed"):
        load_program(tmp_path / "net.pt2")


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, program: bytes, keep: float) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(program)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep < 1 else int(keep)])

    with pytest.raises(WeightsError, match=r"damaged|is not opened"):
        load_program(path)


def test_a_checkpoint_under_that_name_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "net.pt2")

    with pytest.raises(WeightsError, match="would need unpickling"):
        load_program(tmp_path / "net.pt2")


@pytest.mark.parametrize("part", [PROGRAM, WEIGHTS, CONSTANTS, EXAMPLES, "data/weights/weight_0"])
def test_a_missing_part_is_refused(tmp_path: Path, program: bytes, part: str) -> None:
    (tmp_path / "net.pt2").write_bytes(program)
    rewritten(tmp_path / "net.pt2", lambda parts: parts.pop(part))

    with pytest.raises(WeightsError, match="damaged"):
        load_program(tmp_path / "net.pt2")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no program file"):
        load_program(tmp_path / "net.pt2")


def changed_program(change: Callable[[dict[str, Any]], None]) -> Callable[[Parts], None]:
    def apply(parts: Parts) -> None:
        program = json.loads(parts[PROGRAM])
        change(program)
        parts[PROGRAM] = json.dumps(program).encode()

    return apply


def changed_tensor(**meta: Any) -> Callable[[Parts], None]:
    """Change what the first weight, of 4*3*3*3 floats, says of itself."""

    def apply(parts: Parts) -> None:
        config = json.loads(parts[WEIGHTS])
        config["config"]["conv.weight"]["tensor_meta"].update(meta)
        parts[WEIGHTS] = json.dumps(config).encode()

    return apply


def sizes(*values: int) -> list[dict[str, int]]:
    return [{"as_int": value} for value in values]


def no_bytes_but_sizes(parts: Parts) -> None:
    parts["data/weights/weight_0"] = b""
    changed_tensor(sizes=sizes(2**20, 2**20, 1, 1))(parts)


def counted_symbol(program: dict[str, Any]) -> None:
    program["range_constraints"]["u99999999999"] = {"min_val": 0, "max_val": None}


def deep(parts: Parts) -> None:
    parts[PROGRAM] = b'{"range_constraints": {}, "a": ' + b"[" * 90 + b"]" * 90 + b"}"


def too_deep(parts: Parts) -> None:
    parts[PROGRAM] = b"[" * 100_000 + b"]" * 100_000


def key_twice(parts: Parts) -> None:
    parts[PROGRAM] = parts[PROGRAM].replace(
        b'{"graph_module"', b'{"guards_code": [], "graph_module"'
    )


def many_formulas(program: dict[str, Any]) -> None:
    program["more"] = [{"expr_str": f"Symbol('s{number}')"} for number in range(201)]


def many_calls(program: dict[str, Any]) -> None:
    program["more"] = [{"target": "torch.ops.aten.relu.default"}] * 20_001


WITHOUT_BOUND = {
    "more sizes than bytes": changed_tensor(sizes=sizes(4, 3, 3, 4)),
    "sizes and no bytes": no_bytes_but_sizes,
    "one byte again and again": changed_tensor(
        sizes=sizes(2**12, 2**12, 2**8, 1), strides=sizes(0, 0, 0, 1)
    ),
    "an offset beyond the bytes": changed_tensor(storage_offset={"as_int": 1}),
    "a negative size": changed_tensor(sizes=sizes(-4, 3, 3, 3)),
    "a stride for each size but one": changed_tensor(strides=sizes(27, 9, 3)),
    "another type": changed_tensor(dtype=8),
    "an unknown type": changed_tensor(dtype=99),
    "another device": changed_tensor(device={"type": "meta", "index": None}),
    "a symbol to count up to": changed_program(counted_symbol),
    "bounds of a symbol": changed_program(
        lambda p: p["range_constraints"].update(s34={"min_val": 0, "max_val": 10**300})
    ),
    "nested lists": deep,
    "lists nested beyond recursion": too_deep,
    "a key that is there twice": key_twice,
    "many formulas": changed_program(many_formulas),
    "many calls": changed_program(many_calls),
}


@pytest.mark.parametrize("what", WITHOUT_BOUND)
def test_what_could_take_any_time_or_memory_is_refused_before_torch_reads_it(
    tmp_path: Path, program: bytes, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(program)
    rewritten(path, WITHOUT_BOUND[what])
    monkeypatch.setattr(torch.export, "load", lambda *_: pytest.fail("torch read it"))

    with pytest.raises(WeightsError, match=r"net\.pt2") as caught:
        load_program(path)

    assert "damaged" in str(caught.value) or "is not opened" in str(caught.value)


@pytest.mark.filterwarnings("ignore:No complete tensor")  # of torch, while it saves
def test_a_tensor_that_repeats_a_few_elements_is_read(tmp_path: Path) -> None:
    class Repeated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("factor", torch.ones(1, 1, 1).expand(3, 1, 1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images * self.factor

    images = torch.rand(2, 3, 4, 4)
    torch.export.save(torch.export.export(Repeated(), (images,)), tmp_path / "net.pt2")

    graph = graph_of_program(load_program(tmp_path / "net.pt2"))

    assert torch.equal(run_float(graph, images)[0], images)


def test_a_flipped_bit_in_any_part_is_noticed(tmp_path: Path, program: bytes) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(program)

    for start, size in part_places(path).values():
        changed = bytearray(program)
        changed[start + size // 2] ^= 2
        path.write_bytes(changed)
        with pytest.raises(WeightsError, match="Bad CRC-32"):
            load_program(path)


def zeros_of(size: int) -> Callable[[dict[str, Any]], None]:
    """Put a call before all others that makes zeros from nothing; what it says of them is small."""

    def change(program: dict[str, Any]) -> None:
        graph = program["graph_module"]["graph"]
        call = {
            "target": "torch.ops.aten.zeros.default",
            "inputs": [{"name": "size", "arg": {"as_ints": [size, size]}, "kind": 1}],
            "outputs": [{"as_tensor": {"name": "made"}}],
            "metadata": {},
            "is_hop_single_tensor_return": None,
            "name": "made",
        }
        graph["nodes"].insert(0, call)
        graph["tensor_values"]["made"] = graph["tensor_values"]["p_conv_bias"]

    return change


def test_a_call_that_makes_a_giant_from_nothing_is_refused_and_not_run(
    tmp_path: Path, program: bytes
) -> None:
    path = tmp_path / "net.pt2"
    for size in (3, 2**20):
        path.write_bytes(program)
        rewritten(path, changed_program(zeros_of(size)))
        if size == 3:
            assert load_program(path)
        else:
            with pytest.raises(WeightsError, match="'made' makes a tensor of 1099511627776 elem"):
                load_program(path)
