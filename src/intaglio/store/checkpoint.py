"""Which tensors of a checkpoint are a network's: the forms that training scripts save them in.

A checkpoint is a state dict, or holds some under names ("state_dict", "model_ema"), however deep.
Keys may have a prefix more or less than the network's ("model."), and names of wrappers anywhere in
them ("module", "_orig_mod"). Whatever the form, a place counts only where its keys and shapes are
then exactly the network's: nothing is guessed from names alone. Names decide between places that
fit, and a place that says that it holds averages gives way to one that does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""What nn.DataParallel, torch.compile and others call the module that they wrap."""
COUNTERS = {"num_batches_tracked", "total_ops", "total_params", "n_averaged"}
"""Of batch norms, of the profiler thop, of averaged models: no evaluation reads them."""
USUAL = ("", "state_dict", "model", "model_state_dict", "net", "network", "params", "generator")
"""What plain weights stand under, the first one first; any other name comes behind these."""
AVERAGED = re.compile(r"(^|[^a-z])(ema|swa|avg|averaged?|shadow)([^a-z]|$)", re.IGNORECASE)

DEEPEST = 6
MOST_PLACES = 1000
MOST_PREFIXES = 20


@dataclass(frozen=True)
class Place:
    """A mapping in a checkpoint that holds tensors, or a part of one.

    Attributes:
        path: The names that lead to it; () for the checkpoint itself.
        tensors: Those that are plain, by key.
        foreign: Keys of what is none.
    """

    path: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    foreign: Sequence[str]


@dataclass(frozen=True)
class Reading:
    """A place, its keys told as the network's.

    Attributes:
        place: Where the tensors are.
        prefix: What the keys have before the network's own, or "".
        tensors: By the network's keys; keys that are none of the network's as they stand.
        beside: Keys that do not have the prefix.
    """

    place: Place
    prefix: str
    tensors: Mapping[str, Tensor]
    beside: Sequence[str] = ()

    @property
    def name(self) -> str:
        """What the user calls it: "state_dict.model"; "" for the checkpoint itself."""
        return ".".join([*self.place.path, *self.prefix.split(".")[:-1]])

    @property
    def is_averaged(self) -> bool:
        """Whether its name says that it holds averages over the training."""
        return bool(AVERAGED.search(self.name))

    @property
    def rank(self) -> tuple[int, ...]:
        """Where it stands among places that fit; the lowest is taken."""
        names = (*self.place.path, *self.prefix.split("."))
        known = [USUAL.index(name) if name in USUAL else len(USUAL) for name in names]
        return (int(self.is_averaged), *known[:1], len(self.beside) > 0, *known[1:])


def places(content: object) -> list[Place]:
    """Return every mapping in a checkpoint's content that could be a state dict, outermost first.

    A mapping with numbers, text and other mappings beside its tensors is one too, and the content
    itself always.
    """
    found: list[Place] = []
    waiting: list[tuple[tuple[str, ...], object]] = [((), content)]
    seen: set[int] = set()
    for path, value in waiting:  # it grows meanwhile
        if not isinstance(value, Mapping) or id(value) in seen or len(seen) >= MOST_PLACES:
            continue
        seen.add(id(value))
        named = [(key, inner) for key, inner in value.items() if isinstance(key, str)]
        tensors = {key: inner for key, inner in named if is_plain(inner)}
        if tensors or not path:
            foreign = [str(key) for key in value if key not in tensors]
            found.append(Place(path, tensors, foreign))
        if len(path) < DEEPEST:
            waiting += [((*path, key), inner) for key, inner in named if isinstance(inner, Mapping)]
    return found


def is_plain(value: object) -> bool:
    """Return whether `value` is an ordinary dense tensor, neither sparse nor quantized nor meta."""
    if not isinstance(value, Tensor) or value.device.type != "cpu":
        return False
    return value.layout == torch.strided and not value.is_quantized


def readings(place: Place, wanted: Mapping[str, Tensor]) -> Iterator[Reading]:
    """Yield the ways to read a place's keys as the network's, the likeliest first.

    Args:
        wanted: The network's state dict.
    """
    yield Reading(place, "", _without_counters(place.tensors, wanted))
    own = _without_wrappers(wanted)
    given = _without_wrappers(place.tensors)
    for prefix in _prefixes(given, own):
        inside = {
            own.get(key[len(prefix) :], key): place.tensors[given[key]]
            for key in given
            if key.startswith(prefix)
        }
        beside = [given[key] for key in given if not key.startswith(prefix)]
        beside = [key for key in beside if _last(key) not in COUNTERS]
        if beside and prefix.split(".")[0].isdigit():
            continue  # a layer of a chain, not a network beside others
        yield Reading(place, prefix, _without_counters(inside, wanted), beside)
    common = _common_prefix(own)
    if common:  # the network is wrapped in one more module than the saved one
        for prefix in _prefixes(given, {key.removeprefix(common): key for key in own}):
            if all(key.startswith(prefix) for key in given):
                inside = {
                    own.get(common + key[len(prefix) :], key): place.tensors[given[key]]
                    for key in given
                }
                yield Reading(place, prefix, _without_counters(inside, wanted))


def _without_counters(
    given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the tensors but counters that the network does not have."""
    return {key: value for key, value in given.items() if key in wanted or not is_counter(key)}


def is_counter(key: str) -> bool:
    """Whether a key is that of a number which no evaluation reads."""
    return _last(key) in COUNTERS


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _without_wrappers(keys: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the keys without the names of wrappers, to the keys; as they are where two collide."""
    bare = {".".join(part for part in key.split(".") if part not in WRAPPERS): key for key in keys}
    return bare if len(bare) == len(keys) else {key: key for key in keys}


def _prefixes(given: Mapping[str, str], own: Mapping[str, str]) -> list[str]:
    """Return what stands before the network's longest key in the checkpoint's keys, "" first."""
    weights = [key for key in own if _last(key) not in COUNTERS]
    anchor = max(weights, key=len, default=None)
    if anchor is None:
        return []
    found = [key[: -len(anchor)] for key in given if key == anchor or key.endswith(f".{anchor}")]
    return sorted(found, key=lambda prefix: (len(prefix), prefix))[:MOST_PREFIXES]


def _common_prefix(own: Mapping[str, str]) -> str:
    """Return the modules that all keys are in ("net."), or ""."""
    paths = [key.split(".")[:-1] for key in own]
    common: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return "".join(f"{part}." for part in common)
