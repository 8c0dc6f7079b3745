"""Write a record batch as an Arrow IPC file that can be memory-mapped, and map such a file.

Uncompressed and in one batch: compression (the default of Feather) or several chunks would force a copy on
reading.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from optengine.frames.errors import FrameFormatError


def write_batch(batch: pa.RecordBatch, file: BinaryIO) -> None:
    """Write ``batch`` to ``file`` as one uncompressed Arrow IPC file."""
    options = pa.ipc.IpcWriteOptions(compression=None)
    with pa.ipc.new_file(pa.PythonFile(file, mode="w"), batch.schema, options=options) as writer:
        writer.write_batch(batch)


def map_batch(descriptor: int, source: str | Path) -> pa.RecordBatch:
    """The record batch stored in an open file, memory-mapped read-only; cost independent of its size.

    The mapping lives as long as any array made from it, whatever happens to the file. ``descriptor`` may be
    closed afterwards. ``source`` names the file in errors. Raises FrameFormatError when it is not such a
    file.
    """
    try:
        mapped = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped)))
        batches = reader.num_record_batches
        if batches == 1:
            return reader.get_batch(0)
    except (ValueError, pa.ArrowException) as error:
        raise FrameFormatError(f"{source} must be an uncompressed Arrow IPC file; {error}") from error
    raise FrameFormatError(f"{source} must hold one record batch; it holds {batches}")
