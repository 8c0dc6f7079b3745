"""The decision document: the numbers of a `Decision` together with what only the session knows."""

from __future__ import annotations

import hashlib
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from .core.decision import Decision
from .core.findings import Finding
from .distinct import renamed
from .measure.environment import read_environment
from .measure.memory import MemoryUse
from .store import slug
from .store.ledger import Entry
from .store.schema import SCHEMA
from .subject import Subject

_LONGEST_CONFIG = 2000
_URI = re.compile(r"(?P<before>(?:[\w-]+=)*)(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://(?P<place>.*)", re.DOTALL)


@dataclass(frozen=True)
class Context:
    """What a document says beside the numbers.

    ``seconds`` is the whole time of the benchmark; ``protocol`` says how the trials were measured and is empty
    when none were.
    """

    subject: Subject
    seed: int
    started: datetime
    seconds: float
    attempt: int
    earlier: Sequence[Entry]
    findings: Sequence[Finding]
    baseline_memory: MemoryUse | None
    optimized_memory: MemoryUse | None
    overhead: Mapping[str, float]
    protocol: Mapping[str, Any]
    clock_resolution_s: float | None


def document(decision: Decision, context: Context) -> dict[str, Any]:
    """Return the document of ``decision`` as plain JSON types, without any path of this machine."""
    subject = context.subject
    settings, described = subject.settings, subject.description
    numbers = decision.document()
    codes = {finding["code"] for finding in numbers["diagnostics"]}
    noticed = [
        {"code": f.code, "level": f.level, "message": f.message}
        for f in context.findings
        if f.code not in codes
    ]
    return {
        "schema": SCHEMA,
        "id": subject.identity,
        "slug": slug.slug(subject.identity),
        "title": subject.title,
        "group": _text(described.get("group")),
        "rank": described.get("rank"),
        "expected": described.get("expected"),
        **numbers,
        "summary": decision.summary(subject.title),
        "baseline": {"name": subject.baseline.name, **numbers["baseline"]},
        "optimized": {"name": subject.optimized.name, **numbers["optimized"]},
        "diagnostics": numbers["diagnostics"] + noticed,
        "memory": _memory(context),
        "config": _plain(subject.config),
        "environment": read_environment(context.clock_resolution_s),
        "code": {"baseline": dict(subject.baseline.code), "optimized": dict(subject.optimized.code)},
        "protocol": {
            "isolation": settings.isolation,
            "loops": None,
            "micro_pairs": None,
            "plan": [],
            "warmup_pairs": None,
            "gc": None,
            "cpus": list(settings.cpus),
            "tracers": [],
            "async": False,
            **context.protocol,
            "looks": list(decision.schedule.looks),
            "limits": list(decision.schedule.limits),
            "alpha": settings.alpha,
            "attempt": context.attempt,
            "max_time_s": settings.max_time,
            "quick": settings.quick,
        },
        "overhead": _overhead(context),
        "notes": _text(described.get("notes")),
        "risks": _risks(described.get("risks")),
        "earlier": list(context.earlier),
        "attempt": context.attempt,
        "seed": context.seed,
        "command": command_line(subject.command, subject.root, subject.program),
        "started": context.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": context.seconds,
    }


def function_name(call: Callable[..., Any]) -> str:
    """Return the short name of a callable."""
    inner = getattr(call, "func", call)
    return str(getattr(inner, "__name__", type(call).__name__))


def code_of(call: Callable[..., Any], root: Path) -> dict[str, Any]:
    """Return name, file, line and SHA-256 of the source of a callable.

    The file is relative to ``root``, or the dotted module where it lies elsewhere; unknown parts are None.
    """
    inner = inspect.unwrap(getattr(call, "func", call))
    found: dict[str, Any] = {"name": function_name(call), "file": None, "line": None, "sha256": None}
    try:
        lines, first = inspect.getsourcelines(inner)
        path = Path(inspect.getsourcefile(inner) or "")
    except (OSError, TypeError):  # built in, or typed at a prompt: the report says n/a
        return found
    try:
        found["file"] = path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        found["file"] = getattr(inner, "__module__", None)
    found["line"] = first
    found["sha256"] = hashlib.sha256("".join(lines).encode()).hexdigest()
    return found


def command_line(arguments: Sequence[str], root: Path, program: str = "pytest") -> str:
    """Return the command of ``program`` with absolute paths made relative to ``root`` or cut to their last part."""
    words = [program]
    for argument in arguments:
        uri = _URI.fullmatch(str(argument))
        if uri is not None:  # it may hold folders, hosts and passwords
            last = re.split(r"[/@]", re.split(r"[?#]", uri["place"])[0].rstrip("/"))[-1]
            words.append(f"{uri['before']}{uri['scheme']}://.../{last}")
            continue
        head, equals, tail = str(argument).rpartition("=")
        words.append(f"{head}{equals}{_without_folders(tail, root)}")
    return " ".join(word if word.replace(" ", "") == word else repr(word) for word in words)


def _without_folders(word: str, root: Path) -> str:
    path, colons, rest = word.partition("::")
    if not Path(path).is_absolute():
        return word
    try:
        short = Path(path).resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        short = Path(path).name
    return f"{short}{colons}{rest}"


def _memory(context: Context) -> dict[str, Any]:
    found = {"baseline": context.baseline_memory, "optimized": context.optimized_memory}
    how = next((memory.how for memory in found.values() if memory), "not measured")
    return {
        "how": how,
        **{
            arm: {
                "peak_bytes": memory.peak_bytes if memory else None,
                "extra_bytes": memory.extra_bytes if memory else None,
            }
            for arm, memory in found.items()
        },
    }


def _overhead(context: Context) -> dict[str, float]:
    phases = ("equivalence_s", "calibration_s", "warmup_s", "timed_s", "analysis_s")
    known = {phase: float(context.overhead.get(phase, 0.0)) for phase in phases}
    other = max(context.seconds - sum(known.values()), 0.0)
    return {**known, "other_s": other, "total_s": context.seconds}


def _plain(value: Any) -> Any:
    """Return ``value`` when JSON can hold it, else its text, cut to a length worth reading."""
    if value is None or isinstance(value, (bool, int, str)):
        return value if not isinstance(value, str) else value[:_LONGEST_CONFIG]
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, Mapping):
        return renamed({key: _plain(inner) for key, inner in value.items()}, {key: str(key) for key in value})
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return repr(value)[:_LONGEST_CONFIG]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _risks(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(risk) for risk in value]
