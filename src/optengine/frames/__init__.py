"""Shared-memory DataFrames: stored once, attached everywhere in constant time, read-only.

    owner process                                   workers (any start method)
    SharedFrame.create(df)
      encode: pandas -> one Arrow record batch
      write:  Arrow IPC, uncompressed, one batch
      segment: sealed anonymous memory  ◄── mmap ──  SharedFrame.attach(handle)
      handle ──────────── pickle, < 1 kB ─────────►    .frame   pandas over the mapped bytes
                                                       .table   Arrow over the mapped bytes

Ownership: the process that created the frame releases it, once. Lifetime: views keep the bytes alive after
that; attaching after it is an error. Nothing has a name, so nothing can be left over.
"""

from optengine.frames.errors import FrameError, FrameFormatError, SharedFrameClosed, UnsupportedColumn
from optengine.frames.shared import AttachedFrame, FrameHandle, SharedFrame

__all__ = [
    "AttachedFrame",
    "FrameError",
    "FrameFormatError",
    "FrameHandle",
    "SharedFrame",
    "SharedFrameClosed",
    "UnsupportedColumn",
]
