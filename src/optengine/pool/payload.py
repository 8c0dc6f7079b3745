"""Objects to bytes and back: plain pickle first, cloudpickle when that fails, large buffers into shared memory.

Every object is pickled on its own, so tasks of one chunk never share a mutable argument, and one object that
cannot travel spoils only its own task. Small immutable values (``ATOMS``) need no pickle of their own.
"""

from __future__ import annotations

import pickle
import reprlib
from collections.abc import Callable
from typing import Any, Protocol

from optengine.pool.protocol import Payload

ATOMS = frozenset({int, float, bool, complex, type(None)})
TEXT = frozenset({str, bytes})
TEXT_ATOM_LIMIT = 1024
OUT_OF_BAND_MIN = 1 << 15


class Writer(Protocol):
    """Where large buffers go."""

    def put(self, buffer: memoryview | bytes) -> tuple[int, int] | None:
        """Copy ``buffer`` in and return its (offset, size); ``None`` when there is no room."""

    def free(self, offset: int) -> None:
        """Make the region at ``offset`` available again."""


class Reader(Protocol):
    """Where large buffers come from."""

    def take(self, offset: int, size: int) -> Any:
        """A buffer with the region's bytes."""


def is_atom(value: Any) -> bool:
    """Whether ``value`` may be sent as it is, sharing a pickle with others."""
    kind = type(value)
    return kind in ATOMS or (kind in TEXT and len(value) <= TEXT_ATOM_LIMIT)


def function_blob(function: Callable[..., Any], *, by_value: bool) -> bytes:
    """Pickle of a function. With ``by_value`` what lives in ``__main__`` travels as code.

    Raises whatever pickle raises when neither way works.
    """
    return _dumps(function, None, by_value=by_value, fallback=True)


def pack(value: Any, writer: Writer, *, by_value: bool, fallback: bool) -> Payload:
    """``value`` as a payload; buffers of 32 KiB and more lie in ``writer``'s memory as long as it has room.

    ``fallback`` allows cloudpickle for what plain pickle refuses. Raises whatever pickle raises.
    """
    regions: list[tuple[int, int]] = []

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < OUT_OF_BAND_MIN:
            return True
        region = writer.put(raw)
        if region is None:
            return True
        regions.append(region)
        return False

    def give_back() -> None:
        for offset, _ in regions:
            writer.free(offset)
        regions.clear()

    try:
        blob = _dumps(value, keep_in_band, by_value=by_value, fallback=fallback, retry=give_back)
    except BaseException:
        give_back()
        raise
    if len(blob) >= OUT_OF_BAND_MIN:
        region = writer.put(blob)
        if region is not None:
            return Payload(None, (region, *regions))
    return Payload(blob, tuple(regions))


def unpack(payload: Payload, reader: Reader) -> Any:
    """The object in ``payload``. Raises whatever rebuilding it raises."""
    blob, regions = payload
    if not regions:
        return pickle.loads(blob)  # type: ignore[arg-type]  # noqa: S301 - written by our own peer
    buffers = [reader.take(offset, size) for offset, size in regions]
    if blob is None:
        return pickle.loads(buffers[0], buffers=buffers[1:])  # noqa: S301
    return pickle.loads(blob, buffers=buffers)  # noqa: S301


def _dumps(
    value: Any,
    callback: Callable[[pickle.PickleBuffer], bool] | None,
    *,
    by_value: bool,
    fallback: bool,
    retry: Callable[[], None] | None = None,
) -> bytes:
    try:
        blob = pickle.dumps(value, 5, buffer_callback=callback)
    except Exception:  # what cloudpickle says then is raised: it tries the same and more
        if not fallback:
            raise
    else:
        if not (by_value and b"__main__" in blob):
            return blob
    if retry is not None:
        retry()
    import cloudpickle

    cloud: bytes = cloudpickle.dumps(value, 5, buffer_callback=callback)
    return cloud


_short = reprlib.Repr()
_short.maxother = _short.maxstring = 120


def describe(value: Any) -> str:
    """Short ``repr`` for messages, also of huge objects; never raises."""
    try:
        return _short.repr(value)
    except Exception as error:  # noqa: BLE001 - a repr may do anything; the message must still be written
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
