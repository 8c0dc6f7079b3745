"""The alarm for rules that look at something without saying so.

A Python audit hook sees every file opened, folder listed, process started and socket connected. While a rule
runs, an event that did not come through its context is written to the rule's recorder, and the rule is not
cached. The hook is the alarm, not the recorder: it cannot see ``os.stat``, so a rule gets no path to the tree
unless it asks for ``ctx.root``, which by itself marks it as unrecorded. Imports are recognised by their
caller and left to the digest of the code. An audit hook cannot be removed; while no rule is watched it
returns at once.
"""

from __future__ import annotations

import importlib.machinery
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_EVENTS: Final = frozenset(
    {
        *("open", "os.listdir", "os.scandir", "os.walk", "os.fwalk", "glob.glob", "pathlib.Path.glob"),
        *("subprocess.Popen", "os.system", "os.posix_spawn", "os.spawn", "os.exec", "os.fork", "os.forkpty"),
        *(
            "socket.connect",
            "socket.getaddrinfo",
            "socket.gethostbyname",
            "urllib.Request",
            "sqlite3.connect",
        ),
        *(
            "ctypes.dlopen",
            "ctypes.dlsym",
            "os.chdir",
            "os.remove",
            "os.rename",
            "os.mkdir",
            "os.rmdir",
            "os.putenv",
            "os.unsetenv",
        ),
        *("shutil.copyfile", "shutil.rmtree", "shutil.move", "mmap.__new__"),
    }
)
_IMPORTERS: Final = (
    "<frozen importlib._bootstrap_external>",
    "<frozen importlib._bootstrap>",
    "<frozen zipimport>",
)
_LIBRARIES: Final = tuple(
    {str(Path(sysconfig.get_paths()[key])) + "/" for key in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_CODE: Final = (*importlib.machinery.all_suffixes(), ".zip", ".whl", ".egg", ".pyz")
_KEPT = 5

# Per watched thread, the open watches: where to write, and the threads that existed when the watch began.
_watched: dict[int, list[tuple[list[str], frozenset[int]]]] = {}
_muted: set[int] = set()
_rule_threads: set[int] = set()
_root_prefix = ""
_installed = False
_install_lock = threading.Lock()


def install(root: Path) -> None:
    """Make the alarm work in this process. Imports from below *root* count as reads of the tree."""
    global _installed, _root_prefix
    with _install_lock:
        _root_prefix = f"{root}/"
        if not _installed:
            sys.addaudithook(_hook)
            _installed = True


@contextmanager
def watching(found: list[str]) -> Iterator[None]:
    """While open, unrecorded accesses by this thread, and by threads that rules started, are appended to
    *found*."""
    thread = threading.get_ident()
    before = _threads()
    stack = _watched.setdefault(thread, [])
    stack.append((found, before))
    try:
        yield
    finally:
        stack.pop()
        if not stack:
            _watched.pop(thread, None)
        now = _threads()
        _rule_threads.intersection_update(now)
        _rule_threads.update(now - before)


def _threads() -> frozenset[int]:
    """Threads that run now. One that ``threading`` does not know counts as a rule's, which is the safe error.

    Not ``sys._current_frames``: up to Python 3.11.7 the interpreter hangs when it collects garbage in there.
    """
    return frozenset(thread.ident for thread in threading.enumerate() if thread.ident is not None)


@contextmanager
def muted() -> Iterator[None]:
    """While open, accesses of this thread are the context's own and recorded by it."""
    thread = threading.get_ident()
    nested = thread in _muted
    _muted.add(thread)
    try:
        yield
    finally:
        if not nested:
            _muted.discard(thread)


def _hook(event: str, args: tuple[object, ...]) -> None:
    if not _watched or event not in _EVENTS:
        return
    thread = threading.get_ident()
    if thread in _muted or _is_import(event, args):
        return
    stack = _watched.get(thread)
    if stack is not None:
        _note(stack[-1][0], event, args)
        return
    for other in list(_watched.values()):
        found, before = other[-1]
        if thread in _rule_threads or thread not in before:
            _note(found, event, args)


def _note(found: list[str], event: str, args: tuple[object, ...]) -> None:
    if len(found) < _KEPT:
        found.append(f"{event} {args[0] if args else ''!s}"[:300])


def _is_import(event: str, args: tuple[object, ...]) -> bool:
    """Whether the import machinery itself asks, and not for a module that is part of the validated tree.

    A loader also reads data that lies beside modules, for ``pkgutil.get_data`` and the like: that is a look.
    """
    if event not in ("open", "os.listdir", "os.mkdir", "os.rename"):
        return False
    try:
        caller = sys._getframe(2)
    except ValueError:
        return False
    if caller.f_code.co_filename not in _IMPORTERS:
        return False
    if isinstance(args[0], int):  # what it opened before, to write byte code
        return True
    path = str(args[0])
    # While byte code is written its name has a number behind it.
    if event != "os.listdir" and not (path.endswith((*_CODE, "__pycache__")) or ".pyc." in path):
        return False
    return path.startswith(_LIBRARIES) or not path.startswith(_root_prefix)
