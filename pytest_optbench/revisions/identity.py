"""Which code a child ran: its modules sorted into those of its own tree and those that come from elsewhere.

Children report the modules they imported with file and SHA-256. A module belongs to the project when its file
lies in one of the two trees (environments inside them apart), or when its name is one the project defines. A
project module from anywhere but the child's own tree is *foreign*: the child measured something else than the
revision it stands for. The harness itself is not part of the project.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from .reroot import HARNESS, import_roots, is_environment, within

_NEVER_PROJECT: Final = frozenset(
    {"setup", "conftest", "noxfile", "tasks", "fabfile", "docs", "tests", "test"}
)


class Imported(Protocol):
    """A module as a child reports it: absolute file and SHA-256."""

    @property
    def file(self) -> str: ...  # noqa: D102
    @property
    def sha256(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Foreign:
    """A project module that did not come from the child's own tree; ``other``: it came from the other one."""

    module: str
    file: str
    other: bool


@dataclass(frozen=True)
class Identity:
    """The project's code in one child: SHA-256 by file (relative, POSIX), file by module, and what is foreign."""

    files: Mapping[str, str]
    modules: Mapping[str, str]
    foreign: tuple[Foreign, ...]


def identity(imported: Mapping[str, Imported], own: Path, other: Path, names: Collection[str]) -> Identity:
    """Return what ``imported`` says of the project; ``names`` are those of `project_names`, of both trees."""
    files: dict[str, str] = {}
    modules: dict[str, str] = {}
    foreign: list[Foreign] = []
    for name, module in sorted(imported.items()):
        if name.partition(".")[0] == HARNESS or name == "__main__":
            continue
        environment = is_environment(module.file)
        inside = None if environment else within(module.file, own)
        if inside is not None:
            files[inside.as_posix()] = module.sha256
            modules[name] = inside.as_posix()
        elif not environment and within(module.file, other) is not None:
            foreign.append(Foreign(name, module.file, other=True))
        elif _is_project(name, names):
            foreign.append(Foreign(name, module.file, other=False))
    return Identity(files, modules, tuple(foreign))


def project_names(tree: Path, rootdir: Path) -> set[str]:
    """Return the dotted names of the packages and modules a tree defines.

    Found where imports start (``src`` and the folder itself, of ``rootdir`` and of the tree; entries of
    ``sys.path`` inside the tree; through folders without ``__init__.py`` for namespace packages), and in the
    metadata of the installed distribution that bears the project's name.
    """
    roots = {Path(os.path.realpath(root)) for root in import_roots(rootdir, tree)}
    for entry in sys.path:
        if within(entry, tree) is not None and not is_environment(entry):
            roots.add(Path(os.path.realpath(entry)))
    names = {name for root in roots for name in _defined(root, roots)}
    for folder in {rootdir, tree}:
        names |= _installed(folder)
    never = _NEVER_PROJECT | sys.stdlib_module_names | {HARNESS}
    return {name for name in names if name.partition(".")[0] not in never}


def _is_project(name: str, names: Collection[str]) -> bool:
    return name in names or any(name.startswith(f"{each}.") for each in names)


def _defined(root: Path, roots: set[Path], prefix: str = "", depth: int = 3) -> Iterator[str]:
    """Yield the packages below ``root``, descending through namespace folders; modules at the top only."""
    try:
        entries = sorted(root.iterdir())
    except OSError:
        return
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if entry.is_dir() and entry.name.isidentifier() and entry not in roots:
            if (entry / "__init__.py").exists():
                yield name
            elif depth and not (entry / "pyvenv.cfg").exists():
                yield from _defined(entry, roots, f"{name}.", depth - 1)
        elif not prefix and entry.suffix == ".py" and _is_module(entry.stem):
            yield entry.stem


def _is_module(stem: str) -> bool:
    return stem.isidentifier() and stem != "__init__" and not stem.startswith("test_")


def _installed(folder: Path) -> set[str]:
    """Return the import names of the installed distribution that has the name of the project in ``folder``."""
    from importlib import metadata

    name = _distribution_name(folder)
    if name is None:
        return set()
    try:
        files = metadata.distribution(name).files or []
    except metadata.PackageNotFoundError:
        return set()
    found = set()
    for file in files:
        parts = Path(file).parts
        if len(parts) > 1 and parts[-1] == "__init__.py" and all(part.isidentifier() for part in parts[:-1]):
            found.add(".".join(parts[:-1]))
        elif len(parts) == 1 and parts[0].endswith(".py") and not parts[0].startswith("__editable__"):
            found.add(parts[0].removesuffix(".py"))
    return {each for each in found if each.isidentifier() or "." in each}


def _distribution_name(folder: Path) -> str | None:
    import tomllib

    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        project = {}
    for table in (project.get("project"), (project.get("tool") or {}).get("poetry")):
        if isinstance(table, dict) and isinstance(table.get("name"), str):
            return str(table["name"])
    try:
        found = re.search(r"(?m)^name\s*=\s*(\S+)\s*$", (folder / "setup.cfg").read_text(encoding="utf-8"))
        if found:
            return found[1]
    except (OSError, ValueError):
        pass
    try:
        return _name_in_setup((folder / "setup.py").read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return None


def _name_in_setup(source: str) -> str | None:
    """Return the constant ``name=`` of a call of ``setup`` in ``source``; nothing is run."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "setup":
            for keyword in node.keywords:
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
    return None
