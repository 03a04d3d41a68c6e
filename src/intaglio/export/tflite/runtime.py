"""The installed LiteRT interpreter, in the configuration that a target names."""

from __future__ import annotations

from typing import Any

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from intaglio.export.tflite.builder import Array
from intaglio.targets.target import Target

DELEGATE = "DELEGATE"


def open_interpreter(data: bytes, target: Target, *, threads: int = 1) -> Any:
    """Return an interpreter of a file's bytes with its tensors allocated."""
    resolver = (
        OpResolverType.BUILTIN_REF if target.arithmetic == "reference" else OpResolverType.AUTO
    )
    interpreter = Interpreter(
        model_content=data, num_threads=threads, experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    return interpreter


def run_file(interpreter: Any, image: Array) -> list[Array]:
    """Return the outputs for one image, already in the file's layout and type."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def partitions(interpreter: Any) -> int:
    """Return how many partitions the delegate runs: the DELEGATE nodes of the execution plan."""
    return sum(detail["op_name"] == DELEGATE for detail in interpreter._get_ops_details())


def not_delegated(interpreter: Any) -> list[str]:
    """Return the schema's names of the ops that run in built-in kernels, in the file's order.

    The interpreter lists every op of the file, delegated or not, and then the DELEGATE nodes. A
    delegate runs the op that makes one of its outputs, and every op behind that up to its inputs.
    """
    details = interpreter._get_ops_details()
    ops = [detail for detail in details if detail["op_name"] != DELEGATE]
    maker = {int(made): index for index, op in enumerate(ops) for made in op["outputs"]}
    taken: set[int] = set()
    for delegate in details:
        if delegate["op_name"] != DELEGATE:
            continue
        given = {int(tensor) for tensor in delegate["inputs"]}
        waiting = [int(tensor) for tensor in delegate["outputs"]]
        while waiting:
            index = maker.get(waiting.pop())
            if index is None or index in taken:
                continue
            taken.add(index)
            read = (int(tensor) for tensor in ops[index]["inputs"])
            waiting += [tensor for tensor in read if tensor not in given]
    return [str(op["op_name"]) for index, op in enumerate(ops) if index not in taken]
