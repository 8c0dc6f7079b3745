"""The index of a folder: every path below the root with its kind and stat, taken once. Pure but for
:func:`scan`.

Rules see the folder through this index only, so all of them see the same moment. Ignored names (version
control, caches, environments) do not exist for rules. Symbolic links to files read as files; links to folders
are not followed. Paths are POSIX strings relative to the root; the root itself is ``"."``.
"""

from __future__ import annotations

import fnmatch
import functools
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from optengine.rules.errors import RulesUsageError

#: Names that are never part of a validated tree unless the caller passes other ignores.
IGNORED_NAMES = (
    *(".git", ".hg", ".svn", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"),
    *(".tox", ".nox", ".venv", "node_modules", ".eggs", "*.egg-info", ".coverage", ".coverage.*"),
)

#: Stars, a set such as ``[!a-z]`` or ``[]]``, or one letter.
_TOKENS = re.compile(r"\*+|\[!?\]?[^\]]*\]|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """One path: ``kind`` is file, dir, link (to a folder, or dangling) or other; the rest identifies its
    version."""

    kind: str
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    inode: int = 0

    @property
    def version(self) -> tuple[int, int, int, int]:
        """What must be unchanged for the content to be taken as unchanged without reading it."""
        return (self.size, self.mtime_ns, self.ctime_ns, self.inode)


class FileIndex:
    """Every path below a root. Immutable; answers what exists, what a folder holds and what a glob
    matches."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries: dict[str, Entry] = {".": Entry("dir"), **entries}
        self._children: dict[str, list[str]] | None = None
        self._globs: dict[str, tuple[str, ...]] = {}

    def kind(self, path: str) -> str:
        """``file``, ``dir``, ``link``, ``other`` or ``absent``."""
        entry = self.entries.get(path)
        return "absent" if entry is None else entry.kind

    def files(self) -> Iterator[str]:
        """Paths of all files, sorted."""
        return (path for path in sorted(self.entries) if self.entries[path].kind == "file")

    def children(self, path: str) -> list[str]:
        """Names in the folder *path*, sorted; empty when it is not a folder."""
        if self._children is None:
            children: dict[str, list[str]] = {}
            for each in sorted(self.entries):
                if each != ".":
                    parent, _, name = each.rpartition("/")
                    children.setdefault(parent or ".", []).append(name)
            self._children = children
        return self._children.get(path, [])

    def glob(self, pattern: str) -> tuple[str, ...]:
        """Sorted paths of files and folders that match *pattern*; see :func:`compile_glob`."""
        found = self._globs.get(pattern)
        if found is None:
            matches = compile_glob(pattern).match
            found = tuple(path for path in sorted(self.entries) if path != "." and matches(path))
            self._globs[pattern] = found
        return found


def normal_path(path: str | os.PathLike[str]) -> str:
    """*path* as this index writes it.

    Raises:
        ValueError: it is absolute or leaves the root, so it cannot be recorded.
    """
    text = os.fspath(path).replace(os.sep, "/")
    if text.startswith("/"):
        raise ValueError(f"Paths must be relative to the validated root; received {text!r}.")
    parts: list[str] = []
    for part in text.split("/"):
        if part == "..":
            if not parts:
                raise ValueError(f"Paths must stay below the validated root; received {text!r}.")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) or "."


@functools.lru_cache(maxsize=4096)
def compile_glob(pattern: str) -> re.Pattern[str]:
    """A regular expression for a glob over whole relative paths.

    ``*``, ``?`` and ``[...]`` stay within one path segment, ``**`` spans any number of segments (also none),
    and ``{a,b}`` means either, which ``pathlib`` silently never matches. Names that start with a dot match
    like any other.

    Raises:
        ValueError: the pattern is empty, absolute or has an unbalanced brace.
    """
    if not pattern or pattern.startswith("/"):
        raise ValueError(f"A glob must be a relative pattern such as '**/*.py'; received {pattern!r}.")
    alternatives = [_translate(normal_path(one)) for one in _expand_braces(pattern)]
    return re.compile(r"(?s:" + "|".join(alternatives) + r")\Z")


def _translate(pattern: str) -> str:
    parts = pattern.split("/")
    result = ""
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        if part == "**":
            result += ".+" if last else "(?:[^/]+/)*"
        else:
            result += "".join(map(_translate_one, _TOKENS.findall(part)))
            result += "" if last else "/"
    return result


def _translate_one(token: str) -> str:
    """A star, a question mark, a set or a plain letter as a regular expression that never matches a slash."""
    if token.startswith("*"):
        return "[^/]*"
    if token == "?":
        return "[^/]"
    if len(token) == 1:
        return re.escape(token)
    whole = fnmatch.translate(token)  # what a set means is Python's business, ranges and all
    return "(?!/)" + whole.removeprefix("(?s:").removesuffix(r")\Z").removesuffix(r")\z")


def _expand_braces(pattern: str) -> list[str]:
    if "{" not in pattern and "}" not in pattern:
        return [pattern]
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        raise ValueError(f"Braces of a glob must be balanced; received {pattern!r}.")
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [one for choice in found.group(1).split(",") for one in _expand_braces(before + choice + after)]


def scan(root: Path, ignored: Iterable[str] = IGNORED_NAMES, without: Iterable[str] = ()) -> FileIndex:
    """The index of *root* as it is now.

    Args:
        root: the folder.
        ignored: patterns of names that do not exist for rules, wherever they are.
        without: relative paths that do not exist for rules.

    Cost: one directory listing per folder and one stat per file; no file is opened.

    Raises:
        RulesUsageError: *root* is not a folder, or something in it cannot be looked at.
    """
    if not root.is_dir():
        raise RulesUsageError(f"The root to validate must be a folder; received {str(root)!r}.")
    skip = re.compile("|".join(fnmatch.translate(name) for name in ignored) or r"(?!)").match
    left_out = set(without)
    entries: dict[str, Entry] = {}
    waiting = [(str(root), "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            found = list(os.scandir(folder))
        except OSError as error:
            if prefix and isinstance(error, FileNotFoundError | NotADirectoryError):
                entries.pop(prefix.rstrip("/"))  # it went between two looks
                continue
            raise _unreadable(prefix.rstrip("/") or ".", error) from error
        for item in found:
            name = item.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            if skip(name) or prefix + name in left_out:
                continue
            if name != item.name:  # not UTF-8: it cannot be read by name, but must not be taken for absent
                entries[prefix + name] = Entry("other")
                continue
            try:
                entry = _entry(item)
            except OSError as error:
                raise _unreadable(prefix + name, error) from error
            if entry.kind == "absent":
                continue
            entries[prefix + name] = entry
            if entry.kind == "dir":
                waiting.append((item.path, f"{prefix}{name}/"))
    return FileIndex(entries)


def _unreadable(name: str, error: OSError) -> RulesUsageError:
    """Never taken for absent: without its files rules would pass that should fail."""
    return RulesUsageError(
        f"Everything below the root must be readable; {name!r} is not: {error.strerror}. "
        "Change that, or leave it out by its name (ignored=...)."
    )


def _entry(item: os.DirEntry[str]) -> Entry:
    if item.is_symlink():
        try:
            info = Path(item.path).stat()
        except OSError:  # it leads nowhere, in a circle, or where nobody may look
            return Entry("link")
        if not stat.S_ISREG(info.st_mode):
            return Entry("link")
    else:
        try:
            info = item.stat(follow_symlinks=False)
        except FileNotFoundError:  # it went between two looks
            return Entry("absent")
    if stat.S_ISDIR(info.st_mode):
        return Entry("dir")
    kind = "file" if stat.S_ISREG(info.st_mode) else "other"
    return Entry(kind, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
