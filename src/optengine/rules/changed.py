"""Git as a pre-filter: which files need no hashing because git says they are as they were at a revision.

Only narrows what is read again: the digests come from a manifest that an earlier run saved for exactly that
revision, and content digests alone decide what runs. Anything git cannot answer raises, and the caller then
hashes everything.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from optengine.rules import digest
from optengine.rules.errors import RuleSetError
from optengine.rules.tree import FileIndex

Manifest = Mapping[str, tuple[int, str]]
_TIMEOUT_S = 60


class GitError(RuleSetError):
    """Git could not tell what changed, so nothing may be taken as unchanged."""


def _git(root: Path, *arguments: str) -> bytes:
    """Output of git in *root*, without the caller's git environment and without helpers that could mislead
    it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    command = [
        "git",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.untrackedCache=false",
        "-c",
        "core.trustctime=true",
        "-c",
        "core.checkStat=default",
        "-C",
        str(root),
        *arguments,
    ]
    try:
        done = subprocess.run(command, capture_output=True, env=environment, timeout=_TIMEOUT_S, check=False)
    except (OSError, ValueError, subprocess.SubprocessError) as error:  # ValueError: a null character
        raise GitError(f"git must be able to answer {' '.join(arguments)!r}; {error}") from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise GitError(
            f"git must be able to answer {' '.join(arguments)!r}; it said {said[-1] if said else 'nothing'!r}"
        )
    return done.stdout


def resolve(root: Path, revision: str) -> str:
    """The commit id of *revision*. Raises GitError."""
    if revision.startswith("-"):
        raise GitError(f"A revision must not begin with a dash; received {revision!r}.")
    found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    return found.decode("ascii").strip()


def manifest_name(root: Path, commit: str) -> str:
    """Name of the manifest of *commit*: also tells apart settings that change what git writes into the work
    tree."""
    settings = _git(root, "config", "--list", "-z").decode("utf-8", "replace").split("\0")
    writing = sorted(
        one for one in settings if one.lower().startswith(("core.autocrlf", "core.eol", "filter."))
    )
    prefix = _git(root, "rev-parse", "--show-prefix").decode("utf-8", "replace")
    attributes = Path(
        _git(root, "rev-parse", "--git-path", "info/attributes").decode("utf-8", "replace").strip()
    )
    file = attributes if attributes.is_absolute() else root / attributes
    extra = digest.of_bytes(file.read_bytes()) if file.is_file() else ""
    return f"commit {commit} {digest.of_json([writing, prefix, extra])}"


def parse_name_status(output: bytes) -> set[str]:
    """Paths named by ``git diff --name-status -z``: for renames and copies both the old and the new one.

    Raises:
        GitError: the output is not of that form.
    """
    fields = output.decode("utf-8", "surrogateescape").split("\0")
    if fields and fields[-1] == "":
        fields.pop()
    paths: set[str] = set()
    position = 0
    while position < len(fields):
        status = fields[position]
        count = 2 if status[:1] in ("R", "C") else 1
        if not status or status[0] not in "ACDMRTUXB" or position + count >= len(fields):
            raise GitError(
                f"git diff --name-status must give a status and {count} path(s); "
                f"received {fields[position:]!r}"
            )
        paths.update(fields[position + 1 : position + 1 + count])
        position += 1 + count
    return paths


def _names(output: bytes) -> set[str]:
    return {name for name in output.decode("utf-8", "surrogateescape").split("\0") if name}


def _doubtful(root: Path) -> set[str]:
    """Tracked files that git was told not to look at (assume-unchanged, skip-worktree)."""
    listing = _git(root, "ls-files", "-v", "-z").decode("utf-8", "surrogateescape").split("\0")
    return {line[2:] for line in listing if line and (line[0].islower() or line[0] == "S")}


def changed_paths(root: Path, commit: str) -> set[str]:
    """Paths below *root* that may differ from *commit*: changed, staged, deleted, renamed, untracked,
    ignored."""
    changed = parse_name_status(
        _git(root, "diff", "--name-status", "-z", "--relative", "--no-ext-diff", commit, "--", ".")
    )
    untracked = _names(_git(root, "ls-files", "--others", "-z", "--", "."))
    return changed | untracked | _doubtful(root)


def unchanged(root: Path, commit: str, manifest: Manifest, index: FileIndex) -> dict[str, str]:
    """Digests of files that git says are as at *commit* and whose digests an earlier run saved. Raises
    GitError."""
    changed = changed_paths(root, commit)
    result: dict[str, str] = {}
    for path, (size, found) in manifest.items():
        entry = index.entries.get(path)
        if entry is not None and entry.kind == "file" and entry.size == size and path not in changed:
            result[path] = found
    return result


def tracked_unmodified(root: Path, commit: str) -> set[str]:
    """Tracked paths below *root* whose work tree copy is as at *commit*: what a manifest may list. Raises
    GitError."""
    return _names(_git(root, "ls-files", "-z", "--", ".")) - changed_paths(root, commit)
