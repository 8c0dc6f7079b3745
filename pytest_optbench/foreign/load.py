"""From a path to a `File`: bytes, JSON, the reader that knows what it holds.

What a file is called says nothing; gzip, which pyperf writes, is seen by its first bytes. Nothing is executed,
unpickled or looked up: a file is text.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from gzip import BadGzipFile, GzipFile
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from . import hyperfine, own, pyperf, pytest_benchmark
from .errors import ForeignError
from .node import Node
from .recorded import File

READERS: Final[tuple[ModuleType, ...]] = (pytest_benchmark, pyperf, hyperfine, own)
LARGEST_BYTES: Final = 512 * 2**20
_GZIP: Final = b"\x1f\x8b"


def read_file(path: Path) -> File:
    """Return what the file at ``path`` holds; raises `ForeignError` naming the file and what is wrong."""
    name = path.name
    data = _bytes(path)
    text = _text(data, name)
    try:
        value: Any = json.loads(text)
    except RecursionError as error:
        raise ForeignError(f"{name}: JSON must not be nested that deeply; export it again") from error
    except ValueError as error:
        raise ForeignError(
            f"{name}: must be JSON, found {_start(text)}: {error}; export it again, {_EXPORTS}"
        ) from error
    sha256 = hashlib.sha256(data).hexdigest()
    for reader in READERS:
        if reader.recognises(value):
            file: File = reader.read(Node(value, name, reader.TOOL), sha256)
            return file
    raise ForeignError(
        f"{name}: must be a file of pytest-benchmark, pyperf, hyperfine or pytest-optbench, found "
        f"{_shape(value)}; export it again, {_EXPORTS}"
    )


_EXPORTS: Final = (
    "with pytest --benchmark-json=FILE, pyperf -o FILE, hyperfine --export-json FILE, or from the report folder "
    "of pytest --optbench"
)


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            found = "a folder" if path.is_dir() else "nothing" if not path.exists() else "something else"
            raise ForeignError(f"{path}: must be a file, found {found}")
        with path.open("rb") as stream:
            data = stream.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise ForeignError(f"{path}: must be a file that can be read: {error.strerror}") from error
    return _not_larger(data, path.name)


def _not_larger(data: bytes, name: str) -> bytes:
    if len(data) > LARGEST_BYTES:
        raise ForeignError(
            f"{name}: must be at most {LARGEST_BYTES >> 20} MiB large, found more; record fewer rounds"
        )
    return data


def _text(data: bytes, name: str) -> str:
    if data[:2] == _GZIP:
        try:
            with GzipFile(fileobj=io.BytesIO(data)) as stream:
                data = _not_larger(stream.read(LARGEST_BYTES + 1), name)
        except (BadGzipFile, EOFError, zlib.error) as error:
            raise ForeignError(f"{name}: must be a whole gzip file: {error}; copy it again") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ForeignError(f"{name}: must be JSON in UTF-8: {error}; export it again, {_EXPORTS}") from error


def _start(text: str) -> str:
    start = text.strip()[:30]
    return f"text that starts with {start!r}" if start else "an empty file"


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        keys = ", ".join(repr(str(key)[:30]) for key in list(value)[:6])
        return f"an object with the keys {keys}" if keys else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)} elements"
    return f"{json.dumps(value)[:60]}"
