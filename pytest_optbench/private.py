"""What nothing written may hold: home folders, names of machines, and where on a disk a project lies.

Messages of exceptions, output of children and of commands, notes and settings come from other people's code. They
are cleaned in one place, where a document is written, so that no way a text can take leads around it.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from .distinct import renamed

FREE_TEXT: Final = frozenset(
    {
        "summary", "baseline", "optimized", "criteria", "equivalence", "diagnostics", "memory", "metrics",
        "config", "environment", "code", "protocol", "notes", "risks", "command",
    }
)  # fmt: skip
"""Keys of a decision that hold what an arm, a test or its author said."""

FREE_KEYS: Final = frozenset({"config"})
"""Those of them whose own keys are the author's, too."""

_FIXED: Final = frozenset({"id", "code", "level", "name", "sha256"})
"""Keys below them that are codes or names, not text."""


def scrub(
    doc: Mapping[str, Any], home: str | None = None, host: str | None = None, root: Path | None = None
) -> dict[str, Any]:
    """Return decision ``doc`` with its texts, and the names of its settings, as `clean` makes them.

    Ids, titles and groups stay as they are: they identify the decision.
    """
    patterns = list(_patterns(root, home, host))
    texts = {
        key: _clean(value, patterns, keys=key in FREE_KEYS) for key, value in doc.items() if key in FREE_TEXT
    }
    return {**doc, **texts}


def clean(value: Any, root: Path | None = None, home: str | None = None, host: str | None = None) -> Any:
    """Return text, or JSON with text, that names no folder above ``root``, no home folder and no machine.

    Paths below ``root`` become relative, the home folder ``~``, the machine's name ``(host)``. ``home`` and ``host``
    are those of this process when None. Values of keys that are names or codes stay as they are.
    """
    return _clean(value, list(_patterns(root, home, host)))


def _patterns(root: Path | None, home: str | None, host: str | None) -> Iterator[tuple[re.Pattern[str], str]]:
    for folder in _folders("" if root is None else str(root)):
        yield re.compile(rf"(?<![\w.-]){folder}/(?=[\w.-])"), ""
        yield re.compile(rf"(?<![\w.-]){folder}(?![\w.-])"), "."
    for folder in _folders(os.path.expanduser("~") if home is None else home):  # noqa: PTH111 - never raises
        yield re.compile(folder + r"(?![\w.-])"), "~"
    name = socket.gethostname() if host is None else host
    if name and name != "localhost":
        names = "|".join(map(re.escape, sorted({name, name.partition(".")[0]}, key=len, reverse=True)))
        yield re.compile(rf"(?<![\w.-])(?:{names})(?![\w-])"), "(host)"


def _folders(path: str) -> list[str]:
    """Return patterns for a folder as it is given and with links followed; none for ``/`` or no folder."""
    if not path.startswith("/"):
        return []
    both = dict.fromkeys(each.rstrip("/") for each in (path, os.path.realpath(path)))
    return [re.escape(each) for each in both if each]


def _clean(value: Any, patterns: list[tuple[re.Pattern[str], str]], *, keys: bool = False) -> Any:
    """Return ``value`` with its texts replaced; with ``keys`` those of mappings as well, none of which is lost."""
    if isinstance(value, str):
        for pattern, word in patterns:
            value = pattern.sub(word, value)
        return value
    if isinstance(value, Mapping) and keys:
        inner = {key: _clean(item, patterns, keys=True) for key, item in value.items()}
        return renamed(inner, {key: _clean(key, patterns) for key in value})
    if isinstance(value, Mapping):
        return {
            key: item if key in _FIXED and isinstance(item, str) else _clean(item, patterns)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_clean(item, patterns, keys=keys) for item in value]
    return value
