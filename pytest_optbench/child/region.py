"""The timed region of a test: blocked in front of it, the child does what the driver says, one sample at a time."""

from __future__ import annotations

import base64
import os
import pickle
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..measure.affinity import current_cpu, move_to
from ..measure.arm import Reading
from ..measure.channel import MOST_RESULT_BYTES, Channel
from ..measure.clock import SYSTEM_CLOCK, Clock
from ..measure.equivalence import difference_of
from ..measure.garbage import Collector, equal_collector_state_kept
from ..measure.layout import RandomPlace
from ..measure.output import diverted_output, null_stream
from ..measure.record import Recordings
from ..measure.tracers import suspended_tracers
from .peak import Peak
from .work import Rounds

Equal = Callable[[Any, Any], Any]


class Work(Protocol):
    """What can be timed: an arm, or what the ``benchmark`` fixture was given."""

    @property
    def setup(self) -> object | None:
        """Not None when every call is timed by itself."""

    def once(self) -> Any:
        """Return the result of one untimed call."""

    def run(self, loops: int, clock: Clock) -> Reading:
        """Return the times of ``loops`` calls."""


class Abandoned(BaseException):
    """The driver gives this benchmark up.

    Not an `Exception`, so that ``except Exception`` inside a test cannot swallow it.
    """


class Region:
    """Serves the driver in front of one timed region after the other; remembers readings of the last one."""

    def __init__(self, channel: Channel, seed: int) -> None:
        """Send and receive on ``channel``; ``seed`` draws the places of timed runs."""
        self._channel = channel
        self._place = RandomPlace(seed)
        self.seconds: list[float] = []

    def serve(
        self,
        node_id: str,
        work: Work,
        name: str = "",
        *,
        equal: Equal | None = None,
        info: Callable[[], Mapping[str, Any]] = dict,
    ) -> Any:
        """Time ``work`` as the driver says; return the result of its first call.

        ``name`` distinguishes the regions of one test. ``info`` is asked at the end. Raises what ``work`` raises,
        and `Abandoned`.
        """
        single = isinstance(work, Rounds) and work.single
        self.seconds = []
        peak = Peak()
        pid = os.getpid()
        recordings = Recordings()
        if not single:
            self._channel.send(event="calling", pid=pid)
        with recordings.listening(name):
            result = None if single else work.once()
        with (
            suspended_tracers() as findings,
            null_stream() as null,
            equal_collector_state_kept() as collector,
        ):
            self._channel.send(event="at", id=node_id, region=name, setup=work.setup is not None, once=single)
            while True:
                command = self._channel.receive()
                do = command.get("do")
                if do == "sample":
                    with diverted_output(null):
                        cpu, reading = self._sample(work, command, collector)
                    if os.getpid() != pid:
                        os._exit(1)  # a fork of the work came back out of it
                    self._send_reading(reading, cpu)
                elif do == "result":
                    with diverted_output(null):
                        answer = self._result(work)
                    self._channel.send(event="result", **answer)
                elif do == "compare":
                    with diverted_output(null):
                        answer = _compared(command["data"], work, equal)
                    self._channel.send(event="compared", **answer)
                elif do == "finish":
                    self._channel.send(
                        event="finished",
                        memory=peak.report(pid),
                        recorded=recordings.last(name),
                        info={**info(), "gc": collector.record()},
                        findings=[[f.code, f.level, f.message] for f in findings],
                    )
                    return work.result if isinstance(work, Rounds) and single else result
                else:
                    raise Abandoned("the driver gave this benchmark up")

    def _sample(
        self, work: Work, command: Mapping[str, Any], collector: Collector
    ) -> tuple[int | None, Reading]:
        """Return where the run began, and its times."""
        collector.before_run()
        if (wanted := command.get("cpu")) is not None:
            move_to(int(wanted))
        cpu = current_cpu()
        return cpu, self._place(work.run, int(command["loops"]), SYSTEM_CLOCK)

    def _send_reading(self, reading: Reading, cpu: int | None) -> None:
        self.seconds.append(reading.seconds_per_call)
        self._channel.send(
            event="reading",
            loops=reading.loops,
            wall_ns=reading.wall_ns,
            cpu_ns=reading.cpu_ns,
            elapsed_ns=reading.elapsed_ns,
            cpu=cpu,
        )

    def _result(self, work: Work) -> dict[str, Any]:
        """Return a fresh result as text for the other child, or why it cannot travel."""
        value = work.once()
        try:
            data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # noqa: BLE001 - whatever a user's class raises there
            return {"data": None, "why": f"the result cannot be pickled: {type(error).__name__}: {error}"}
        if len(data) > MOST_RESULT_BYTES:
            return {
                "data": None,
                "why": f"the result takes {len(data)} bytes pickled, more than {MOST_RESULT_BYTES}",
            }
        return {"data": base64.b64encode(data).decode("ascii")}


def _compared(data: str, work: Work, equal: Equal | None) -> dict[str, Any]:
    """Return how a fresh result compares with the other child's, as the fields of an `Equivalence`."""
    how = (
        "default comparison"
        if equal is None
        else f"equal={getattr(equal, '__qualname__', type(equal).__name__)}"
    )
    how += ", across processes"
    try:
        # From a process that ran the very same user's code on this machine a moment ago.
        expected = pickle.loads(base64.b64decode(data))  # noqa: S301
    except Exception as error:  # noqa: BLE001 - whatever a user's class raises there
        why = f"the baseline's result cannot be unpickled here: {type(error).__name__}: {error}"
        return {"checked": False, "passed": None, "how": "not checked", "message": why}
    actual = work.once()
    message = difference_of(expected, actual, equal)
    if message is not None:
        message = f"the results differ at {message}" if equal is None else message
        if difference_of(actual, work.once(), equal) is not None:
            message += (
                "; this side does not agree with itself from one call to the next either: "
                "seed what is random, or pass equal="
            )
    return {"checked": True, "passed": message is None, "how": how, "message": message}
