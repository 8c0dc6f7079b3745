"""What a worker process runs: one unit of rules, each result written to the unit's ledger as soon as it is
there.

A worker attaches the shared segment once per run and keeps its workspace, so that units of one group find the
inputs that an earlier unit built. The limit of a rule is kept by the kernel's timer: its signal is handled by
``faulthandler``, which needs no lock of the interpreter, so it also fires while a rule hangs in compiled code. It
writes the stack and ends the process. (``faulthandler``'s own timer is a thread, started and waited for at
every rule; on busy CPUs that costs more than many a rule.)
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from optengine.rules.evidence import error_text
from optengine.rules.execute import RawResult, Workspace
from optengine.rules.ledger import LedgerWriter
from optengine.rules.model import Rule, RuleResult, SharedBuilder
from optengine.rules.segment import SegmentError, SegmentSnapshot
from optengine.rules.shared import say_nothing
from optengine.rules.snapshot import DiskSnapshot
from optengine.rules.tree import scan


@dataclass(frozen=True)
class RunSettings:
    """What all units of one run have in common; pickled once, unpickled once per worker."""

    root: str
    ignored: tuple[str, ...]
    without: tuple[str, ...]
    config: dict[str, Any]
    builders: dict[str, SharedBuilder]
    builder_digests: dict[str, str]
    track: bool


@dataclass(frozen=True)
class UnitOrder:
    """One unit as it is sent: settings and rules are pickled by the parent, so it alone decides how.

    ``rules`` holds (position, pickled rule, limit); ``settings`` is the pickle of :class:`RunSettings`;
    ``run`` tells runs apart, since a pool may outlive one.
    """

    run: str
    segment: str
    ledger: str
    ledger_name: str
    settings: bytes
    share: bool
    rules: list[tuple[int, bytes, float | None]]
    results: dict[str, RuleResult] = field(default_factory=dict)


@dataclass
class _Desk:
    """What a worker keeps between units of one run."""

    run: str
    workspace: Workspace
    attached: bool
    mapped_bytes: int
    attach_s: float
    why: str | None
    load_s: float
    traces_sent: set[str] = field(default_factory=set)


_desk: _Desk | None = None
_SHORTEST_S = 1e-6  # a timer of 0 would be switched off
_LONGEST_S = 1e9  # the timer takes no more; thirty years


def dumps(value: object) -> bytes:
    """*value* pickled by reference where workers can import it, by value (cloudpickle) otherwise.

    Raises whatever pickling raises when neither works.
    """
    try:
        data = pickle.dumps(value, 5)
    except Exception:  # noqa: BLE001 - a reducer may raise anything; cloudpickle then decides
        data = b"__main__"
    if b"__main__" not in data:
        return data
    import cloudpickle

    by_value: bytes = cloudpickle.dumps(value, 5)
    return by_value


def light(rule: Rule) -> Rule:
    """*rule* without the texts that only reports need."""
    return replace(rule, help="", tags=frozenset(), inputs=())


def run_unit(order: UnitOrder) -> None:
    """Run the rules of *order* in turn; everything there is to say goes to the ledger."""
    began = time.monotonic()
    ledger = LedgerWriter(order.ledger, order.ledger_name)
    try:
        desk = _desk_for(order)
        unpickle_s, desk.load_s = desk.load_s, 0.0
        ledger.write(
            {
                "event": "begin",
                "pid": os.getpid(),
                "time": began,
                "attached": desk.attached,
                "mapped_bytes": desk.mapped_bytes,
                "attach_s": desk.attach_s,
                "why": desk.why,
            }
        )
        write_stacks_to(ledger.fd)
        desk.workspace.shared.announce = lambda name: ledger.write({"event": "building", "name": name})
        for position, pickled, limit in order.rules:
            began_load = time.monotonic()
            try:
                rule: Rule = pickle.loads(pickled)  # noqa: S301 - pickled by our own parent
            except BaseException as error:  # noqa: BLE001 - importing a rule's module may raise anything
                ledger.write({"event": "unloadable", "rule": position, "why": error_text(error)})
                continue
            unpickle_s += time.monotonic() - began_load
            ledger.write({"event": "start", "rule": position, "time": time.monotonic()})
            with ended_after(limit):
                raw = desk.workspace.run(rule, {name: order.results[name] for name in rule.requires})
            write_result(ledger.write, desk.traces_sent, position, raw)
        if not order.share:
            desk.workspace.shared.clear()
        ledger.write({"event": "end", "time": time.monotonic(), "unpickle_s": unpickle_s})
    finally:
        if _desk is not None:
            _desk.workspace.shared.announce = say_nothing  # a thread that a rule left may go on building
        faulthandler.unregister(signal.SIGALRM)
        ledger.close()


def write_stacks_to(descriptor: int) -> None:
    """Let the timer's signal write all stacks to *descriptor* and then end the process."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # a forked worker has its parent's handler
    faulthandler.register(signal.SIGALRM, file=descriptor, all_threads=True, chain=True)


@contextmanager
def ended_after(limit: float | None) -> Iterator[None]:
    """End the process when the block takes longer than *limit* seconds; None for no limit."""
    if limit is None:
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, min(max(limit, _SHORTEST_S), _LONGEST_S))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _desk_for(order: UnitOrder) -> _Desk:
    global _desk
    if _desk is None or _desk.run != order.run:
        _desk = None
        _desk = _new_desk(order)
    return _desk


def _new_desk(order: UnitOrder) -> _Desk:
    began = time.monotonic()
    settings: RunSettings = pickle.loads(order.settings)  # noqa: S301 - pickled by our own parent
    load_s = time.monotonic() - began
    root = Path(settings.root)
    why: str | None = None
    attached: dict[str, Any] = {}
    snapshot: SegmentSnapshot | DiskSnapshot
    mapped_bytes, attach_s = 0, 0.0
    try:
        snapshot = SegmentSnapshot(order.segment, root)
        attached = snapshot.run_inputs()
        mapped_bytes, attach_s = snapshot.mapped_bytes, snapshot.attach_s
    except SegmentError as error:
        why = str(error)
        snapshot = DiskSnapshot(root, scan(root, settings.ignored, settings.without))
    workspace = Workspace(
        root,
        snapshot,
        settings.builders,
        settings.config,
        track=settings.track,
        builder_digests=settings.builder_digests,
        attached=attached,
    )
    return _Desk(order.run, workspace, why is None, mapped_bytes, attach_s, why, load_s)


def write_result(
    write: Callable[[dict[str, Any]], None], traces_sent: set[str], position: int, raw: RawResult
) -> None:
    """Write *raw* as events, its traces first; those in *traces_sent* are named only, new ones are added."""
    event: dict[str, Any] = {
        "event": "result",
        "rule": position,
        "status": raw.status.value,
        "message": raw.message,
        "evidence": raw.evidence,
        "reason": raw.reason,
        "seconds": raw.seconds,
        "building_s": raw.building_s,
        "unrecorded": raw.unrecorded,
        "vacuous": raw.vacuous,
        "trace": None,
    }
    if raw.trace is not None:
        for trace in raw.trace.walk():
            if trace.digest not in traces_sent:
                write({"event": "trace", "digest": trace.digest, "trace": trace.as_json()})
                traces_sent.add(trace.digest)
        event["trace"] = raw.trace.digest
    write(event)
