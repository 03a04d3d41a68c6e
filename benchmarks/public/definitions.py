"""Public network definitions, read from a module that lies outside the repository.

The module has `SPECS`, a list of dictionaries:

* `name`, `pkg`, `task`: texts; the package that defines the network, and what the network is for;
* `size`: of the images, one number or (height, width); `channels`: of the images;
* `build`: a function without arguments that returns the nn.Module, with random weights;
* `opts`: a dictionary; `post`, where it is there, is a function from the settled module to the one
  that is deployed (branches merged, for example).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "YOLO_OFFLINE": "1",
    "YOLO_AUTOINSTALL": "False",
    "YOLO_VERBOSE": "False",
}
"""Variables that keep packages from fetching weights, or other packages, while they build."""


@dataclass(frozen=True)
class Definition:
    """A network as its package defines it.

    Attributes:
        name, package, task: As the module of definitions calls them.
        shape: (C, H, W) of an image.
        build: Makes the network, with random weights.
        post: What is done to the network once it has its statistics, or None.
    """

    name: str
    package: str
    task: str
    shape: tuple[int, int, int]
    build: Callable[[], nn.Module]
    post: Callable[[nn.Module], nn.Module] | None


def read_definitions(path: Path) -> list[Definition]:
    """Return the definitions of a module, in its order."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [_definition(plain) for plain in module.SPECS]


def _definition(plain: dict[str, Any]) -> Definition:
    size = plain["size"]
    height, width = size if isinstance(size, tuple) else (size, size)
    return Definition(
        name=plain["name"],
        package=plain["pkg"],
        task=plain["task"],
        shape=(plain["channels"], height, width),
        build=plain["build"],
        post=plain["opts"].get("post"),
    )


def make_ready() -> None:
    """Keep packages offline, and let torchvision be imported beside whatever torch is here.

    Its own import fails beside a torch that its operators do not load with.
    """
    os.environ.update(OFFLINE)
    try:
        importlib.import_module("torchvision")
    except Exception:  # of several kinds, by version; its modules are then imported by halves
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        importlib.import_module("benchmarks.peers.torchvision_without_operators")
