"""Proof that the two sides are what they claim to be: each from its own tree, and not the same code.

A comparison of something with itself looks exactly like "no regression", so it must be an error.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..measure.channel import UNREADABLE
from .errors import IdentityError
from .identity import Foreign, Identity
from .overlay import Overlay

_NOT_DATA = (".py", ".pyc", ".pyo", ".pyi")
_DOCUMENTS = frozenset({".adoc", ".md", ".rst"})


@dataclass(frozen=True)
class Code:
    """The project's code that one side ran: SHA-256 by file and the packages the files belong to."""

    files: Mapping[str, str]
    packages: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over every file and its content."""
        text = "".join(f"{name}\0{sha}\n" for name, sha in sorted(self.files.items()))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    def merged(self, later: Code) -> Code:
        """Return the code of both; a file that changed in between raises `IdentityError`."""
        changed = sorted(name for name, sha in later.files.items() if self.files.get(name, sha) != sha)
        if changed:
            raise IdentityError(
                f"the code must not change while it is measured, but {_some(changed)} did; run it again"
            )
        packages = tuple(sorted({*self.packages, *later.packages}))
        return Code({**self.files, **later.files}, packages)


def code_of(found: Identity, overlay: Overlay, side: str) -> Code:
    """Return the project's code in ``found``, tests left out.

    Raises `IdentityError` when a module of the project came from anywhere but the side's own tree, or its file cannot
    be read: nobody could say whether it is the same on both sides.
    """
    if found.foreign:
        raise IdentityError(_foreign(found.foreign, side))
    files = {
        name: sha for name, sha in found.files.items() if not overlay.covers(name) and not _is_conftest(name)
    }
    unreadable = sorted(name for name, sha in files.items() if sha == UNREADABLE)
    if unreadable:
        raise IdentityError(
            f"the files of imported modules must stay readable, but in the {side} tree {_some(unreadable)} cannot be "
            "read; keep them until the run is over, or give permission to read them"
        )
    packages = {
        package
        for module, file in found.modules.items()
        if file in files and (package := _package(module, file)) is not None
    }
    return Code(files, tuple(sorted(packages)))


def check_changed(overlay: Overlay, changed: Collection[str]) -> list[str]:
    """Return the files of ``changed`` that are no tests; raises `IdentityError` when there are none.

    ``changed`` are the files that differ between the revisions according to git.
    """
    elsewhere = [name for name in changed if not overlay.covers(name)]
    if not elsewhere:
        raise IdentityError(
            "the two sides must differ, but the working tree and the base revision hold the same files, tests "
            "apart: a comparison would be of the code with itself; name an older revision with --optbench-base"
        )
    return elsewhere


def check_different(
    baseline: Code, optimized: Code, trees: Mapping[str, Path], overlay: Overlay, changed: Collection[str]
) -> str | None:
    """Return when the two sides ran different code of the project; raises `IdentityError` otherwise.

    Returns a remark where only built files differ, which need not mean that anything they are built from does; where
    nothing but documents has changed, it cannot, and is an error.
    ``trees`` holds the roots of "baseline" and "optimized"; ``changed`` as for `check_changed`.
    """
    for side, code in (("baseline", baseline), ("optimized", optimized)):
        if not code.files:
            tests = ", ".join((*overlay.directories, *overlay.files)) or "none"
            raise IdentityError(
                f"the benchmarks must import the project's code from the {side} tree, but none of its modules "
                f"was imported there, so nothing would be compared. Taken for tests, which are the same on both "
                f"sides: {tests}. If the project's code lies in one of them, move the benchmarks out of it; if the "
                "project is installed as a copy, install it with pip install -e"
            )
    elsewhere = check_changed(overlay, changed)
    same_files = dict(baseline.files) == dict(optimized.files)
    if same_files and not _data_differ(baseline, optimized, trees, overlay, changed):
        raise IdentityError(
            f"the two sides must differ, but all {len(baseline.files)} files of the project that the benchmarks "
            f"import are the same in both, and so is the data of their packages; changed elsewhere: "
            f"{_some(elsewhere)}. Nothing the benchmarks run has changed"
        )
    imported = baseline.files.keys() | optimized.files.keys()
    if imported & set(changed) or _data_changed(baseline, optimized, overlay, changed):
        return None
    built = {name for name in imported if baseline.files.get(name) != optimized.files.get(name)}
    only = (
        f"of what the benchmarks import only files that git does not know differ ({_some(built) or 'data'})"
    )
    if all(PurePosixPath(name).suffix in _DOCUMENTS for name in elsewhere):
        raise IdentityError(
            f"the two sides must differ, but {only}, and nothing they can be built from has changed: "
            f"{_some(elsewhere)}. The same source was built twice, with different results"
        )
    return (
        f"{only}; if nothing they are built from has changed, both sides are the same code. Changed in the "
        f"repository: {_some(elsewhere)}"
    )


def _foreign(foreign: tuple[Foreign, ...], side: str) -> str:
    first = foreign[0]
    more = f" (and {len(foreign) - 1} more modules)" if len(foreign) > 1 else ""
    if first.other:
        where = "the other side's tree"
        cure = "remove the hard-coded path from sys.path or PYTHONPATH, or from the finder of an editable install"
    else:
        where = "an installation"
        cure = (
            "install the project with pip install -e instead of a copy, or make the tests import it from "
            "the checkout (ini key pythonpath)"
        )
    return (
        f"the {side} side must import the project from its own tree, but module {first.module!r} came from {where}: "
        f"{first.file}{more}; {cure}"
    )


def _is_conftest(name: str) -> bool:
    return PurePosixPath(name).name == "conftest.py"


def _package(module: str, file: str) -> str | None:
    """Return the folder of the outermost package ``module`` belongs to; None for a module by itself."""
    path = PurePosixPath(file)
    depth = module.count(".") + (path.stem == "__init__")
    if depth == 0 or depth > len(path.parents) - 1:
        return None
    return path.parents[depth - 1].as_posix()


def _data_differ(
    baseline: Code, optimized: Code, trees: Mapping[str, Path], overlay: Overlay, changed: Collection[str]
) -> bool:
    """Return whether the packages hold other data: git says so, or a file that both trees have is another one.

    What one tree has alone and git does not know is left over from something else, such as an old build.
    """
    if _data_changed(baseline, optimized, overlay, changed):
        return True
    ours, theirs = (
        _data(code, trees[side], overlay) for side, code in (("baseline", baseline), ("optimized", optimized))
    )
    return any(ours[name] != theirs[name] for name in ours.keys() & theirs.keys())


def _data_changed(baseline: Code, optimized: Code, overlay: Overlay, changed: Collection[str]) -> bool:
    """Return whether git says that data of the packages changed."""
    folders = tuple(f"{package}/" for package in {*baseline.packages, *optimized.packages})
    return any(name.startswith(folders) and _is_data(name, overlay) for name in changed)


def _data(code: Code, tree: Path, overlay: Overlay) -> dict[str, str]:
    """Return SHA-256 by file of what the packages hold beside Python source, as installed or built."""
    return {
        name: hashlib.sha256((tree / name).read_bytes()).hexdigest()
        for package in code.packages
        for name in _files(tree, package)
        if _is_data(name, overlay)
    }


def _is_data(name: str, overlay: Overlay) -> bool:
    return not name.endswith(_NOT_DATA) and not overlay.covers(name)


def _files(tree: Path, package: str) -> Iterator[str]:
    for folder, folders, files in os.walk(tree / package):
        folders[:] = [each for each in folders if each != "__pycache__"]
        for file in files:
            path = Path(folder, file)
            if path.is_file():
                yield path.relative_to(tree).as_posix()


def _some(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
