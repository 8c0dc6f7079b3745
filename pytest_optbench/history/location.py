"""Where a history lives: a folder on any file system pyarrow can open, and a name for it that can be shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from pytest_optbench.store.errors import StoreError

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_SECRET: Final = re.compile(r"(?<=://)[^?#]*@|[?#].*", re.DOTALL)


@dataclass(frozen=True)
class Location:
    """A folder: a ``pyarrow.fs.FileSystem``, the path in it, and its name without credentials."""

    filesystem: Any
    base: str
    shown: str

    def path(self, name: str) -> str:
        """Return the path of the file ``name`` of the folder."""
        return f"{self.base.rstrip('/')}/{name}" if self.base else name


def arrow(module: str = "pyarrow") -> Any:
    """Return the module of pyarrow asked for; raises StoreError naming the extra when it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise StoreError(
            f"a history needs pyarrow, received {error}; install it with pip install 'pytest-optbench[history]'"
        ) from error


def locate(uri: str, root: Path | None = None) -> Location:
    """Return the location of a path, relative to ``root`` (None: the working directory), or of a URI.

    A URI is whatever ``pyarrow.fs.FileSystem.from_uri`` takes: file, s3, gs, hdfs, fsspec+... Nothing is
    read or created. Raises StoreError for one it cannot open.
    """
    fs = arrow("pyarrow.fs")
    shown = without_secrets(uri)
    if not uri or "\0" in uri:
        raise StoreError(f"a history must be a path or a URI, received {uri!r}; write --optbench-history=DIR")
    if not _SCHEME.match(uri):
        return Location(fs.LocalFileSystem(), str(Path(root or ".", uri).absolute()), shown)
    cure = "name a folder, or a URI that pyarrow can open"
    try:
        filesystem, base = fs.FileSystem.from_uri(uri)
    except Exception as error:  # noqa: BLE001 - whatever a file system finds wrong with it
        # The error repeats the URI: neither its text nor a traceback with it as the cause may show a password.
        words = reason(error).replace(uri, shown)
        raise StoreError(f"the history {shown} cannot be opened: {words}; {cure}") from None
    return Location(filesystem, base, shown)


def without_secrets(uri: str) -> str:
    """Return ``uri`` without user, password and query: ``s3://key:secret@bucket/x?region=r`` is ``s3://bucket/x``."""
    foreign = _SCHEME.match(uri) and not uri.startswith("file:")
    return _SECRET.sub("", uri) if foreign else uri


@contextmanager
def errors(what: str, cure: str) -> Iterator[None]:
    """Turn whatever a file system raises into a StoreError that says what failed and what to do."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:  # file systems written in Python may raise anything
        raise StoreError(f"{what}: {reason(error)}; {cure}") from error


def reason(error: BaseException) -> str:
    """Return the first line of an error, or its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
