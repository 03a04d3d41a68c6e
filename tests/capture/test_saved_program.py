"""Saved programs: what torch writes is read bit for bit, what could run code is never opened."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from intaglio.capture import graph_of_program
from intaglio.capture.plain_formula import foreign_in_formula
from intaglio.capture.saved_program import EXAMPLES, PROGRAM, load_program, program_input
from intaglio.errors import WeightsError
from intaglio.run.float import run_float

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
)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_part_that_could_run_code_is_refused_and_not_run(
    tmp_path: Path, attack: Callable[[Parts, str], None]
) -> None:
    path, mark = tmp_path / "net.pt2", tmp_path / "mark"
    saved(path)
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


def test_compressed_archives_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "net.pt2")
    rewritten(tmp_path / "net.pt2", lambda parts: None, zipfile.ZIP_DEFLATED)

    with pytest.raises(WeightsError, match="compressed"):
        load_program(tmp_path / "net.pt2")


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "net.pt2"
    saved(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep < 1 else int(keep)])

    with pytest.raises(WeightsError, match=r"damaged|is not opened"):
        load_program(path)


def test_a_checkpoint_under_that_name_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "net.pt2")

    with pytest.raises(WeightsError, match="would need unpickling"):
        load_program(tmp_path / "net.pt2")


@pytest.mark.parametrize("part", [PROGRAM, WEIGHTS, CONSTANTS, EXAMPLES, "data/weights/weight_0"])
def test_a_missing_part_is_refused(tmp_path: Path, part: str) -> None:
    saved(tmp_path / "net.pt2")
    rewritten(tmp_path / "net.pt2", lambda parts: parts.pop(part))

    with pytest.raises(WeightsError, match="damaged"):
        load_program(tmp_path / "net.pt2")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no program file"):
        load_program(tmp_path / "net.pt2")


@pytest.mark.parametrize(
    "formula",
    ["7", "s77", "Symbol('s77', positive=True, integer=True)", "Mul(Integer(2), Symbol('s0'))"],
)
def test_formulas_of_sizes_are_plain(formula: str) -> None:
    assert foreign_in_formula(formula) is None


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os')",
        "exit()",
        "s77.__class__",
        "Symbol('s77').func.__globals__",
        "[].append(1)",
        "(lambda: 0)()",
        "Symbol('a b')",
        "Symbol(open('x'))",
        "eval('1')",
        "Mul(2, x if y else z)",
        "9**9**9",
        "(",
    ],
)
def test_formulas_that_could_run_code_are_foreign(formula: str) -> None:
    assert foreign_in_formula(formula) is not None
