"""Digests that are equal for equal values in every process, whatever the hash seed. Pure."""

from __future__ import annotations

import hashlib
import json

DIGEST_CHARS = 32


def canonical_json(value: object) -> str:
    """JSON text with sorted keys and no blanks; equal for equal JSON data."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def of_bytes(data: bytes | memoryview) -> str:
    """First 128 bits of the SHA-256 of *data*, as 32 hexadecimal characters."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_CHARS]


def of_json(value: object) -> str:
    """Digest of JSON data."""
    return of_bytes(canonical_json(value).encode("ascii"))
