"""What the rules share, and how a rule answers with a list of places."""

from __future__ import annotations

import ast
import tomllib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from optengine.rules import Context, Outcome, RuleSet
from optengine.rules.parsing import parse_python

SHARED = RuleSet()
Trees = Mapping[str, ast.Module]
Place = tuple[str, int, str]


@SHARED.shared("project", scope="run")
def project(ctx: Context) -> dict[str, Any]:
    """``{"data": pyproject.toml, "error": text or None, "packages": folders}``."""
    data: dict[str, Any] = {}
    error = None
    try:
        data = tomllib.loads(ctx.fs.read("pyproject.toml"))
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as caught:
        error = f"{type(caught).__name__}: {caught}"
    wheel = data.get("tool", {}).get("hatch", {}).get("build", {}).get("targets", {}).get("wheel", {})
    packages = list(wheel.get("packages", []))
    if not packages:
        tops = ctx.fs.glob("src/*/__init__.py") or ctx.fs.glob("*/__init__.py")
        packages = [top.removesuffix("/__init__.py") for top in tops]
    return {"data": _plain(data), "error": error, "packages": [one for one in packages if ctx.fs.is_dir(one)]}


def _plain(value: Any) -> Any:
    """TOML data as JSON data: dates become text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


@SHARED.shared("trees")
def trees(ctx: Context) -> dict[str, ast.Module | SyntaxError]:
    """Syntax tree of every Python file of packages, tests, benchmarks and examples; the error where one does
    not parse."""
    found: dict[str, ast.Module | SyntaxError] = {}
    folders = [*ctx.shared("project")["packages"], "tests", "benchmarks", "examples"]
    for path in sorted({path for folder in folders for path in ctx.fs.glob(f"{folder}/**/*.py")}):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found[path] = parse_python(ctx.fs.read_bytes(path), filename=path)
        except (SyntaxError, ValueError) as error:
            found[path] = error if isinstance(error, SyntaxError) else SyntaxError(str(error))
    return found


def table(ctx: Context, name: str = "project") -> Mapping[str, Any]:
    """A top-level table of pyproject.toml; empty when it is missing."""
    found: Mapping[str, Any] = ctx.shared("project")["data"].get(name, {})
    return found


def packages(ctx: Context) -> tuple[str, ...]:
    """Folders of the packages that are shipped."""
    found: tuple[str, ...] = ctx.shared("project")["packages"]
    return found


def package_trees(ctx: Context) -> dict[str, ast.Module]:
    """Trees of the shipped packages, by path."""
    folders = tuple(f"{one}/" for one in packages(ctx))
    return {path: tree for path, tree in all_trees(ctx).items() if path.startswith(folders)}


def all_trees(ctx: Context) -> dict[str, ast.Module]:
    """Every tree that could be parsed, by path."""
    return {path: tree for path, tree in ctx.shared("trees").items() if isinstance(tree, ast.Module)}


def nodes(trees: Mapping[str, ast.Module], *kinds: type[ast.AST]) -> Iterator[tuple[str, Any]]:
    """(path, node) for every node of one of the *kinds*."""
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, kinds):
                yield path, node


def answer(ctx: Context, problems: Iterable[Place], good: str) -> Outcome:
    """PASS with *good* when there are no problems, otherwise FAIL with the places as evidence."""
    found = sorted(problems)
    if not found:
        return ctx.passed(good)
    first = "; ".join(f"{path}:{line} {what}" for path, line, what in found[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    places = [{"path": path, "line": max(line, 1), "what": what} for path, line, what in found[:50]]
    return ctx.failed(f"{first}{more}", evidence={"locations": places, "total": len(found)})
