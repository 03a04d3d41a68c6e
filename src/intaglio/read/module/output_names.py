"""What a network calls its outputs, told from the structure that torch.export keeps of them.

A dict has keys, a dataclass and a named tuple have fields; what is nested is joined with points
("boxes.0"). Lists and tuples alone have no names.
"""

from __future__ import annotations

from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind
from torch.utils import _pytree as pytree


def output_names(program: ExportedProgram) -> tuple[str, ...]:
    """Return the names of the tensors that a program returns, in order; () where they have none.

    Leaves that are no tensor the program computes (None, a number) are left out, as `capture` does.
    """
    names = names_of(program.call_spec.out_spec)
    (end,) = (node for node in program.graph.nodes if node.op == "output")
    returned = [
        value
        for spec, value in zip(program.graph_signature.output_specs, end.args[0], strict=True)
        if spec.kind == OutputKind.USER_OUTPUT
    ]
    if len(names) != len(returned):
        return ()
    found = zip(names, returned, strict=True)
    return tuple(name for name, value in found if isinstance(value, fx.Node))


def names_of(spec: pytree.TreeSpec | None) -> tuple[str, ...]:
    """Return the name of each leaf of a structure, all different; () where it gives none."""
    if spec is None:
        return ()
    try:
        whole = pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
        paths = [path for path, _ in pytree.tree_flatten_with_path(whole)[0]]
    except Exception:  # a class of the user's that cannot be made of numbers
        return ()
    if not any(
        isinstance(key, pytree.MappingKey | pytree.GetAttrKey) for path in paths for key in path
    ):
        return ()
    names: list[str] = []
    for path in paths:
        wish = ".".join(_part(key) for key in path) or "output"
        name, number = wish, 0
        while name in names:
            number += 1
            name = f"{wish}:{number}"
        names.append(name)
    return tuple(names)


def _part(key: pytree.KeyEntry) -> str:
    if isinstance(key, pytree.SequenceKey):
        return str(key.idx)
    return str(key.key if isinstance(key, pytree.MappingKey) else getattr(key, "name", key))
