"""File stems for decisions: ASCII, readable, bounded, free of paths and of names that mean something else."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final

MAX_LENGTH: Final = 100
"""Characters of a stem; with a suffix and an extension it stays below 255 bytes on every file system."""

DIGEST_LENGTH: Final = 8

_DEVICES: Final = {"con", "prn", "aux", "nul", *(f"{p}{i}" for p in ("com", "lpt") for i in range(10))}
RESERVED: Final = frozenset({"index", "readme", *_DEVICES})
"""Stems that name another file of a report folder, or a device on some platform."""

_VALID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}")


def slug(identity: str) -> str:
    """Return the file stem of the decision with id ``identity``; the same id always gives the same stem.

    ``benchmarks/test_pool.py::test_map[8]`` gives ``benchmarks-test_pool-test_map-8``. A digest of the id is
    added when the stem had to be shortened, was empty or is reserved. Two ids may share a stem; `candidates`
    keeps them apart.
    """
    text = identity.replace(".py::", "-").replace("::", "-")
    text = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")
    if len(text) > MAX_LENGTH:
        return f"{text[:MAX_LENGTH].rstrip('-')}-{digest(identity)}"
    if not text or text.casefold() in RESERVED:
        return f"{text}-{digest(identity)}".lstrip("-")
    return text


def candidates(identity: str) -> Iterator[str]:
    """Yield the stems ``identity`` may use, best first: `slug`, then with ever longer digests of the id."""
    stem = slug(identity)
    yield stem
    for length in range(DIGEST_LENGTH, 65, DIGEST_LENGTH):
        yield f"{stem[: 119 - length]}-{digest(identity, length)}"


def digest(identity: str, length: int = DIGEST_LENGTH) -> str:
    """Return the first ``length`` hexadecimal digits of the SHA-256 of ``identity``."""
    return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def is_valid(stem: object) -> bool:
    """Return whether ``stem`` can be the stem of a decision's files: no path, no reserved name."""
    return isinstance(stem, str) and bool(_VALID.fullmatch(stem)) and stem.casefold() not in RESERVED
