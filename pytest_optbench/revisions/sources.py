"""What is source in a working tree: neither what runs write into it nor what a build makes of the rest.

Only a change of the source makes two revisions different; a build that never gives the same result twice must not
pass for one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .git import Repository
from .outcome import Task


def without_generated(changed: Sequence[str], ours: Repository, base: Repository) -> list[str]:
    """Return ``changed`` without the files that a build has made in both trees.

    That is what git does not track in the working tree and what stands, untracked as well, in the fresh checkout of
    the base after its build.
    """
    loose, known = set(ours.untracked()), base.tracked()
    return [name for name in changed if name not in loose or name in known or not (base.root / name).exists()]


def written(task: Task) -> list[str]:
    """Return the folders of the repository that runs write into, relative to it; those that hold code are left out."""
    top, rootdir = task.repository.root, task.invocation.rootdir
    given = (task.settings.report_dir, task.settings.history)
    found = {Path(os.path.realpath(rootdir / each)) for each in given if each and "://" not in each}
    inside = (folder for folder in found if folder.is_relative_to(top) and not rootdir.is_relative_to(folder))
    return sorted(
        each.relative_to(top).as_posix() for each in inside if next(each.rglob("*.py"), None) is None
    )
