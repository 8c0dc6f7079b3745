"""What a published history must not hold: the names of people's home folders and of their machines."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

FREE_TEXT: Final = frozenset(
    {
        "summary", "baseline", "optimized", "criteria", "equivalence", "diagnostics", "memory", "metrics",
        "config", "environment", "code", "protocol", "notes", "risks", "command",
    }
)  # fmt: skip
"""Keys of a decision that hold what an arm, a test or its author said."""

_FIXED: Final = frozenset({"code", "level", "name", "sha256"})
"""Keys below them that are codes or names, not text."""


def scrub(doc: Mapping[str, Any], home: str | None = None, host: str | None = None) -> dict[str, Any]:
    """Return decision ``doc`` with ``~`` for the home folder and ``(host)`` for the machine's name in its texts.

    ``home`` and ``host`` are those of this process when None. Ids, titles and groups stay as they are: they
    identify the decision.
    """
    patterns = _patterns(
        str(Path.home()) if home is None else home, socket.gethostname() if host is None else host
    )
    return {key: _clean(value, patterns) if key in FREE_TEXT else value for key, value in doc.items()}


def _patterns(home: str, host: str) -> list[tuple[re.Pattern[str], str]]:
    found = []
    if len(home) > 1:
        found.append((re.compile(re.escape(home.rstrip("/")) + r"(?![\w.-])"), "~"))
    if host and host != "localhost":
        names = "|".join(
            re.escape(name) for name in sorted({host, host.partition(".")[0]}, key=len, reverse=True)
        )
        found.append((re.compile(rf"(?<![\w.-])(?:{names})(?![\w-])"), "(host)"))
    return found


def _clean(value: Any, patterns: list[tuple[re.Pattern[str], str]]) -> Any:
    if isinstance(value, str):
        for pattern, word in patterns:
            value = pattern.sub(word, value)
        return value
    if isinstance(value, Mapping):
        return {key: item if key in _FIXED else _clean(item, patterns) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, patterns) for item in value]
    return value
