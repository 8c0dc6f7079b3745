"""Entry point of a fresh interpreter started by a pool, and how it is made to resemble the parent.

Used for spawned workers and for exec'ed fork servers. The main module of the program is imported under another name, as
``multiprocessing`` does, so that functions and classes of it can be found; where it cannot be imported (no file,
an error, no ``__main__`` guard) the parent is told and sends what lives there by value.
"""

from __future__ import annotations

import multiprocessing.process
import multiprocessing.spawn
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

# Why the parent's main module is not available here; None when it is.
main_error: str | None = None


def preparation_data(*, main: bool = True) -> dict[str, Any]:
    """What a fresh interpreter needs to know about this one: paths, arguments and, if wanted, the *main* module."""
    data: dict[str, Any] = {
        "sys_path": [os.getcwd() if entry == "" else entry for entry in sys.path],  # noqa: PTH109
        "sys_argv": sys.argv,
        "dir": os.getcwd(),  # noqa: PTH109 - str, as multiprocessing wants it
        "authkey": bytes(multiprocessing.process.current_process().authkey),
    }
    if not main:
        return data
    module = sys.modules["__main__"]
    name = getattr(getattr(module, "__spec__", None), "name", None)
    path = getattr(module, "__file__", None)
    if name is not None:
        data["init_main_from_name"] = name
    elif path is not None and Path(path).is_file():
        data["init_main_from_path"] = str(Path(path).resolve())
    return data


def prepare(data: dict[str, Any]) -> None:
    """Make this interpreter resemble the parent; a main module that cannot be imported ends up in ``main_error``."""
    global main_error
    main: dict[str, Any] = {
        key: data[key] for key in ("init_main_from_name", "init_main_from_path") if key in data
    }
    multiprocessing.spawn.prepare({key: value for key, value in data.items() if key not in main})
    if not main:
        main_error = "the main module has no file, or was not asked for"
        return
    try:
        multiprocessing.spawn.prepare(main)
    except BaseException:  # noqa: BLE001 - a script may even call sys.exit; the parent sends by value instead
        main_error = traceback.format_exc()


def command(role: str, descriptors: list[int]) -> list[str]:
    """Command line of a fresh interpreter that calls :func:`main` with ``role`` and inherited descriptors.

    The last of these is the process's lifeline.
    """
    import subprocess

    here = str(Path(__file__).resolve().parents[2])
    code = f"import sys; sys.path.insert(0, {here!r}); from optengine.pool.bootstrap import main; main()"
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [sys.executable, *flags, "-c", code, role, *map(str, descriptors)]


def main() -> None:
    """Run as the worker or fork server the command line names."""
    from optengine.pool import lifeline, shared

    role, *numbers = sys.argv[1:]
    descriptors = [int(number) for number in numbers]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    lifeline.tie(socket.socket(fileno=descriptors.pop()))
    shared.become_worker()
    if role == "worker":
        from optengine.pool.worker import run_worker

        run_worker(socket.socket(fileno=descriptors[0]), *descriptors[1:], inherited=False)
    else:
        from optengine.pool.forkserver import serve_fresh

        serve_fresh(socket.socket(fileno=descriptors[0]))
