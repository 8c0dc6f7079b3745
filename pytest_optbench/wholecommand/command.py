"""What is run: the words of a command, split as a shell would but run without one unless asked."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shlex
import shutil
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_SHELL: Final = "/bin/sh"
_OPERATORS: Final = "|&;<>"
_LARGEST_HASHED: Final = 64 * 2**20
_NO_FILE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
"""What the system says of a word that names no file."""


class CommandError(ValueError):
    """A command cannot be run as it is written."""


@dataclass(frozen=True)
class Command:
    """A program with its arguments.

    ``text`` is what the user wrote, ``program`` the file that is run, ``shown`` the command for documents: absolute
    paths are relative to the folder it runs in, or cut to their last part.
    """

    text: str
    words: tuple[str, ...]
    program: str
    shown: str
    shell: bool = False

    @classmethod
    def parse(cls, text: str, cwd: Path, *, shell: bool = False) -> Command:
        """Return the command ``text`` stands for; raises `CommandError` with the cure.

        Without ``shell`` the words are split by the rules of `shlex` and nothing is expanded. A program without a
        slash is looked up in PATH, another one relative to ``cwd``.
        """
        if "\0" in text or not text.strip():
            raise CommandError(f"a command must name a program, received {text!r}")
        if shell:
            return cls(text, (_SHELL, "-c", text), _SHELL, _shown(text.split(" "), cwd, " ".join), True)
        try:
            words = tuple(shlex.split(text))
        except ValueError as error:
            raise CommandError(
                f"a command must be words with balanced quotes, received {text!r}: {error}"
            ) from None
        operator = _operator(text)
        if operator:
            raise CommandError(
                f"a command is run without a shell, received {text!r} with {operator!r}; add --shell to run it by "
                f"{_SHELL}, or put quotes around {operator!r} if the program is to see it"
            )
        return cls(
            text, words, _program(words[0] if words else "", cwd, text), _shown(words, cwd, shlex.join)
        )

    def code(self, cwd: Path) -> dict[str, Any]:
        """Return name and SHA-256 of the program and of every argument that is a file, in one digest.

        The digest is None, unknown, when one of the files cannot be read or has more than 64 MiB: it would not tell
        that file's versions apart.
        """
        digest = hashlib.sha256()
        unknown = False
        for word in (self.program, *self.words[1:]):
            path = Path(cwd, word)
            try:
                found = path.stat()
                if stat.S_ISREG(found.st_mode):
                    unknown |= found.st_size > _LARGEST_HASHED
                    digest.update(b"" if unknown else hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                unknown |= error.errno not in _NO_FILE
            except ValueError:
                pass  # what the system would not take for a path is none
            digest.update(b"\0" if path == Path(self.program) else word.encode("utf-8", "surrogateescape"))
        sha256 = None if unknown else digest.hexdigest()
        return {"name": self.shown, "file": None, "line": None, "sha256": sha256}


def _program(word: str, cwd: Path, text: str) -> str:
    found = shutil.which(str(Path(cwd, word))) if "/" in word else shutil.which(word)
    if not word or found is None:
        raise CommandError(
            f"a command must start with a program that can be run, received {text!r}: {word!r} is not one; "
            "give its path, or add --shell for what only a shell knows"
        )
    return os.path.abspath(found)  # noqa: PTH100 - a link keeps its name: some programs look at it


def _operator(text: str) -> str | None:
    """Return the first operator of a shell outside quotes."""
    tokens = shlex.shlex(text, posix=False, punctuation_chars=_OPERATORS)
    tokens.whitespace_split = True
    tokens.commenters = ""
    return next((token for token in tokens if set(token) <= set(_OPERATORS)), None)


def _shown(words: Iterable[str], cwd: Path, join: Callable[[Iterable[str]], str]) -> str:
    return join(_without_folders(word, cwd) for word in words)


def _without_folders(word: str, cwd: Path) -> str:
    head, equals, tail = word.rpartition("=")  # --config=/place/of/a.toml
    path = Path(tail)
    if not path.is_absolute():
        return _home().sub("~", word)
    short = path.relative_to(cwd).as_posix() if path.is_relative_to(cwd) else path.name
    return f"{_home().sub('~', head)}{equals}{short}"


def _home() -> re.Pattern[str]:
    """Return a pattern for the home folder inside other text: code given with -c, lists of folders."""
    home = os.path.expanduser("~").rstrip("/")  # noqa: PTH111 - Path.home raises where there is none
    return re.compile(re.escape(home) + r"(?![\w.-])" if home else r"(?!)")
