"""Run-wide inputs, built once in a worker process, so that a builder that ends its process ends no more than that.

    parent                                    worker
    names, settings, two files  ->  submit    builds each in turn
    index and contents of the tree            a line in the ledger before and after each, bytes in the other file
    collects what was built     <-  files

A builder that ends its process, or is ended at the limit, costs itself: those after it are built by another worker, and
rules that ask for it build it themselves, so that each meets in its own process what the builder does, as in any mode.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import signal
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optengine.rules.execute import Workspace
from optengine.rules.ledger import LedgerReader, LedgerWriter
from optengine.rules.scratch import ScratchFile, open_scratch
from optengine.rules.segment import RunInput, trace_json, trace_of, write_all
from optengine.rules.shared import encode, thaw
from optengine.rules.snapshot import DiskSnapshot, Snapshot
from optengine.rules.trace import Recorder, Scene
from optengine.rules.tree import scan
from optengine.rules.work import RunSettings, ended_after, write_stacks_to

if TYPE_CHECKING:
    from optengine import PersistentWorkerPool

_POLL_S = 0.05
_GRACE_S = 2.0


@dataclass(frozen=True)
class InputsOrder:
    """Inputs to build; ``settings`` is the pickle of :class:`RunSettings`, ``limit`` holds for each builder."""

    settings: bytes
    names: tuple[str, ...]
    limit: float | None
    ledger: str
    ledger_name: str
    data: str
    data_name: str


def build_inputs(order: InputsOrder) -> None:
    """Build the inputs of *order* in this process; one whose builder raises is left out."""
    ledger = LedgerWriter(order.ledger, order.ledger_name)
    data = open_scratch(order.data, order.data_name, os.O_WRONLY | os.O_APPEND)
    try:
        ledger.write({"event": "begin", "pid": os.getpid(), "time": time.monotonic()})
        settings: RunSettings = pickle.loads(order.settings)  # noqa: S301 - pickled by our own parent
        root = Path(settings.root)
        workspace = Workspace(
            root,
            DiskSnapshot(root, scan(root, settings.ignored, settings.without)),
            settings.builders,
            settings.config,
            track=settings.track,
            builder_digests=settings.builder_digests,
        )
        write_stacks_to(ledger.fd)
        for name in order.names:
            ledger.write({"event": "building", "name": name, "time": time.monotonic()})
            with ended_after(order.limit):
                built = workspace.shared.built(name)
            event: dict[str, Any] = {"event": "failed", "name": name}
            if built.error is None:
                encoded = encode(thaw(built.value), name)
                event = {
                    "event": "input",
                    "name": name,
                    "place": (os.fstat(data).st_size, len(encoded)),
                    "unrecorded": built.recorder.unrecorded,
                    "saw_anything": built.recorder.saw_anything,
                    "trace": trace_json(built.trace),
                }
                write_all(data, encoded)
            ledger.write(event)
    finally:
        faulthandler.unregister(signal.SIGALRM)
        ledger.close()
        os.close(data)


class InputBuild:
    """Builds run-wide inputs in workers of a pool: started when made, waited for by :meth:`collect`.

    Args:
        pool: where.
        settings: pickle of the run's :class:`RunSettings`.
        names: inputs to build, in this order.
        limit: seconds each builder may take; None for no limit.
        start_limit: seconds until a worker must have begun; None for a pool that may be busy with other work.
        snapshot: the tree that the inputs were built from.
    """

    def __init__(
        self,
        pool: PersistentWorkerPool,
        settings: bytes,
        names: Sequence[str],
        limit: float | None,
        start_limit: float | None,
        snapshot: Snapshot,
    ) -> None:
        self.pool = pool
        self.settings = settings
        self.names = list(names)
        self.limit = limit
        self.start_limit = start_limit
        self.snapshot = snapshot
        self.built: dict[str, RunInput] = {}
        #: When the first worker began, on the monotonic clock.
        self.began: float | None = None
        self._files = contextlib.ExitStack()
        self._future: Future[None] | None = None
        self._start()

    def collect(self) -> dict[str, RunInput]:
        """Inputs that could be built."""
        while self._future is not None and self._ended_by_a_builder(self._future):
            self._start()
        self.close()
        return self.built

    def close(self) -> None:
        """Free the files."""
        self._files.close()

    def _start(self) -> None:
        """Have the next worker build what is left. A pool that takes no work says so when it is given rules."""
        self._files.close()
        self._future = None
        if self.names:
            with contextlib.suppress(Exception):
                self._submit()

    def _submit(self) -> None:
        self._ledger = LedgerReader()
        self._files.callback(self._ledger.close)
        self._data = self._files.enter_context(ScratchFile("inputs"))
        self._submitted = time.monotonic()
        order = InputsOrder(
            settings=self.settings,
            names=tuple(self.names),
            limit=self.limit,
            ledger=self._ledger.path,
            ledger_name=self._ledger.scratch.name,
            data=self._data.path,
            data_name=self._data.name,
        )
        self._future = self.pool.submit(build_inputs, order)

    def _ended_by_a_builder(self, future: Future[None]) -> bool:
        """Wait for the worker; True when it died in a builder, which is then not in ``names`` any more."""
        pid: int | None = None
        building: tuple[str, float] | None = None
        done = False
        while not done:
            done = bool(wait([future], timeout=_POLL_S).done)
            for event in self._ledger.new_events():
                match event["event"]:
                    case "begin":
                        pid = event["pid"]
                        self.began = self.began or event["time"]
                    case "building":
                        building = (event["name"], event["time"])
                    case "input":
                        building = None
                        self._take(event)
                    case "failed":
                        building = None
                        self._drop(event["name"])
            now = time.monotonic()
            if done:
                continue
            if pid is None:
                if self.start_limit is not None and now - self._submitted > self.start_limit:
                    future.cancel()
                    return False
            elif (
                building is not None and self.limit is not None and now - building[1] > self.limit + _GRACE_S
            ):
                # Its own timer should have ended it.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if building is None:
            return False
        self._drop(building[0])
        return True

    def _drop(self, name: str) -> None:
        if name in self.names:
            self.names.remove(name)

    def _take(self, event: dict[str, Any]) -> None:
        offset, length = event["place"]
        recorder = Recorder(Scene(self.snapshot), keep=False)
        recorder.unrecorded, recorder.saw_anything = event["unrecorded"], event["saw_anything"]
        data = os.pread(self._data.fd, length, offset)
        self.built[event["name"]] = (data, recorder, trace_of(event["trace"]))
        self._drop(event["name"])
