"""Address space: where the kernel puts libraries and memory of a new program, drawn once for all children of a pair.

A kernel that randomizes addresses does so for every process by itself, and one place can cost a tenth more than
another: caches and branch predictors go by address. Of two processes that run the very same code one then is slower
for as long as it lives. Here randomizing is left off while the children of a pair are started and the distance of
memory from the stack is drawn instead, the same one for all of them and another one for the next pair: what layout
does to both cancels inside a pair, and what it does to code that differs still varies from pair to pair.

Linux places memory below the stack's limit, so that limit is what is drawn; the child puts it back at once.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

from .channel import STACK

if sys.platform != "win32":
    import resource

PAGES: Final = 2**18
"""How many places may be drawn, a page apart: 1 GiB, because large libraries begin at multiples of 2 MiB."""
_LEAST: Final = 2**27  # below this the limit moves nothing
_PAGE: Final = 4096
_NO_RANDOMIZE: Final = 0x0040000
_ASK: Final = 0xFFFFFFFF
_THREAD: Final = 2**23
_ATTRIBUTES: Final = 64  # bytes of a pthread_attr_t, and some


@contextmanager
def drawn_address_space(page: int) -> Iterator[Mapping[str, str]]:
    """Have programs that this thread starts in the body use the addresses number ``page`` (below `PAGES`).

    Yield what their environment must say, for `as_before`. Where the system does not allow it (not Linux, a
    container that forbids it, a hard limit of the stack that is too low) nothing is changed and nothing yielded.
    """
    libc = _libc()
    if libc is None:
        yield {}
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = _LEAST + page * _PAGE
    persona = libc.personality(_ASK)
    if persona < 0 or not (hard == resource.RLIM_INFINITY or hard >= wanted):
        yield {}
        return
    if libc.personality(persona | _NO_RANDOMIZE) < 0:
        yield {}
        return
    try:
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))
        yield {STACK: f"{soft},{persona}"}
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
        libc.personality(persona)


def as_before(environment: MutableMapping[str, str]) -> None:
    """Put back, in the child, the stack's limit and what the programs it starts inherit."""
    told = environment.pop(STACK, "")
    libc = _libc()
    if not told or libc is None:
        return
    soft, persona = map(int, told.split(","))
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
    libc.personality(persona)
    if hasattr(libc, "pthread_setattr_default_np"):
        # The C library has taken the limit it was started with for the size of the stacks of threads.
        attributes = ctypes.create_string_buffer(_ATTRIBUTES)
        libc.pthread_getattr_default_np(attributes)
        libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(soft if soft > 0 else _THREAD))
        libc.pthread_setattr_default_np(attributes)


def _libc() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
