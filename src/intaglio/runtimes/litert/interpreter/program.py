"""The LiteRT interpreter by itself: opened, run, asked; and, as a script, all of that over a pipe.

A file that was read from a disk is run in a child process, which a damaged one may take down. The
child starts this file by its path: it imports nothing of intaglio, and so no torch. A message is

    length of the header     4 bytes, little endian
    header                   JSON; its "arrays" lists the type and shape of every array
    the arrays               one behind the other, as they lie in memory

and the child answers every one with one, which has "error" where the runtime raised something.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import resource
import signal
import struct
import sys
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter, OpResolverType

Array = npt.NDArray[Any]
Header = dict[str, Any]

DELEGATE = "DELEGATE"
SHOWN_LETTERS = 300
LENGTH = struct.Struct("<I")
KINDS = "biufc"
"""Of numpy's types, those that are plain numbers: text does not go through the pipe."""
HEADER_LIMIT_BYTES = 64 << 20
ARRAYS_LIMIT_BYTES = 2 << 30
MEMORY_LIMIT_BYTES = 8 << 30
"""Address space of the child: the largest file with its working memory takes less."""
MESSAGES_LIMIT_BYTES = 1 << 20
"""What the child may write into files: its standard error is one."""
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG, linux/prctl.h


def open_plain(data: bytes, *, is_reference: bool, threads: int = 1) -> Any:
    """Return an interpreter of a file's bytes with its tensors allocated.

    Args:
        is_reference: Whether to use the reference kernels, without a delegate.
    """
    resolver = OpResolverType.BUILTIN_REF if is_reference else OpResolverType.AUTO
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


def described(interpreter: Any) -> Header:
    """Return what can be known of an opened file before it is run, in JSON's types."""
    return {
        "inputs": [_end(detail) for detail in interpreter.get_input_details()],
        "outputs": [_end(detail) for detail in interpreter.get_output_details()],
        "partitions": partitions(interpreter),
        "builtin": not_delegated(interpreter),
    }


def reason(error: Exception) -> str:
    """Return why the runtime refuses; where it says nothing, the name of the error."""
    return " ".join(str(error).split())[:SHOWN_LETTERS] or type(error).__name__


def send(sink: IO[bytes], header: Header, arrays: Sequence[Array] = ()) -> None:
    """Write one message.

    Raises:
        ValueError: If an array does not consist of numbers.
    """
    for array in arrays:
        if array.dtype.kind not in KINDS:
            raise ValueError(f"an array of {array.dtype.name} instead of numbers")
    plan = [[array.dtype.name, array.shape] for array in arrays]
    text = json.dumps({**header, "arrays": plan}).encode()
    _write(sink, memoryview(LENGTH.pack(len(text)) + text))
    for array in arrays:
        _write(sink, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def receive(source: IO[bytes]) -> tuple[Header, list[Array]]:
    """Return the next message.

    Raises:
        EOFError: If there is none, or it breaks off.
        ValueError, TypeError, KeyError: If it is none, or larger than the limits.
    """
    (length,) = LENGTH.unpack(_read(source, LENGTH.size).data)
    if length > HEADER_LIMIT_BYTES:
        raise ValueError(f"a header of {length} bytes")
    header = json.loads(_read(source, length).tobytes())
    plan = [
        (np.dtype(str(name)), [int(size) for size in shape]) for name, shape in header["arrays"]
    ]
    needed = sum(math.prod(shape) * kind.itemsize for kind, shape in plan)
    if any(kind.kind not in KINDS or min(shape, default=0) < 0 for kind, shape in plan):
        raise ValueError("arrays that are none")
    if needed > ARRAYS_LIMIT_BYTES:
        raise ValueError(f"arrays of {needed} bytes")
    return header, _read_arrays(source, plan, needed)


def serve(source: IO[bytes], sink: IO[bytes]) -> None:
    """Answer every message, to the end of the pipe.

    One without "file" brings a file to open, and gets the number of it; one with it an image to run
    that file on.
    """
    opened: list[Any] = []
    while True:
        try:
            header, arrays = receive(source)
        except EOFError:
            return
        try:
            if "file" in header:
                send(sink, {}, run_file(opened[header["file"]], arrays[0]))
            else:
                opened.append(
                    open_plain(
                        arrays.pop().tobytes(),
                        is_reference=header["is_reference"],
                        threads=header["threads"],
                    )
                )
                send(sink, {**described(opened[-1]), "file": len(opened) - 1})
        except (RuntimeError, ValueError, MemoryError) as error:
            send(sink, {"error": reason(error)})


def _end(detail: Header) -> Header:
    scale, zero_point = detail["quantization"]
    return {
        "name": detail["name"],
        "shape": [int(size) for size in detail["shape"]],
        "dtype": np.dtype(detail["dtype"]).name,
        "scale": float(scale),
        "zero_point": int(zero_point),
    }


def _write(sink: IO[bytes], data: memoryview) -> None:
    while data.nbytes:
        data = data[sink.write(data) :]


def _read(source: IO[bytes], size: int) -> npt.NDArray[np.uint8]:
    data = np.empty(size, np.uint8)
    left = data.data
    while left.nbytes:
        count = source.readinto(left)  # type: ignore[attr-defined]  # of unbuffered files
        if not count:
            raise EOFError("the pipe has ended")
        left = left[count:]
    return data


def _read_arrays(
    source: IO[bytes], plan: list[tuple[np.dtype[Any], list[int]]], size: int
) -> list[Array]:
    data, start, arrays = _read(source, size), 0, []
    for kind, shape in plan:
        end = start + math.prod(shape) * kind.itemsize
        array = np.frombuffer(data[start:end], kind).reshape(shape)
        arrays.append(np.require(array, requirements="A"))  # behind odd sizes it lies anywhere
        start = end
    return arrays


def _confine(parent: int) -> None:
    """Bound what this process may take, and let it end with its parent, whatever it is doing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the parent has ended")
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")  # where memory runs short, this process is the one to end
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_FSIZE, MESSAGES_LIMIT_BYTES)
    _limit(resource.RLIMIT_AS, MEMORY_LIMIT_BYTES)


def _limit(what: int, wanted: int) -> None:
    _, most = resource.getrlimit(what)
    value = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(what, (value, value))


def _main() -> None:
    _confine(int(sys.argv[1]))
    with (
        open(os.dup(0), "rb", buffering=0) as source,
        open(os.dup(1), "wb", buffering=0) as sink,
        open(os.devnull, "r+b") as nowhere,
    ):
        os.dup2(nowhere.fileno(), 0)
        os.dup2(nowhere.fileno(), 1)  # what a library prints must not get into the answers
        serve(source, sink)


if __name__ == "__main__":
    _main()
