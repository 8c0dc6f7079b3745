"""The shared segment: file index, contents and run-wide inputs in one read-only block that every worker maps.

    parent                                         worker
    scan, read, hash  -> | magic, header length |
    build run inputs     | header (JSON)        | -> mapped read-only, header parsed once
    write once, seal     | raw bytes ...        | -> contents are slices at (offset, length)

The parent owns the block and frees it; a worker's mapping stays valid until the worker drops it. Nothing in
it is unpickled. Files above a size limit are left out and read from the disk by whoever needs them.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from optengine.rules.errors import RuleSetError
from optengine.rules.scratch import ScratchFile
from optengine.rules.snapshot import DiskSnapshot
from optengine.rules.trace import Recorder, Scene, Trace
from optengine.rules.tree import Entry, FileIndex

MAGIC = b"OPTRULE1"
_HEAD = struct.Struct("<8sQ")
#: A run-wide input as bytes, with what was looked at to build it.
RunInput = tuple[bytes | memoryview, Recorder, Trace | None]
MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_TOTAL_BYTES = 512 * 1024 * 1024


class SegmentError(RuleSetError):
    """The shared segment cannot be attached; workers then read from the disk and say so."""


@dataclass(frozen=True)
class Segment:
    """A filled segment in its owner. ``handle`` is what workers attach by; ``left_out`` counts files not in
    it."""

    scratch: ScratchFile
    bytes: int
    files: int
    left_out: int

    @property
    def handle(self) -> str:
        """Path that workers of the same user open."""
        return self.scratch.path

    def close(self) -> None:
        """Free the owner's part."""
        self.scratch.close()


def create(
    snapshot: DiskSnapshot,
    wanted: Iterable[str],
    run_inputs: Callable[[], Mapping[str, RunInput]],
) -> Segment:
    """Put the index, the files *wanted* and the *run_inputs* into a new sealed segment.

    Cost: reads every wanted file once, then asks for the inputs, which may be built meanwhile. Files that cannot be
    read are left out; rules meet the error themselves.
    """
    contents: list[bytes | memoryview] = []
    table: dict[str, tuple[int, int, str]] = {}
    offset = left_out = 0
    for path in wanted:
        size = snapshot.index.entries[path].size
        if size > MAX_FILE_BYTES or offset + size > MAX_TOTAL_BYTES:
            left_out += 1
            continue
        try:
            data = snapshot.content(path)
        except OSError:
            left_out += 1
            continue
        table[path] = (offset, len(data), snapshot.file_digest(path))
        contents.append(data)
        offset += len(data)
    inputs: dict[str, Any] = {}
    for name, (encoded, recorder, trace) in run_inputs().items():
        inputs[name] = [offset, len(encoded), recorder.unrecorded, recorder.saw_anything, trace_json(trace)]
        contents.append(encoded)
        offset += len(encoded)
    header = json.dumps(
        {
            "entries": {path: astuple(entry) for path, entry in snapshot.index.entries.items()},
            "files": table,
            "inputs": inputs,
        },
        separators=(",", ":"),
    ).encode("ascii")
    scratch = ScratchFile("rules")
    try:
        for block in (_HEAD.pack(MAGIC, len(header)), header, *contents):
            write_all(scratch.fd, block)
        scratch.seal()
    except BaseException:
        scratch.close()
        raise
    return Segment(scratch, _HEAD.size + len(header) + offset, len(table), left_out)


class SegmentSnapshot:
    """The tree as the segment holds it; files that were left out are read from the disk."""

    def __init__(self, handle: str, root: Path) -> None:
        """Map the segment behind *handle*.

        Raises:
            SegmentError: it does not exist any more or is not a segment.
        """
        began = time.perf_counter()
        try:
            fd = os.open(handle, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            try:
                self._map = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
            finally:
                os.close(fd)
        except (OSError, ValueError) as error:
            raise SegmentError(f"The shared segment must be readable at {handle!r}; {error}.") from error
        self._view = memoryview(self._map)
        magic, header_length = _HEAD.unpack_from(self._view)
        if magic != MAGIC:
            raise SegmentError(f"The shared segment must begin with {MAGIC!r}; received {magic!r}.")
        header = json.loads(bytes(self._view[_HEAD.size : _HEAD.size + header_length]))
        self._base = _HEAD.size + header_length
        self._files: dict[str, list[Any]] = header["files"]
        self._inputs: dict[str, list[Any]] = header["inputs"]
        self.index = FileIndex(
            {path: Entry(*fields) for path, fields in header["entries"].items() if path != "."}
        )
        self._disk = DiskSnapshot(root, self.index)
        self.mapped_bytes = len(self._view)
        self.attach_s = time.perf_counter() - began

    def content(self, path: str) -> bytes:
        """Bytes of the file, copied out of the mapping."""
        place = self._files.get(path)
        if place is None:
            return self._disk.content(path)
        start = self._base + place[0]
        return bytes(self._view[start : start + place[1]])

    def file_digest(self, path: str) -> str:
        """Digest of the file's bytes as the parent computed it."""
        place = self._files.get(path)
        return self._disk.file_digest(path) if place is None else str(place[2])

    def run_inputs(self) -> dict[str, tuple[memoryview, Recorder, Trace | None]]:
        """Run-wide inputs with what was looked at to build them."""
        found: dict[str, tuple[memoryview, Recorder, Trace | None]] = {}
        for name, (offset, length, unrecorded, saw_anything, trace) in self._inputs.items():
            recorder = Recorder(Scene(self), keep=False)
            recorder.unrecorded = list(unrecorded)
            recorder.saw_anything = bool(saw_anything)
            start = self._base + offset
            found[name] = (self._view[start : start + length], recorder, trace_of(trace))
        return found


def trace_json(trace: Trace | None) -> Any:
    """*trace* as JSON data."""
    if trace is None:
        return None
    return [[list(one) for one in trace.records], [trace_json(part) for part in trace.parts]]


def trace_of(data: Any) -> Trace | None:
    """The trace behind :func:`trace_json`."""
    if data is None:
        return None
    records, parts = data
    inner = tuple(part for part in map(trace_of, parts) if part is not None)
    return Trace(tuple((str(a), str(b), str(c)) for a, b, c in records), inner)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of *data* to the descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
