"""The tests of the working tree, laid over the checkout of the base revision.

Both sides must run the same tests, or a change of the tests is taken for a change of the code. Copied are the
collected modules, every ``conftest.py`` on the way to them, pytest's configuration file, and whole test
directories (by their usual names, or listed in ``testpaths``) with everything in them that git does not
ignore. What the base has there and the working tree no longer has is removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from .git import Repository

TEST_DIRECTORIES: Final = frozenset(
    {"tests", "test", "testing", "benchmarks", "benchmark", "benches", "bench", "perf"}
)
# These are also what projects are called: a package of that name with tests inside is the project itself.
_ALSO_PROJECTS: Final = frozenset({"testing", "benchmark", "bench", "perf"})
CONFIGURATIONS: Final = frozenset(
    {"pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"}
)


@dataclass(frozen=True)
class Overlay:
    """What both sides share, as POSIX paths relative to the root of the repository.

    ``directories`` are shared as a whole, ``files`` one by one; ``present`` are the files of the working tree
    that get copied.
    """

    directories: tuple[str, ...]
    files: tuple[str, ...]
    present: tuple[str, ...]

    def covers(self, path: str) -> bool:
        """Return whether ``path`` belongs to the tests, which are the same on both sides."""
        return path in self.files or any(path.startswith(f"{folder}/") for folder in self.directories)


def plan(
    repository: Repository,
    root: Path,
    modules: Iterable[Path],
    configuration: Path | None,
    testpaths: Collection[str] = (),
) -> Overlay:
    """Return what to copy so that the base runs the tests of the working tree.

    ``root`` is pytest's rootdir, ``modules`` the collected files, ``configuration`` pytest's own file,
    ``testpaths`` the ini value, relative to ``root``. Files outside the repository are left alone.
    """
    top = repository.root
    inside = {path.resolve() for path in modules if path.resolve().is_relative_to(top)}
    listed = {(root / name).resolve() for name in testpaths}
    directories = _outermost(
        {folder for module in inside if (folder := _test_directory(module, root.resolve(), listed))}
    )
    shared = {_relative(path, top) for path in inside}
    for module in inside:
        for folder in (module.parent, *module.parent.parents):
            if folder.is_relative_to(top):
                shared.add(_relative(folder / "conftest.py", top))
    if configuration is not None and configuration.resolve().is_relative_to(top):
        shared.add(_relative(configuration.resolve(), top))
    overlay = Overlay(tuple(sorted(_relative(d, top) for d in directories)), tuple(sorted(shared)), ())
    present = {name for name in repository.files() if overlay.covers(name)}
    # A collected module counts even where git ignores it: it is what the user asked to run.
    present |= {_relative(path, top) for path in inside}
    return Overlay(overlay.directories, overlay.files, tuple(sorted(present)))


def apply(overlay: Overlay, source: Path, target: Path) -> tuple[list[str], list[str]]:
    """Make ``target`` hold the tests of ``source``; return the files (written, removed), relative.

    Nothing outside ``target`` is written, whatever links the checkout holds.
    """
    removed = []
    for name in Repository(target).files():
        if overlay.covers(name) and name not in overlay.present:
            _discard(_own(target, name))
            removed.append(name)
    written = []
    for name in overlay.present:
        original, copy = source / name, _own(target, name)
        if original.is_dir() and not original.is_symlink():
            continue  # a submodule: it is what its commit says
        _discard(copy)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(original, copy, follow_symlinks=False)
        written.append(name)
    return written, removed


def _test_directory(module: Path, root: Path, listed: Collection[Path]) -> Path | None:
    """Return the outermost directory below ``root`` that holds ``module`` and nothing but tests."""
    between = [folder for folder in module.parents if folder != root and folder.is_relative_to(root)]
    found = [f for f in between if f.name in TEST_DIRECTORIES or (f in listed and _only_tests(f))]
    while len(found) > 1 and _may_be_project(found[-1]):
        found.pop()
    return found[-1] if found else None


def _only_tests(folder: Path) -> bool:
    """Return whether a directory of ``testpaths`` cannot be where the project's code lives."""
    if folder.name == "src" or (folder / "__init__.py").exists():
        return False
    packages = {init.parent.name for init in folder.glob("*/__init__.py")}
    return packages <= TEST_DIRECTORIES


def _may_be_project(folder: Path) -> bool:
    return folder.name in _ALSO_PROJECTS and (folder / "__init__.py").exists()


def _outermost(folders: Collection[Path]) -> Iterator[Path]:
    return (f for f in folders if not any(f != other and f.is_relative_to(other) for other in folders))


def _relative(path: Path, top: Path) -> str:
    return path.relative_to(top).as_posix()


def _own(target: Path, name: str) -> Path:
    """Return the place of ``name`` in ``target`` after replacing links on the way by real directories."""
    place = target
    for part in PurePosixPath(name).parts[:-1]:
        place = place / part
        if place.is_symlink() or place.is_file():
            place.unlink()
    return target / name


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
