"""What git knows of the repository that is tested: its root, its revisions, what changed, what is ignored.

Only reads, and never refreshes the user's index. Hooks are switched off: a checkout made for measuring is
nobody's event.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import filterfalse
from pathlib import Path, PurePosixPath
from typing import Final

from .errors import RevisionError

# Set by git for its hooks: inherited, they would turn every command here to another repository or index.
_LOCAL: Final = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX", "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX",
        "GIT_QUARANTINE_PATH", "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
    }
)  # fmt: skip
_COMPILED: Final = frozenset({".so", ".pyd", ".dll", ".dylib", ".o", ".obj", ".a", ".lib", ".pyc", ".pyo"})
TIMEOUT_S: Final = 600.0


@dataclass(frozen=True)
class Commit:
    """A commit of the repository: the revision as it was written, its id and the id of its tree."""

    revision: str
    commit: str
    tree: str


@dataclass(frozen=True)
class Submodule:
    """A submodule of a commit: its folder (relative, POSIX) and the commit recorded for it."""

    path: str
    commit: str


@dataclass(frozen=True)
class Repository:
    """A git working tree, by its absolute root."""

    root: Path

    @classmethod
    def of(cls, folder: Path) -> Repository:
        """Return the repository whose working tree holds ``folder``.

        Raises `RevisionError` when git is missing, or the folder lies in no working tree git trusts.
        """
        try:
            found = _run(folder, "rev-parse", "--show-toplevel")
        except FileNotFoundError as error:
            raise RevisionError(
                "--optbench-base needs the git command, which is not on the PATH; install git"
            ) from error
        root = os.fsdecode(found.stdout).removesuffix("\n")
        if found.returncode or not root:
            raise RevisionError(
                f"--optbench-base needs the tests to lie in a git working tree, received {str(folder)!r}: "
                f"{_said(found)}; run pytest inside the repository"
            )
        return cls(Path(root).resolve())

    def git(self, *words: str) -> bytes:
        """Return the output of a git command run in the root; raises `RevisionError` with git's own words."""
        done = _run(self.root, *words)
        if done.returncode:
            raise RevisionError(f"git {' '.join(words[:3])} failed in {self.root}: {_said(done)}")
        return done.stdout

    def resolve(self, revision: str) -> Commit:
        """Return the commit that ``revision`` names; ``REV...`` names the merge base of REV and HEAD.

        Raises `RevisionError` with the cure: a shallow clone lacks history, a remote branch needs its remote.
        """
        named = revision
        if revision.endswith("..."):
            named = self._merge_base(revision)
        found = _run(self.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{named}^{{commit}}")
        if found.returncode:
            raise RevisionError(
                f"--optbench-base: {revision!r} is no commit of this repository{self._cure(named)}"
            )
        commit = found.stdout.decode().strip()
        tree = self.git("rev-parse", "--verify", f"{commit}^{{tree}}").decode().strip()
        return Commit(revision, commit, tree)

    def head(self) -> Commit:
        """Return the commit that is checked out; raises `RevisionError` in a repository without commits."""
        return self.resolve("HEAD")

    def files(self) -> list[str]:
        """Return the files of the working tree that git tracks or does not ignore, relative, sorted."""
        listed = self.git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        return sorted({name for name in _names(listed) if _exists(self.root / name)})

    def ignored(self) -> list[str]:
        """Return ignored files and folders (with a final slash) of the working tree."""
        return _names(
            self.git("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
        )

    def changed(self, base: Commit, apart: Collection[str] = ()) -> list[str]:
        """Return the files that differ between ``base`` and the working tree, untracked ones included.

        Not those in folders of ``apart`` (relative to the root), nor compiled files that git does not track: they
        are made from something else.
        """
        # --no-renames: a moved file is two differences; --ignore-submodules=none: a dirty submodule is one.
        diff = self.git(
            "diff",
            "-z",
            "--name-only",
            "--no-renames",
            "--no-ext-diff",
            "--ignore-submodules=none",
            base.commit,
            *_but(apart),
        )
        return sorted({*_names(diff), *filterfalse(_is_compiled, self.untracked(apart))})

    def dirt(self, apart: Collection[str] = ()) -> str | None:
        """Return a digest of everything in the working tree that HEAD does not hold; None when it is clean.

        What lies in folders of ``apart`` (relative to the root) is no part of it.
        """
        words = ("diff", "--binary", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none", "HEAD")
        diff = self.git(*words, *_but(apart))
        untracked = self.untracked(apart)
        if not diff and not untracked:
            return None
        digest = hashlib.sha256(diff)
        for name in untracked:
            digest.update(b"\0" + os.fsencode(name) + b"\0" + _content(self.root / name))
        return digest.hexdigest()

    def submodules(self, commit: str) -> list[Submodule]:
        """Return the submodules that ``commit`` records."""
        found = []
        for entry in self.git("ls-tree", "-r", "-z", commit).split(b"\0"):
            facts, tab, path = entry.partition(b"\t")
            if tab and facts.startswith(b"160000 "):
                found.append(Submodule(os.fsdecode(path), facts.split()[2].decode()))
        return found

    def tracked(self) -> frozenset[str]:
        """Return the files that git tracks, relative."""
        return frozenset(_names(self.git("ls-files", "-z", "--cached")))

    def untracked(self, apart: Collection[str] = ()) -> list[str]:
        """Return the files git neither tracks nor ignores, relative, sorted; not those in folders of ``apart``."""
        return sorted(_names(self.git("ls-files", "-z", "--others", "--exclude-standard", *_but(apart))))

    def _merge_base(self, revision: str) -> str:
        named = revision.removesuffix("...")
        found = _run(self.root, "merge-base", "--end-of-options", named, "HEAD")
        if found.returncode == 0:
            return found.stdout.decode().strip()
        raise RevisionError(
            f"--optbench-base: {named!r} and HEAD have no common commit in this repository{self._cure(named)}"
        )

    def _cure(self, revision: str) -> str:
        """Return what would make an unknown revision known."""
        if self.git("rev-parse", "--is-shallow-repository").strip() == b"true":
            return (
                ": this is a shallow clone, so older commits are missing; fetch them with "
                "'git fetch --deepen=100' (or --unshallow), or check out with fetch-depth: 0"
            )
        remotes = (
            self.git("for-each-ref", "--format=%(refname:short)", f"refs/remotes/*/{revision}")
            .decode()
            .split()
        )
        if remotes:
            return f"; the remote branch is called {remotes[0]!r}: write --optbench-base={remotes[0]}"
        return "; check the spelling, or fetch it: git fetch origin REV && pytest --optbench-base=FETCH_HEAD"


def environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for git: English, no prompts, no index refresh, no repository from outside."""
    source = os.environ if given is None else given
    kept = {name: value for name, value in source.items() if name not in _LOCAL}
    return kept | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}


def _run(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    command = [
        "git",
        "-C",
        os.fspath(folder),
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.fsmonitor=false",
        *words,
    ]
    return subprocess.run(
        command,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    text = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
    return "; ".join(text.splitlines()[-3:])


def _but(apart: Collection[str]) -> list[str]:
    """Return the words that leave out folders."""
    return ["--", ":/", *(f":(exclude,top,literal){folder}" for folder in apart)] if apart else []


def _is_compiled(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix in _COMPILED or "__pycache__" in path.parts


def _names(listed: bytes) -> list[str]:
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _content(path: Path) -> bytes:
    try:
        return os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
    except (IsADirectoryError, FileNotFoundError):  # a nested repository, or gone in between
        return b""


__all__: Sequence[str] = ["Commit", "Repository", "Submodule", "environment"]
