"""Work in a child process of its own, which may die or be late without harm to this one."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class Late(Exception):
    """The work took longer than it may, and its process was stopped."""


class Died(Exception):
    """The process ended before the work did: says how."""


def in_a_child(work: Callable[[], dict[str, Any]], limit: float) -> dict[str, Any]:
    """Return what `work` returns, of JSON's types, from a forked process without output.

    Raises:
        Late: If it takes more than `limit` seconds.
        Died: If the process ends by itself.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(work, sender), daemon=False)
    process.start()
    sender.close()  # else the end of the child would not be seen here
    try:
        if not receiver.poll(limit):
            raise Late
        return dict(json.loads(receiver.recv_bytes()))
    except EOFError:
        process.join()
        raise Died(f"the process ended with {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        receiver.close()


def _send(work: Callable[[], dict[str, Any]], sender: Connection) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sender.send_bytes(json.dumps(work()).encode())
