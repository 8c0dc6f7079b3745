"""A checkout of one commit for the time of a run: `git worktree` in the folder for temporary files.

    <tmp>/optbench-XXXX/owner.json     who made it: process, its start time, its process namespace
    <tmp>/optbench-XXXX/<name>/        the worktree, named like the working tree

The owner removes it, also after an exception, Ctrl-C or SIGTERM (`terminated`). What a killed owner left is
removed by the next run in the same repository. HEAD, index, stash and files of the user are never touched:
a worktree has its own HEAD and index. Submodules share the
objects of the user's own copies, so nothing is fetched from a network.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..measure import temporary
from .errors import RevisionError
from .git import Commit, Repository


@contextmanager
def worktree(repository: Repository, commit: Commit) -> Iterator[Path]:
    """Yield the root of a checkout of ``commit``; it is gone afterwards, whatever happens.

    Raises `RevisionError` when git cannot make it or a submodule's commit is missing.
    """
    prune(repository)
    home = temporary.make()
    tree = home / repository.root.name
    try:
        if home.is_relative_to(repository.root):
            raise RevisionError(
                f"the folder for temporary files must lie outside the repository, received {str(home.parent)!r}; "
                "set TMPDIR to another folder"
            )
        # Never --force: it would take a branch or a path away from somebody.
        repository.git("worktree", "add", "--quiet", "--detach", os.fspath(tree), commit.commit)
        _submodules(repository.root, tree, commit.commit)
        yield tree
    finally:
        with _undisturbed():
            _remove(repository, home, tree)


def prune(repository: Repository) -> list[Path]:
    """Remove worktrees of this repository whose owner is gone; return their roots."""
    gone = []
    for tree in _listed(repository):
        home = tree.parent
        if home.name.startswith(temporary.PREFIX) and temporary.abandoned(home):
            _remove(repository, home, tree)
            gone.append(tree)
    return gone


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold signals back that end the process, here and in the git commands: who presses Ctrl-C once may do so again."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _listed(repository: Repository) -> list[Path]:
    """Return the linked worktrees that git knows, those with a missing folder too."""
    found = []
    for line in repository.git("worktree", "list", "--porcelain").splitlines():
        if line.startswith(b"worktree "):
            found.append(Path(os.fsdecode(line.removeprefix(b"worktree "))))
    return found


def _remove(repository: Repository, home: Path, tree: Path) -> None:
    """Remove the worktree and git's record of it; a folder that git refuses to remove is removed by hand."""
    try:
        if tree in _listed(repository):
            repository.git("worktree", "remove", "--force", os.fspath(tree))
    except RevisionError:
        shutil.rmtree(tree, ignore_errors=True)
        if tree in _listed(repository):
            repository.git("worktree", "remove", "--force", os.fspath(tree))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _submodules(source: Path, tree: Path, commit: str) -> None:
    """Fill the submodules of ``tree`` from those of ``source`` that are checked out there, recursively."""
    for submodule in Repository(tree).submodules(commit):
        original = source / submodule.path
        if not (original / ".git").exists():
            continue  # not checked out in the working tree either: both sides go without
        place = tree / submodule.path
        own = Repository(original.resolve())
        try:
            own.resolve(submodule.commit)
        except RevisionError as error:
            raise RevisionError(
                f"the submodule {submodule.path!r} must hold commit {submodule.commit[:12]}, which the base "
                "revision uses, but it is not there; fetch it: "
                f"git -C {submodule.path} fetch origin {submodule.commit}"
            ) from error
        _share(own, place)
        Repository(place).git("checkout", "--quiet", "--detach", submodule.commit)
        _submodules(original, place, submodule.commit)


def _share(own: Repository, place: Path) -> None:
    """Make ``place`` an empty repository that finds its objects in ``own``.

    Not a clone: a shallow repository is not shared by one, and a commit below no branch does not come along.
    """
    kind = own.git("rev-parse", "--show-object-format").decode().strip()
    own.git("init", "--quiet", "--template=", f"--object-format={kind}", os.fspath(place))
    objects = own.root / os.fsdecode(own.git("rev-parse", "--git-path", "objects")).removesuffix("\n")
    (place / ".git" / "objects" / "info").mkdir(exist_ok=True)
    (place / ".git" / "objects" / "info" / "alternates").write_bytes(os.fsencode(objects) + b"\n")
