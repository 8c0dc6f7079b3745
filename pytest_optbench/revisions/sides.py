"""The two sides as lanes: the same pytest run, once in the working tree and once in the worktree of the base."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..child.command import interpreter
from ..isolation import environment as inherited
from ..measure.lanes import Lane
from .reroot import OTHER_TREE, ROOT, TREE, import_roots, is_environment

BASELINE: Final = "baseline"
OPTIMIZED: Final = "optimized"
PLUGIN: Final = "pytest_optbench.revisions.child"

# --ignore=/path, --override-ini=key=/path, and the key=/path after -o: what stands before the path.
_OPTION: Final = re.compile(r"(?:-.*?|\w+)=(?=/)", re.DOTALL)


@dataclass(frozen=True)
class Invocation:
    """How the user started pytest: everything a child must be given to collect the same tests.

    ``top`` is the root of the repository, ``rootdir`` and ``configuration`` (None: no file) are pytest's,
    ``folder`` is where it was started, ``arguments`` are as they were written, ``paths`` those of them that
    name files, folders or tests.
    """

    top: Path
    rootdir: Path
    folder: Path
    configuration: Path | None
    arguments: tuple[str, ...]
    paths: tuple[str, ...]
    testpaths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Side:
    """One side: its name, its tree and the tree of the other one."""

    name: str
    tree: Path
    other: Path

    def place(self, path: Path, invocation: Invocation) -> Path:
        """Return the counterpart in this side's tree of a path of the working tree; other paths as they are."""
        if not path.is_relative_to(invocation.top) or is_environment(path):
            return path
        return self.tree / path.relative_to(invocation.top)

    def environment(self, invocation: Invocation) -> dict[str, str]:
        """Return the environment of this side's processes.

        ``PYTHONPATH`` starts with the side's own import roots, so that processes which children start find
        the side's own code, too.
        """
        found = inherited()
        rootdir = self.place(invocation.rootdir, invocation)
        entries = [Path(os.path.abspath(e)) for e in found.get("PYTHONPATH", "").split(os.pathsep) if e]  # noqa: PTH100
        mapped = [self.place(entry, invocation) for entry in entries]
        roots = import_roots(rootdir, self.tree)
        found["PYTHONPATH"] = os.pathsep.join(map(str, dict.fromkeys([*roots, *mapped])))
        found["PWD"] = str(self.place(invocation.folder, invocation))
        if "PYTEST_ADDOPTS" in found:
            words = shlex.split(found["PYTEST_ADDOPTS"])
            found["PYTEST_ADDOPTS"] = shlex.join(self._argument(word, invocation) for word in words)
        return found | {TREE: str(self.tree), OTHER_TREE: str(self.other), ROOT: str(rootdir)}

    def lane(self, invocation: Invocation, names: Collection[str], arguments: Sequence[str]) -> Lane:
        """Return the lane that runs ``arguments`` in this side's tree."""
        folder = self.place(invocation.folder, invocation)
        if not folder.is_relative_to(self.tree):
            folder = self.place(invocation.rootdir, invocation)
        folder.mkdir(parents=True, exist_ok=True)
        first = ["-p", PLUGIN]
        if invocation.configuration is None:  # what pytest does itself there, were it not given an empty one
            first += ["--confcutdir", str(self.place(invocation.rootdir, invocation))]
        words = [self._argument(word, invocation) for word in arguments]
        options = words.index("--") if "--" in words else len(words)
        words[options:options] = self._where(invocation)  # the last ones win: how they were given is settled
        return Lane(
            name=self.name,
            arguments=(*first, *words),
            cwd=folder,
            environment=self.environment(invocation),
            interpreter=interpreter(),
            tree=self.tree,
            names=tuple(sorted({name.partition(".")[0] for name in names})),
        )

    def _where(self, invocation: Invocation) -> list[str]:
        """Return the options that name the root and the configuration the parent's pytest has found."""
        # pytest expands variables in --rootdir, once: the value of this one may hold a dollar sign, a path here not.
        where = ["--rootdir", f"${{{ROOT}}}"]
        # Nor one of the base, which need not be where this tree has none.
        if invocation.configuration is None:
            return [*where, "-c", os.devnull]
        own = self.place(invocation.configuration, invocation)
        return [*where, "-c", str(own)] if own.exists() else where  # else the base has another one of its own

    def _argument(self, word: str, invocation: Invocation) -> str:
        """Return an argument with a path of the working tree turned to this side's tree."""
        option = _OPTION.match(word)
        head = option[0] if option else ""
        path, colons, rest = word[len(head) :].partition("::")
        if not Path(path).is_absolute():
            return word
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(invocation.top):
            return word
        place = self.place(real, invocation)  # through no link either: node ids start at a root without one
        return f"{head}{place}{colons}{rest}"


@dataclass(frozen=True)
class Listing:
    """How the base's own tests are listed: with which arguments, and which of its tests were asked for.

    ``arguments`` is None when nothing that was asked for exists in the base.
    """

    arguments: tuple[str, ...] | None
    selected: tuple[str, ...]

    def keeps(self, node_id: str) -> bool:
        """Return whether a test of the base was asked for, as far as node ids were given."""
        file = node_id.partition("::")[0]
        chosen = [each for each in self.selected if each.partition("::")[0] == file]
        return not chosen or any(
            node_id == each or node_id.startswith((f"{each}[", f"{each}::")) for each in chosen
        )


def listing(invocation: Invocation, base: Side) -> Listing:
    """Return how to list the base's own benchmarks: paths the base lacks are left out, tests become files."""
    kept: list[str] = []
    selected: list[str] = []
    missing = 0
    for word in invocation.arguments:
        if word not in invocation.paths:
            kept.append(word)
            continue
        path, colons, rest = word.partition("::")
        place = Path(os.path.realpath(invocation.folder / path))
        if not place.exists():  # the name of a package, under --pyargs
            kept.append(word)
            continue
        if not base.place(place, invocation).exists():
            missing += 1
            continue
        kept.append(path)
        if colons and place.is_relative_to(invocation.rootdir):
            selected.append(f"{place.relative_to(invocation.rootdir).as_posix()}::{rest}")
    given = [word for word in invocation.arguments if word in invocation.paths]
    nothing = bool(given) and missing == len(given)
    return Listing(None if nothing else tuple(kept), tuple(selected))
