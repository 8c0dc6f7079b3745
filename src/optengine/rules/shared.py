"""Inputs that rules share: built at most once per worker, or once per run and handed to the workers as bytes.

Scope ``worker`` keeps any object, such as parsed trees, in the process that built it. Scope ``run`` is built
in one process and handed to the others; it must be bytes or JSON data, is put into the shared segment, and is frozen
(mappings and tuples) in every mode, so that no rule can change what another one sees.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from optengine.rules import alarm
from optengine.rules.copies import end_a_copy
from optengine.rules.errors import RuleSetError
from optengine.rules.evidence import error_text
from optengine.rules.model import SharedBuilder
from optengine.rules.trace import Recorder, Scene, Trace


class SharedInputError(RuleSetError):
    """The builder of a shared input raised; the message carries its error."""


class CircularInputs(SharedInputError):
    """Shared inputs need each other; worded alike for all of them, whichever was asked for first."""


@dataclass(frozen=True)
class Built:
    """A shared input and what was looked at to build it."""

    value: Any
    recorder: Recorder
    trace: Trace | None
    error: str | None = None
    circle: str | None = None


def say_nothing(_: str | None) -> None:
    """Tell nobody what is being built."""


def while_building(name: str | None) -> str:
    """What to add to the end of a process that was building the input *name*; nothing when it built none."""
    return f", while it built shared input {name!r}" if name is not None else ""


def encode(value: object, name: str) -> bytes:
    """A run-wide object as bytes: ``b`` and raw bytes, or ``j`` and JSON text.

    Raises:
        SharedInputError: it is neither bytes nor JSON data.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return b"b" + bytes(value)
    try:
        return b"j" + json.dumps(value, allow_nan=False, separators=(",", ":")).encode("utf-8")
    except (TypeError, ValueError) as error:
        raise SharedInputError(
            f"A shared input of scope 'run' must be bytes or JSON data; {name!r} is a "
            f"{type(value).__name__} ({error}). "
            "Return plain data, or register it with scope='worker'."
        ) from error


def decode(data: bytes | memoryview) -> Any:
    """The object behind :func:`encode`, frozen."""
    if bytes(data[:1]) == b"b":
        return bytes(data[1:])
    return freeze(json.loads(bytes(data[1:])))


def freeze(value: Any) -> Any:
    """*value* with dicts as read-only mappings and lists as tuples."""
    if isinstance(value, dict):
        return MappingProxyType({key: freeze(item) for key, item in value.items()})
    if isinstance(value, list):
        return tuple(freeze(item) for item in value)
    return value


def thaw(value: Any) -> Any:
    """*value* as :func:`encode` takes it: the inverse of :func:`freeze`."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [thaw(item) for item in value]
    return value


class SharedInputs:
    """The shared inputs of one process during one run.

    ``attached`` gives the bytes of run-wide inputs that were built elsewhere, with their traces.
    """

    def __init__(
        self,
        builders: Mapping[str, SharedBuilder],
        scene: Scene,
        make_context: Callable[[str, Recorder], Any],
        *,
        keep_traces: bool,
        attached: Mapping[str, tuple[bytes | memoryview, Recorder, Trace | None]] | None = None,
    ) -> None:
        self._builders = builders
        self._scene = scene
        self._make_context = make_context
        self._keep_traces = keep_traces
        #: Run-wide inputs that were built in another process.
        self.handed_over = dict(attached or {})
        self._built: dict[str, Built] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._lock = threading.Lock()
        self._building = threading.local()
        self._needs: dict[str, str] = {}  # what the builder of an input asks for at this moment
        self.builds: dict[str, int] = {}
        #: Told which input is being built, and None when none is any more: what a process did when it ended.
        self.announce: Callable[[str | None], object] = say_nothing
        self.building_s: dict[int, float] = {}  # time each thread spent in builders

    def get(self, name: str, recorder: Recorder) -> Any:
        """The input, with its looks added to *recorder*. Raises KeyError or SharedInputError."""
        if name == "index":
            recorder.look("glob", "**", there=True)
            return tuple(self._scene.snapshot.index.files())
        if name not in self._builders:
            known = ", ".join(sorted([*self._builders, "index"]))
            raise KeyError(f"No shared input is named {name!r}; known: {known}")
        open_builds: list[str] = self._building.__dict__.setdefault("names", [])
        asking = open_builds[-1] if open_builds else None
        with self._lock:
            lock = self._locks.setdefault(name, threading.RLock())
            if asking is not None:
                self._refuse_circle(asking, name)
                self._needs[asking] = name
        try:
            with lock:
                built = self._built.get(name)
                if built is None:
                    open_builds.append(name)
                    self._tell(name, name)
                    began = time.perf_counter()
                    try:
                        built = self._built[name] = self._build(self._builders[name])
                    finally:
                        open_builds.pop()
                        self._tell(name, asking)
                        if not open_builds:
                            self._spent(time.perf_counter() - began)
        finally:
            if asking is not None:
                self._needs.pop(asking, None)
        recorder.look("builder", name, there=False)
        recorder.include(built.recorder, built.trace)
        if built.circle is not None:
            raise CircularInputs(built.circle)
        if built.error is not None:
            raise SharedInputError(f"The builder of shared input {name!r} raised {built.error}")
        return built.value

    def _tell(self, name: str, building: str | None) -> None:
        if name not in self.handed_over:
            self.announce(building)

    def _spent(self, seconds: float) -> None:
        thread = threading.get_ident()
        self.building_s[thread] = self.building_s.get(thread, 0.0) + seconds

    def _refuse_circle(self, asking: str, name: str) -> None:
        """Raise CircularInputs when *name* waits for *asking*, in whatever threads they are built."""
        circle = [asking]
        following: str | None = name
        while following is not None and following not in circle:
            circle.append(following)
            following = self._needs.get(following)
        if following != asking:
            return
        first = circle.index(min(circle))  # read alike wherever the circle was entered
        path = " -> ".join([*circle[first:], *circle[: first + 1]])
        raise CircularInputs(f"Shared inputs must not need each other in a circle; found {path}.")

    def built(self, name: str) -> Built:
        """Build *name* if need be and return it with its trace; an error is kept in it, not raised."""
        with contextlib.suppress(SharedInputError):
            self.get(name, Recorder(self._scene, keep=False))
        return self._built[name]

    def built_for_run(self) -> dict[str, Built]:
        """Run-wide inputs that are built, without those whose builder raised."""
        return {
            name: built
            for name, built in self._built.items()
            if self._builders[name].scope == "run" and built.error is None
        }

    def attach(self, name: str, data: bytes, recorder: Recorder, trace: Trace | None) -> None:
        """Take the run-wide input *name* as it was built in another process, so that it is not built again."""
        self.handed_over[name] = (data, recorder, trace)

    def clear(self) -> None:
        """Drop every built object, so that the next use builds again."""
        self._built.clear()

    def _build(self, builder: SharedBuilder) -> Built:
        name = builder.name
        attached = self.handed_over.get(name)
        if attached is not None:
            return Built(decode(attached[0]), attached[1], attached[2])
        self.builds[name] = self.builds.get(name, 0) + 1
        recorder = Recorder(self._scene, keep=self._keep_traces)
        value: object = None
        error: str | None = None
        circle: str | None = None
        process = os.getpid()
        with alarm.watching(recorder.unrecorded):
            try:
                value = builder.build(self._make_context(f"shared input {name}", recorder))
                if builder.scope == "run":
                    value = decode(encode(value, name))
            except CircularInputs as caught:
                error = circle = str(caught)
            except (Exception, SystemExit) as caught:  # noqa: BLE001 - it may raise anything; all users are told
                error = error_text(caught)
        end_a_copy(process)
        return Built(value, recorder, recorder.trace(), error, circle)
