"""Numbers that arms record about a call: `record` inside an arm, `Recordings` for what was heard.

Only fresh, untimed calls are listened to. In a timed run `record` looks at one global name and returns, and a
value given as a callable is not computed there. What a process started by an arm records is not heard: its memory is
its own. Where a whole process is one side of the comparison, what was heard there travels as plain JSON values.

Standard library only, as a plain test run listens too (and forgets).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, SupportsFloat, SupportsIndex, TypeAlias, get_args

from ..options import OptionError, parse_margin

Number: TypeAlias = int | float
Better: TypeAlias = Literal["lower", "higher", "same"]
Recordable: TypeAlias = SupportsIndex | SupportsFloat
LONGEST_NAME: Final = 80
MEMORY: Final = "memory"
FIRST_CALL: Final = "memory, first call"
"""Names of what the harness measures by itself."""


class RecordError(ValueError):
    """`record` was given something that is no number, or says something else than an earlier call did."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one name was recorded with; see `record`. ``margin`` is a fraction or None."""

    unit: str | None
    better: Better
    margin: float | None
    exact: bool | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """One value with what was said of its metric."""

    declared: Declaration
    value: Number


@dataclass(slots=True)
class _Call:
    """The call of an arm that is listened to, inside another one for the listeners around it."""

    recordings: Recordings
    values: dict[str, Number]
    outer: _Call | None


_call: _Call | None = None


def record(
    name: str,
    value: Recordable | Callable[[], Recordable],
    *,
    unit: str | None = None,
    better: Better = "lower",
    margin: str | float | None = "5%",
    exact: bool | None = None,
) -> None:
    """Note ``value`` as metric ``name`` of the call an arm is in; the last value of a call counts.

    ``value`` is a finite number, or a callable without arguments that returns one and is only called when
    somebody listens. ``better`` says which way is good, "same" that it must not change. ``margin`` is how much
    worse than the baseline the optimized arm may be ("5%", 0.05, "1.05x"; None: reported, never judged).
    ``exact`` True judges single values, as fits counts; False the mean of several calls; None means exact when
    all values are whole numbers.

    Does nothing outside a call that is listened to. Raises `RecordError`, which ends the benchmark as any other
    exception of an arm does.
    """
    call = _call
    if call is None:
        return
    declared = _declaration(name, unit, better, margin, exact)
    number = _number(name, value)
    while call is not None:
        known = call.recordings.declared.setdefault(name, declared)
        if known != declared:
            raise RecordError(
                f"metric {name!r} must be recorded with the same unit, better, margin and exact everywhere, "
                f"received {declared} after {known}"
            )
        call.values[name] = number
        call = call.outer


class Recordings:
    """What the arms of one benchmark recorded.

    ``declared`` is by name, ``calls`` by arm: the values of every call that was listened to, in order.
    ``pairs`` holds the rounds of calls made side by side: the values of every arm by its name.
    """

    def __init__(self) -> None:
        """Nothing was heard yet."""
        self.declared: dict[str, Declaration] = {}
        self.calls: dict[str, list[dict[str, Number]]] = {}
        self.pairs: list[dict[str, dict[str, Number]]] = []

    @contextmanager
    def listening(self, arm: str) -> Iterator[None]:
        """Listen to the call of ``arm`` in the body; a call that raises is forgotten."""
        global _call
        outer, _call = _call, _Call(self, {}, _call)
        values = _call.values
        try:
            yield
        finally:
            _call = outer
        self.calls.setdefault(arm, []).append(values)

    def pair(self, arms: Sequence[str]) -> None:
        """Take the latest call of each of ``arms`` as made side by side, out of their single calls."""
        self.pairs.append({arm: self.calls[arm].pop() for arm in arms})

    @property
    def noisy(self) -> bool:
        """Whether a metric is to be judged by the mean of several calls."""
        return any(
            declared.margin is not None and not self._exact(name, declared)
            for name, declared in self.declared.items()
        )

    def last(self, arm: str) -> dict[str, dict[str, Any]]:
        """Return the latest call of ``arm`` as plain JSON values by name; `from_wire` reads them back."""
        calls = self.calls.get(arm, [])
        return {
            name: {**asdict(self.declared[name]), "value": value}
            for name, value in (calls[-1] if calls else {}).items()
        }

    def values(self, name: str, arm: str) -> tuple[Number, ...]:
        """Return what single calls of ``arm`` recorded as ``name``."""
        return tuple(call[name] for call in self.calls.get(arm, ()) if name in call)

    def paired(self, name: str, arm: str) -> tuple[tuple[Number, Number], ...]:
        """Return what the baseline and ``arm`` recorded as ``name`` in each round that has both."""
        return tuple(
            (round_["baseline"][name], round_[arm][name])
            for round_ in self.pairs
            if name in round_.get("baseline", {}) and name in round_.get(arm, {})
        )

    def _exact(self, name: str, declared: Declaration) -> bool:
        if declared.exact is not None:
            return declared.exact
        return all(
            isinstance(call[name], int) for calls in self.calls.values() for call in calls if name in call
        )


def from_wire(said: object) -> dict[str, Recorded]:
    """Return what `Recordings.last` gave in another process; what it cannot have given is left out.

    A metric that is left out on one side is missing there, so it is never taken for one that keeps its margin.
    """
    found = {}
    for name, each in said.items() if isinstance(said, dict) else ():
        try:
            unit, better, margin, exact = (each[key] for key in ("unit", "better", "margin", "exact"))
            declared = replace(_declaration(name, unit, better, None, exact), margin=margin)
            found[name] = Recorded(declared, _number(name, each["value"]))
        except (RecordError, TypeError, KeyError):
            continue
        if not (margin is None or (type(margin) in (int, float) and 0 <= margin < math.inf)):
            del found[name]
    return found


def _declaration(name: object, unit: object, better: object, margin: Any, exact: object) -> Declaration:
    if not (isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable()):
        raise RecordError(
            f"the name of a metric must be 1 to {LONGEST_NAME} printable characters, received {name!r:.200}"
        )
    if name in (MEMORY, FIRST_CALL):
        raise RecordError(f"metric {name!r} is measured by the harness itself; choose another name")
    if unit is not None and not (isinstance(unit, str) and len(unit) <= LONGEST_NAME and unit.isprintable()):
        raise RecordError(
            f"the unit of metric {name!r} must be text such as 'rows/s', received {unit!r:.200}"
        )
    if better not in get_args(Better):
        raise RecordError(
            f"better of metric {name!r} must be one of {', '.join(get_args(Better))}, received {better!r}"
        )
    if exact is not None and not isinstance(exact, bool):
        raise RecordError(f"exact of metric {name!r} must be True, False or None, received {exact!r}")
    try:
        allowed = None if margin is None else parse_margin(margin)
    except OptionError as error:
        raise RecordError(f"metric {name!r}: {error}") from None
    return Declaration(unit, better, allowed, exact)  # type: ignore[arg-type]  # checked above


def _number(name: str, value: Any) -> Number:
    if callable(value):
        value = value()
    try:
        number: Number = operator.index(value)
    except TypeError:
        number = _float(name, value)
    try:
        finite = math.isfinite(number)
    except OverflowError:
        finite = False
    if not finite:
        raise RecordError(f"the value of metric {name!r} must be finite, received {value!r:.200}")
    return number


def _float(name: str, value: Any) -> float:
    if not isinstance(value, str | bytes | bytearray):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            pass
    raise RecordError(f"the value of metric {name!r} must be a number, received {value!r:.200}")
