"""A single-threaded process that forks workers from a clean state, on request of the parent.

One server per pool. It is either a fresh interpreter (start methods ``forkserver`` and ``preload``) or a fork of the
parent taken when the pool is made (``fork``); restarts are forked from it, never from the parent with its
threads. It reports which children ended and how, and kills them all when the parent is gone.

Requests carry the worker's descriptors (``SCM_RIGHTS``); a request is one fixed-size record, a report one frame.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import multiprocessing
import os
import pickle
import select
import signal
import socket
import struct
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.context import ForkProcess
from typing import Any, NamedTuple

from optengine import cpus
from optengine.pool import bootstrap, lifeline, shared
from optengine.pool.attendant import leaving_with
from optengine.pool.worker import run_worker
from optengine.resources import make_sure_of_descriptors, told

REQUEST = struct.Struct("<q")
_LENGTH = struct.Struct("<I")
DESCRIPTORS = 5
NOBODY = -1
_FORKING = "forking a worker in the fork server"
_SERVING = "starting the fork server"
# The received ones, and those of a lifeline and of multiprocessing's two pipes.
_NEEDED = DESCRIPTORS + 6


class ServerSetup(NamedTuple):
    """What a fresh server does before its first fork."""

    preparation: dict[str, Any]
    preload: tuple[str, ...]
    shared: bytes | None
    threads: int


class Inheritance(NamedTuple):
    """What a server forked from the parent is told; the rest it has."""

    shared: Mapping[str, Any] | None
    threads: int


class ServerReady(NamedTuple):
    """The server is up; ``problems`` tells what it could not preload, and why."""

    main_error: str | None
    problems: tuple[str, ...]


class Forked(NamedTuple):
    """Worker ``number`` runs as ``pid``."""

    number: int
    pid: int


class Ended(NamedTuple):
    """Worker ``number`` ended with ``exitcode`` (negative for a signal)."""

    number: int
    exitcode: int


class ForkRefused(NamedTuple):
    """Worker ``number`` could not be forked: something in the server forbids it, or the system does.

    ``exhausted`` tells which limit of the system it is, if one; ``problem`` is the traceback. Number ``NOBODY``: the
    server itself cannot go on.
    """

    number: int
    problem: str
    exhausted: str | None


class _Child(NamedTuple):
    """A worker forked here, and this end of its lifeline."""

    process: ForkProcess
    lifeline: socket.socket


Report = ServerReady | Forked | Ended | ForkRefused
_REPORTS: tuple[type[Any], ...] = (ServerReady, Forked, Ended, ForkRefused)


def encode_report(report: Any) -> bytes:
    """The frame of a report."""
    body = pickle.dumps((_REPORTS.index(type(report)), *report), 5)
    return _LENGTH.pack(len(body)) + body


def decode_report(body: bytes) -> Any:
    """The report in a frame's body."""
    tag, *fields = pickle.loads(body)  # noqa: S301 - read from a private socket to our own server
    return _REPORTS[tag](*fields)


def encode_setup(setup: ServerSetup) -> bytes:
    """The frame of a fresh server's set-up."""
    body = pickle.dumps(tuple(setup), 5)
    return _LENGTH.pack(len(body)) + body


def serve_fresh(control: socket.socket) -> None:
    """Serve in a fresh interpreter: read the set-up, preload, then fork on request."""
    with _refusal_told(control), leaving_with(control):
        (length,) = _LENGTH.unpack(_read_exactly(control, _LENGTH.size))
        setup = ServerSetup(*pickle.loads(_read_exactly(control, length)))  # noqa: S301 - sent by our own parent
        bootstrap.prepare(setup.preparation)
        problems = _preload(setup.preload)
        if setup.shared is not None:
            try:
                shared.install(pickle.loads(setup.shared))  # noqa: S301 - pickled by our own parent
            except Exception:  # noqa: BLE001 - reported to the parent, which refuses to go on
                problems.append(f"the share handles could not be loaded:\n{traceback.format_exc()}")
        problems += _preload_shared()
    serve(control, problems, setup.threads)


def serve_forked(control: socket.socket, inheritance: Inheritance, line: socket.socket) -> None:
    """Serve in a fork of the parent, which already holds everything and the other end of the lifeline ``line``."""
    lifeline.tie(line)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    shared.become_worker()
    shared.install(inheritance.shared)
    os.environ.update(cpus.thread_caps(inheritance.threads, os.environ))  # for what workers import later
    with _refusal_told(control), leaving_with(control):
        problems = _preload_shared()
    serve(control, problems, inheritance.threads)


def serve(control: socket.socket, problems: list[str], threads: int) -> None:
    """Fork workers on request until the parent closes ``control``.

    What all workers need is done before the first fork: a page that a worker writes, be it the reference count of an
    object or a module it imports, is a page of its own. What is alive then is kept from the garbage collector for
    good, whose first full pass in a worker would copy every object.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if threading.active_count() > 1:
        names = sorted(
            thread.name for thread in threading.enumerate() if thread is not threading.main_thread()
        )
        problems.append(f"the fork server must have one thread; what it preloaded started {names}")
    try:
        cpus.cap_loaded_threads(threads)
    except Exception:  # noqa: BLE001 - reported to the parent; a foreign library may refuse for any reason
        problems.append(f"the threads of loaded libraries could not be capped:\n{traceback.format_exc()}")
    gc.collect()
    gc.freeze()
    children: dict[int, _Child] = {}
    with _refusal_told(control):
        child_ended, wake = socket.socketpair()
    child_ended.setblocking(False)
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    poller = select.poll()
    poller.register(control.fileno(), select.POLLIN)
    poller.register(child_ended.fileno(), select.POLLIN)
    try:
        control.sendall(encode_report(ServerReady(bootstrap.main_error, tuple(problems))))
        while True:
            ready = {descriptor for descriptor, _ in poller.poll()}
            if child_ended.fileno() in ready:
                with contextlib.suppress(BlockingIOError):  # read together with an earlier end
                    child_ended.recv(4096)
                _report_ended(control, children)
            if control.fileno() in ready:
                request, descriptors, _, _ = socket.recv_fds(control, REQUEST.size, DESCRIPTORS)
                if not request:
                    return
                _take(control, REQUEST.unpack(request)[0], descriptors, children, (child_ended, wake))
    except ConnectionError:
        return  # the parent is gone
    finally:
        for child in children.values():
            _kill(child.process)
            child.lifeline.close()
        signal.set_wakeup_fd(-1)
        for end in (control, child_ended, wake):
            end.close()


@contextlib.contextmanager
def _refusal_told(control: socket.socket) -> Iterator[None]:
    """Tell the parent when the system refuses what the server needs, then go on to fail with it, but in silence."""
    try:
        yield
    except (OSError, RuntimeError, MemoryError) as error:
        exhausted = told(error, _SERVING, descriptors=_NEEDED)
        if exhausted is None:
            raise
        with contextlib.suppress(ConnectionError):  # the parent may have given up for the same reason
            control.sendall(encode_report(ForkRefused(NOBODY, traceback.format_exc(), str(exhausted))))
        raise SystemExit(1) from error


def _take(
    control: socket.socket,
    number: int,
    descriptors: Sequence[int],
    children: dict[int, _Child],
    own: tuple[socket.socket, ...],
) -> None:
    """Fork worker ``number``, or tell the parent why that cannot be."""
    try:
        if len(descriptors) < DESCRIPTORS:  # the kernel passes no more than this process may open
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        child = _fork(number, descriptors, children, (control, *own))
    except Exception as error:  # noqa: BLE001 - an audit hook may refuse the fork for any reason; the parent tells it
        exhausted = told(error, _FORKING, descriptors=_NEEDED)
        reason = None if exhausted is None else str(exhausted)
        control.sendall(encode_report(ForkRefused(number, traceback.format_exc(), reason)))
        return
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    children[number] = child
    control.sendall(encode_report(Forked(number, child.process.pid or 0)))


def _fork(
    number: int, descriptors: Sequence[int], children: dict[int, _Child], own: tuple[socket.socket, ...]
) -> _Child:
    context = multiprocessing.get_context("fork")
    make_sure_of_descriptors(6)  # multiprocessing leaves its first pipe open when the second fails
    ours, theirs = socket.socketpair()
    server_ends = (*own, ours, *(child.lifeline for child in children.values()))
    process = context.Process(
        target=_run_child, args=(list(descriptors), theirs, server_ends), name=f"optengine-worker-{number}"
    )
    with warnings.catch_warnings():
        # BLAS threads of preloaded libraries re-initialise themselves after a fork; Python threads were ruled out.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
    return _Child(process, ours)


def _run_child(descriptors: list[int], line: socket.socket, server_ends: tuple[socket.socket, ...]) -> None:
    signal.set_wakeup_fd(-1)
    for end in server_ends:
        end.close()
    os.setpgid(0, 0)  # first, for the lifeline is the group's
    lifeline.tie(line)
    run_worker(socket.socket(fileno=descriptors[0]), *descriptors[1:], inherited=True)


def _report_ended(control: socket.socket, children: dict[int, _Child]) -> None:
    for number, (process, line) in list(children.items()):
        exitcode = process.exitcode
        if exitcode is not None:
            del children[number]
            line.close()
            if process.pid is not None:
                with contextlib.suppress(OSError):  # what its tasks left behind, should the parent be gone
                    os.killpg(process.pid, signal.SIGKILL)
            process.close()
            control.sendall(encode_report(Ended(number, exitcode)))


def _kill(child: ForkProcess) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(OSError):  # it is gone, or leads no group yet
            kill(child.pid or 0, signal.SIGKILL)
    child.join()


def _preload(modules: Sequence[str]) -> list[str]:
    problems = []
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - reported to the parent by name
            problems.append(f"module {module!r} could not be preloaded: {type(error).__name__}: {error}")
    return problems


def _preload_shared() -> list[str]:
    problems = []
    for name, handle in shared.installed().items():
        preload = getattr(handle, "preload", None)
        if callable(preload):
            try:
                preload()
            except Exception:  # noqa: BLE001 - reported to the parent; workers then load for themselves
                problems.append(f"preload() of shared[{name!r}] failed:\n{traceback.format_exc()}")
    return problems


def _read_exactly(control: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = control.recv(size - len(data))
        if not part:
            raise EOFError("the parent must send the server's set-up; it closed the socket")
        data += part
    return data
