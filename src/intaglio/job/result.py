"""The result of compressing a network: file, twin and report; saved and loaded as a folder."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from intaglio.boxes.detect import detections
from intaglio.boxes.detections import Detections
from intaglio.boxes.postprocess import PostProcess
from intaglio.boxes.regions import two_stage_detections
from intaglio.errors import RequestError, WeightsError, cause
from intaglio.host.files import (
    CORES,
    MARK,
    POSTPROCESS,
    SUMS,
    TRAIN_MARK,
    core_prefix,
    write_file,
)
from intaglio.host.folder import claim_place, whole_folder
from intaglio.host.hidden import is_unfinished
from intaglio.host.strict_json import read_json
from intaglio.host.sums import verify_sums
from intaglio.host.training import drop_training
from intaglio.ir.graph import Graph
from intaglio.job.cut import same_cut, stored_whole
from intaglio.maps.postprocess import MapPostProcess
from intaglio.numerics.encodings import Encodings
from intaglio.read.module.core_networks import Network, with_networks
from intaglio.read.module.core_whole import Whole
from intaglio.recipe.recipe import Recipe, find_recipe, to_toml
from intaglio.report.html import render_html
from intaglio.report.layers import weight_ranges
from intaglio.report.record import Report
from intaglio.report.section import Section
from intaglio.run.float import infer_shapes
from intaglio.run.twin import Twin, build_twin
from intaglio.runtimes import target_named
from intaglio.store.cores import cores_text, read_cores
from intaglio.store.encodings import encodings_from_dict, encodings_to_dict
from intaglio.store.encodings_fit import refuse_grids, refuse_halves, refuse_names, refuse_simulated
from intaglio.store.graph import load_graph, save_graph
from intaglio.store.postprocess import postprocess_text, read_postprocess
from intaglio.store.synthetic import NAME as SYNTHETIC_NAME
from intaglio.store.synthetic import SyntheticImages, load_synthetic
from intaglio.targets.ending import Ending
from intaglio.targets.target import Target
from intaglio.tasks.task import wording_of

GRAPH_NAME, ENCODINGS, RECIPE = "graph", "encodings.json", "recipe.toml"


@dataclass(frozen=True, eq=False)
class Result:
    """What `compress` returns and `load` reads back.

    Attributes:
        graph: The float graph, node for node as the file holds it; of a network in float16 with
            its weights as they are rounded.
        encodings: The grid of every value, or what is stored as float16.
        target: The runtime.
        report: What was done and measured.
        files: What the runtime takes, by name; none where the scheme is simulated.
        recipe: What was really run.
        io: What the file takes and gives, one of the target's `io_forms`.
        synthetic: Images that the run made of batch norms; None where it made none, or the folder
            that was loaded holds none.
        postprocess: How boxes, or classes of pixels, come of the outputs; None of any other
            network.
        whole: The user's detector, cut into cores of which `graph` is the first; None where the
            network is captured as a whole, or was loaded without the module.
        core: Name of that first core; "" where there are none.
        parts: The other cores, each by its name.
        shown: What the page shows of the evaluation beside the report; a folder holds it in its
            page alone.
        kept: Folder in which the run is kept until the result is saved; None where nothing was.
    """

    graph: Graph
    encodings: Encodings
    target: Target
    report: Report
    files: Mapping[str, bytes]
    recipe: Recipe
    io: str = "float"
    synthetic: SyntheticImages | None = None
    postprocess: Ending | None = None
    whole: Whole | None = None
    core: str = ""
    parts: Mapping[str, Result] = field(default_factory=dict)
    shown: tuple[Section, ...] = ()
    kept: Path | None = None

    @property
    def content(self) -> bytes:
        """The bytes of the network among the files.

        Raises:
            RequestError: If the scheme is simulated: then there is no file.
        """
        if not self.files:
            raise RequestError(
                f"scheme {self.report.scheme} is simulated: there is no file, the twin alone runs"
                " the network"
            )
        return self.files[self.target.file_name]

    @cached_property
    def twin(self) -> Twin:
        """The network in Python: of integers, equal to the file bit for bit; else in float32."""
        return build_twin(self.graph, self.encodings, self.target)

    def detect(self, images: Tensor) -> list[Detections]:
        """Return what the integer network finds in each of the images [N, C, H, W].

        Boxes are in pixels of what the network sees.

        Raises:
            RequestError: If it is no detector of a known kind, or images are of another size.
        """
        post = self.postprocess
        if isinstance(post, MapPostProcess):
            raise RequestError(
                f"'{self.report.model}' gives a map of each image, and no boxes: it is no detector"
            )
        if post is None:
            raise RequestError(
                f"of '{self.report.model}' it is not known how boxes come of its outputs: it has no"
                f" {POSTPROCESS}"
            )
        self._refuse_other_images(images)
        outputs = [output.numpy() for output in self.twin.outputs(images)]
        second = next(iter(self.parts.values()), None)  # a core of masks comes behind it

        def looked_at(regions: NDArray[np.float32]) -> list[NDArray[np.float32]]:
            """Return what the second core gives for regions [R, C, size, size]."""
            assert second is not None, "else it is refused"
            return [output.numpy() for output in second.twin.outputs(torch.from_numpy(regions))]

        try:
            if isinstance(post, PostProcess):
                return detections(post, outputs)
            if second is None:
                raise ValueError("there is no second core for the regions")
            return two_stage_detections(post, outputs, looked_at)
        except ValueError as error:
            raise RequestError(
                f"{POSTPROCESS} does not fit '{self.report.model}': {error}: it is of another"
                " network"
            ) from error

    def _refuse_other_images(self, images: Tensor) -> None:
        wanted = tuple(self.graph[self.graph.inputs[0]].shape[1:])
        if tuple(images.shape[1:]) != wanted or images.dtype != torch.float32:
            raise RequestError(
                f"'{self.report.model}' takes float32 [N, {', '.join(map(str, wanted))}], and the"
                f" images are {str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
            )

    def module(self) -> nn.Module:
        """Return the user's module with the integer networks in the places of its cores.

        It takes and returns what the user's does.

        Raises:
            RequestError: If the network was captured as a whole, so that the twin is all of it; or
                the result was loaded without the module.
        """
        if self.whole is None:
            what = "give it: load(place, module=...)" if self.core else "the twin is all of it"
            raise RequestError(
                f"of '{self.report.model}' there is no Python beside the integers here: {what}"
            )
        networks: dict[str, Network] = {self.core: self.twin.outputs}
        networks |= {name: part.twin.outputs for name, part in self.parts.items()}
        return with_networks(self.whole, networks)

    def save(self, place: str | Path, *, replace: bool = False) -> None:
        """Write the result as a folder, whole or not at all, with a SHA256SUMS of its files.

        Args:
            place: Where nothing is, or an empty folder.
            replace: Whether an older result may be there, which is then replaced as a whole.

        Raises:
            OutputError: If the place cannot be written, or holds anything else; nothing there has
                then changed.
        """
        with whole_folder(claim_place(place, replace=replace)) as folder:
            self.write_into(folder)
        if self.kept is not None:
            drop_training(self.kept)

    def write_into(self, folder: Path) -> None:
        """Write the result's files into a folder that exists."""
        self._write_core(folder, 1)
        images = None if self.synthetic is None else self.synthetic.images
        ranges = weight_ranges(self.graph)
        page = render_html(self.report, ranges, extra=self.shown, images=images)
        write_file(folder / "report.html", page)
        for number, part in enumerate(self.parts.values(), start=2):
            part._write_core(folder, number)
        if self.whole is not None:
            write_file(folder / CORES, cores_text(stored_whole(self.whole)))
        if self.postprocess is not None:
            write_file(folder / POSTPROCESS, postprocess_text(self.postprocess))
            for name, content in self._device_files().items():
                write_file(folder / name, content)
        wish = self.recipe.synthetic
        if self.synthetic is not None and wish is not None and wish.save:
            write_file(folder / SYNTHETIC_NAME, self.synthetic.to_bytes())

    def _device_files(self) -> Mapping[str, bytes]:
        """Return what runs a detector on a device; of other networks nothing."""
        if not self.files or isinstance(self.postprocess, MapPostProcess):
            return {}
        return self.target.device_files()

    def _write_core(self, folder: Path, number: int) -> None:
        """Write what every core has."""
        prefix = core_prefix(number)
        for name, content in self.files.items():
            write_file(folder / f"{prefix}{name}", content)
        write_file(folder / f"{prefix}{MARK}", self.report.to_json())
        encodings = json.dumps(encodings_to_dict(self.encodings), indent=1) + "\n"
        write_file(folder / f"{prefix}{ENCODINGS}", encodings)
        write_file(folder / f"{prefix}{RECIPE}", to_toml(self.recipe))
        save_graph(self.graph, folder / f"{prefix}{GRAPH_NAME}")


def load(place: str | Path, *, module: nn.Module | None = None) -> Result:
    """Return the result that `Result.save` wrote, its files verified by their SHA256SUMS.

    Args:
        module: Of a detector whose Python computes with values: the user's module, for
            `Result.module`. It is cut anew, and must have the cores that the result holds.

    Warns:
        UserWarning: If it is of a version that wrote no SHA256SUMS.

    Raises:
        RequestError: If the folder is not a result, or a file in it is damaged; names the file. If
            the module has other cores, or the result is of no such detector.
    """
    folder = Path(place)
    _verify(folder)
    main, stored = _loaded(folder, 1), read_cores(folder / CORES)
    main = replace(
        main,
        synthetic=_read_images(folder / SYNTHETIC_NAME),
        postprocess=read_postprocess(folder / POSTPROCESS),
    )
    if stored is None:
        if module is not None:
            raise RequestError(
                f"the result {folder} is of a network without cores: leave module out"
            )
        return main
    names = [core.name for core in stored.cores]
    parts = {name: _loaded(folder, number) for number, name in enumerate(names[1:], start=2)}
    whole = None if module is None else same_cut(module, stored, str(folder))
    return replace(main, core=names[0], parts=parts, whole=whole)


def _loaded(folder: Path, number: int) -> Result:
    """Return one core of a result; most have one alone."""
    prefix = core_prefix(number)
    plain = _read_json(folder / f"{prefix}{MARK}")
    report = Report.from_dict(plain, wording_of(plain.get("task")))
    where = folder / f"{prefix}{ENCODINGS}"
    encodings = encodings_from_dict(_read_json(where), str(where))
    graph = _load_graph(folder / f"{prefix}{GRAPH_NAME}")
    kept_float = {kept.name for kept in report.kept_float}
    target = target_named(report.target)
    if target.computes_reals:
        refuse_simulated(graph, encodings, where)
    elif encodings.halves is None:
        _refuse_misfits(graph, encodings, kept_float, where)
        refuse_grids(graph, encodings, target.widest_bits, where)
    else:
        refuse_halves(graph, encodings, where)
    said = folder / f"{prefix}{RECIPE}"
    recipe = find_recipe(str(said))
    if recipe.io not in (None, *target.io_forms):
        raise RequestError(
            f"{said}: io '{recipe.io}' is none of target {target.name}, which has"
            f" {', '.join(target.io_forms)}: it is damaged or of another result"
        )
    is_simulated = report.verdict is not None and report.verdict.bits == "no file"
    name = target.file_name
    files = {} if is_simulated else {name: _read_bytes(folder / f"{prefix}{name}")}
    return Result(graph, encodings, target, report, files, recipe, recipe.io or target.io_forms[0])


def _read_images(path: Path) -> SyntheticImages | None:
    return load_synthetic(path) if path.is_file() else None


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror}") from error


def _verify(folder: Path) -> None:
    if (folder / MARK).is_file() and verify_sums(folder):
        return
    if is_unfinished(folder):
        raise RequestError(
            f"the result {folder} is incomplete: a run was stopped while it put its files there;"
            " run it again"
        )
    if not (folder / MARK).is_file() and (folder / TRAIN_MARK).is_file():
        raise RequestError(
            f"{folder} is the result of a training in float: there is no integer network in it;"
            " give its weights.safetensors to --weights, or to load_weights"
        )
    if not (folder / MARK).is_file():
        raise RequestError(f"{folder} is not a result of intaglio: it has no {MARK}")
    warnings.warn(
        f"the result {folder} has no {SUMS}: it is of an older version, and whether it is as it was"
        " written cannot be told",
        stacklevel=3,
    )


def _load_graph(stem: Path) -> Graph:
    """Return the stored graph; its shapes must follow from its weights and settings."""
    graph = load_graph(stem)
    stored = {node.name: node.shape for node in graph}
    try:
        infer_shapes(graph)
    except Exception as error:  # torch raises what it likes where settings do not fit shapes
        said = cause(error)[:300]
        raise WeightsError(f"{stem}.json: its layers do not fit each other: {said}") from error
    for node in graph:
        if node.shape != stored[node.name]:
            raise WeightsError(
                f"{stem}.json: '{node.name}' is stored with shape"
                f" {stored[node.name]}, its weights make {node.shape}: the file is damaged"
            )
    return graph


def _refuse_misfits(graph: Graph, encodings: Encodings, kept_float: set[str], where: Path) -> None:
    """Raise RequestError unless there is a grid for each value and each weight, and no other."""
    values = {node.name for node in graph} - kept_float
    layers = {name for name in values if "weight" in graph[name].params}
    refuse_names(values, encodings.activations, where)
    refuse_names(layers, encodings.weights, where)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise RequestError(f"{path}: holds {type(content).__name__}, not an object")
    return content
