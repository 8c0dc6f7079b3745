"""One run becomes one file: written whole under another name, then renamed into place, never touched again.

The name is the time and 64 random bits, so writers on any number of machines never meet. A writer that dies
leaves at most a file that ends in ``.tmp``, which no reader opens.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from pytest_optbench import __version__
from pytest_optbench.private import scrub
from pytest_optbench.store import schema as decision_schema

from . import schema
from .location import Location, arrow, errors
from .trail import Entry, missing

SUFFIX: Final = ".parquet"
TEMPORARY_PREFIX: Final = ".optbench-"
TEMPORARY_SUFFIX: Final = ".tmp"
_CURE: Final = "name a place that can be written with --optbench-history=URI (ini key optbench_history)"


def check_writable(location: Location) -> None:
    """Return when a run can be written to ``location``, which is created; to be called before measuring.

    Raises StoreError naming the location and the cure.
    """
    probe = location.path(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    with errors(f"the history {location.shown} cannot be written", _CURE):
        location.filesystem.create_dir(location.base, recursive=True)
        _store(location, probe, b"")
        location.filesystem.delete_file(probe)


def write_run(
    location: Location,
    documents: Sequence[Mapping[str, Any]],
    held: Mapping[str, Sequence[Entry]] | None = None,
    name: str | None = None,
) -> str:
    """Write the decisions of one run as one new file and return its name; all of them or nothing.

    ``name`` is a `run_name`, None for a new one. ``held`` are the entries by id that the history holds already: of
    what a document says in ``earlier``, only the others are written. Raises SchemaError for a document that is not a
    decision, StoreError when the file cannot be written.
    """
    rows = []
    for doc in documents:
        decision_schema.validate(doc)
        earlier = missing(doc["earlier"], (held or {}).get(schema.text_key(doc["id"]), ()))
        rows.append(schema.row(scrub(doc), earlier))
    data = _encode(rows)
    name = name or run_name()
    temporary = location.path(f"{TEMPORARY_PREFIX}{name}{TEMPORARY_SUFFIX}")
    with errors(f"the run cannot be added to the history {location.shown}", _CURE):
        try:
            _store(location, temporary, data)
            location.filesystem.move(temporary, location.path(name))
            _sync_folder(location)
        except BaseException:
            with suppress(Exception):  # what could not be written often cannot be removed either
                location.filesystem.delete_file(temporary)
            raise
    return name


def run_name() -> str:
    """Return a name for the file of a run that nobody else has."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(8)}{SUFFIX}"


def _encode(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the Parquet file of these rows; every page carries a checksum."""
    pa, pq = arrow(), arrow("pyarrow.parquet")
    metadata = {schema.KEY: schema.VERSION.encode(), schema.WRITER: __version__.encode()}
    table = pa.Table.from_pylist(list(rows), schema=schema.arrow_schema().with_metadata(metadata))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue())


def _store(location: Location, path: str, data: bytes) -> None:
    with location.filesystem.open_output_stream(path, compression=None) as stream:
        stream.write(data)
    if _is_local(location):
        _sync(path)


def _sync_folder(location: Location) -> None:
    if _is_local(location):
        _sync(location.base)


def _is_local(location: Location) -> bool:
    return isinstance(location.filesystem, arrow("pyarrow.fs").LocalFileSystem)


def _sync(path: str) -> None:
    """Make a file or a rename survive a power cut, which pyarrow does not see to."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
