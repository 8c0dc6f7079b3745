"""Make a child import the project from its own tree: runs before anything of the project is imported.

What sends imports to the other tree: entries of ``sys.path`` (editable installs through ``.pth`` files,
``PYTHONPATH``), finders that map names to files (editable installs of setuptools, hatchling, scikit-build),
the search path of a package that is already imported (legacy namespace packages), and modules that start-up
files have already imported. An environment that lies inside a tree (``.venv``) belongs to neither tree.

Standard library only; `identity` proves afterwards that it worked. Runs when the environment names the trees.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

HARNESS: Final = "pytest_optbench"
"""The harness itself is the same in both children, also where a tree under test holds another copy."""
TREE: Final = "OPTBENCH_TREE"
OTHER_TREE: Final = "OPTBENCH_OTHER_TREE"
ROOT: Final = "OPTBENCH_ROOT"
ENVIRONMENT_FOLDERS: Final = frozenset({"site-packages", "dist-packages"})


def reroot(own_tree: Path, other_tree: Path) -> None:
    """Turn this interpreter's imports from ``other_tree`` to ``own_tree``; see the module's docstring.

    Import roots come first in ``sys.path``: ``src`` of pytest's rootdir and the rootdir, then the same two of
    the tree, where they exist.
    """
    own, other = Path(os.path.realpath(own_tree)), Path(os.path.realpath(other_tree))
    mapped = [rerooted(entry, own, other) for entry in sys.path]
    front = [os.fspath(root) for root in import_roots(rootdir(), own)]
    sys.path[:] = list(dict.fromkeys([*front, *(entry for entry in mapped if entry is not None)]))
    for finder in sys.meta_path:
        _reroot_finder(finder, own, other)
    for name, module in list(sys.modules.items()):
        _reroot_module(name, module, own, other)
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()


def rootdir() -> Path:
    """Return pytest's rootdir inside the own tree: from the environment, else the working directory."""
    given = os.environ.get(ROOT)
    return Path(os.path.realpath(given)) if given else Path.cwd()


def import_roots(folder: Path, tree: Path) -> list[Path]:
    """Return where the project's packages may start: ``src`` and the folder itself, then those of the tree."""
    roots = [folder / "src", folder, tree / "src", tree]
    return [root for root in dict.fromkeys(roots) if root.is_dir()]


def rerooted(entry: str, own: Path, other: Path) -> str | None:
    """Return a path of the other tree as the same path of the own one, None where that does not exist.

    Any other path, and one of an environment inside the other tree, is returned as it is.
    """
    inside = within(entry, other)
    if inside is None or is_environment(entry):
        return entry
    found = _existing(own, inside)
    return None if found is None else os.fspath(found)


def within(entry: object, tree: Path) -> Path | None:
    """Return the path of ``entry`` relative to ``tree``; None when it lies elsewhere or is no path."""
    if not isinstance(entry, str | os.PathLike) or not os.fspath(entry):
        return None
    if not Path(entry).is_absolute():
        return None
    try:
        return Path(os.path.realpath(entry)).relative_to(tree)
    except ValueError:
        return None


def is_environment(entry: str | os.PathLike[str]) -> bool:
    """Return whether a path belongs to an installation of Python rather than to a checkout."""
    path = Path(os.path.realpath(entry))
    if ENVIRONMENT_FOLDERS & set(path.parts):
        return True
    prefixes = {Path(os.path.realpath(prefix)) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    # A prefix that is itself the checkout would make the whole project an environment.
    return any(
        path.is_relative_to(prefix) and (prefix / "pyvenv.cfg").exists() for prefix in prefixes
    ) or any(path.is_relative_to(library) for library in _standard_library())


def _standard_library() -> Iterable[Path]:
    return {Path(os.path.realpath(os.path.dirname(os.__file__)))}  # noqa: PTH120


def _existing(own: Path, inside: Path) -> Path | None:
    """Return the place in the own tree, also when the project moved into or out of ``src`` in between."""
    parts = inside.parts
    candidates = [own / inside, own / "src" / inside]
    if parts[:1] == ("src",):
        candidates.append(own.joinpath(*parts[1:]))
    return next((place for place in candidates if place.exists()), None)


def _reroot_finder(finder: Any, own: Path, other: Path) -> None:
    """Change the paths a finder of an editable install holds: its own, its class's, its module's."""
    owner = finder if isinstance(finder, type) else type(finder)
    if owner.__module__.partition(".")[0] in sys.stdlib_module_names | {HARNESS, "_pytest"}:
        return
    spaces = [vars(owner), getattr(finder, "__dict__", {}), vars(sys.modules.get(owner.__module__, object))]
    for space in spaces:
        for name, value in list(space.items()):
            if not name.startswith("__"):
                _reroot_container(value, own, other)


def _reroot_container(value: Any, own: Path, other: Path, depth: int = 3) -> None:
    """Map the paths in a dictionary, list or set in place; entries without a counterpart are dropped."""
    if isinstance(value, dict) and depth:
        for key, inner in list(value.items()):
            if within(inner, other) is None:
                _reroot_container(inner, own, other, depth - 1)
                continue
            place = rerooted(os.fspath(inner), own, other)
            if place is None:
                del value[key]
            else:
                value[key] = type(inner)(place)
    elif isinstance(value, list | set) and any(within(inner, other) is not None for inner in value):
        mapped = [
            (inner, inner if within(inner, other) is None else rerooted(os.fspath(inner), own, other))
            for inner in value
        ]
        kept = [type(inner)(place) for inner, place in mapped if place is not None]
        value.clear()
        value.extend(kept) if isinstance(value, list) else value.update(kept)


def _reroot_module(name: str, module: ModuleType | None, own: Path, other: Path) -> None:
    """Forget a module of the other tree; turn the search path of a package to the own tree."""
    if name.partition(".")[0] in (HARNESS, "__main__") or module is None:
        return
    file = getattr(module, "__file__", None)
    if within(file, other) is not None and not is_environment(str(file)):
        del sys.modules[name]  # imported by a start-up file; the next import finds it in the own tree
        return
    search = getattr(module, "__path__", None)
    if isinstance(search, list):
        _reroot_container(search, own, other)
