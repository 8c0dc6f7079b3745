"""The standard library's fork server, made to preload what it is asked to, and stopped when asked.

``set_forkserver_preload`` fails in silence. The server of Python 3.11 ignores the parent's ``sys.path``, so a module
that only that path finds is not preloaded: each worker imports it instead. A server that runs already preloads nothing.
Both are ruled out here, and the caller can prove it with ``market_tasks.imported_before_fork``.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path

HERE = str(Path(__file__).parent)


def stop() -> None:
    """End the server of this process, if one runs, so that the next pool pays for a new one."""
    forkserver._forkserver._stop()


@contextmanager
def preloading(modules: Sequence[str]) -> Iterator[multiprocessing.context.ForkServerContext]:
    """Give a context whose servers, started in the block, preload ``modules``; none is left running after it."""
    context = multiprocessing.get_context("forkserver")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([HERE, *([before] if before else [])])
    stop()
    context.set_forkserver_preload(list(modules))
    try:
        yield context
    finally:
        stop()
        context.set_forkserver_preload(["__main__"])
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
