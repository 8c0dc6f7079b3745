"""The structure of the repository: which package may import which, how large a file may be, what is pinned."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HARNESS = ROOT / "pytest_optbench"
ENGINE = ROOT / "src" / "optengine"

# For each package: what no module of it may import. `measure` and everything above may use `core`; nothing in
# `core` may know of files, clocks, pytest or the packages that do.
FORBIDDEN = {
    "pytest_optbench": {"optengine"},
    "pytest_optbench.core": {
        "pytest", "psutil", "jinja2", "os", "time", "pathlib", "subprocess", "socket", "multiprocessing",
        "pytest_optbench.measure", "pytest_optbench.store", "pytest_optbench.report",
        "pytest_optbench.session", "pytest_optbench.suite", "pytest_optbench.fixture",
        "pytest_optbench.plugin", "pytest_optbench.options",
    },
    "pytest_optbench.measure": {
        "pytest", "jinja2", "pytest_optbench.store", "pytest_optbench.report", "pytest_optbench.session",
        "pytest_optbench.suite", "pytest_optbench.fixture", "pytest_optbench.plugin",
    },
    "pytest_optbench.store": {
        "pytest", "pytest_optbench.measure", "pytest_optbench.report", "pytest_optbench.session",
        "pytest_optbench.suite", "pytest_optbench.fixture", "pytest_optbench.plugin",
    },
    "pytest_optbench.history": {
        "pytest", "pytest_optbench.measure", "pytest_optbench.session", "pytest_optbench.suite",
        "pytest_optbench.fixture", "pytest_optbench.plugin",
    },
    "pytest_optbench.report": {
        "pytest", "pytest_optbench.measure", "pytest_optbench.session", "pytest_optbench.suite",
        "pytest_optbench.fixture", "pytest_optbench.plugin",
    },
    "optengine": {"pytest_optbench", "pytest"},
}  # fmt: skip
# Conformance suites are test code that ships: they are the only engine modules that know pytest.
EXCEPTIONS = {("optengine.testing", "pytest")}
PLUGIN_MODULES = {"pytest_optbench.plugin", "pytest_optbench.options"}
TOO_LONG = 600
ALLOWED_LONG: frozenset[str] = frozenset()


def module_name(path: Path, base: Path) -> str:
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[str]:
    """Yield the absolute names a module imports, at its top or inside functions."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            target = ".".join([*start, *([node.module] if node.module else [])])
            yield target
            yield from (f"{target}.{alias.name}" for alias in node.names)


def violations(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """Return the imports of a module that go against the directions."""
    found = []
    for name in imported(ast.parse(source), module, is_package=is_package):
        for package, forbidden in FORBIDDEN.items():
            if module == package or module.startswith(f"{package}."):
                bad = {f for f in forbidden if name == f or name.startswith(f"{f}.")}
                bad -= {f for p, f in EXCEPTIONS if module.startswith(p)}
                found += [f"{module} imports {name}"] if bad else []
    return found


def modules() -> Iterator[tuple[Path, str]]:
    for base in (HARNESS.parent, ENGINE.parent):
        package = HARNESS if base == HARNESS.parent else ENGINE
        for path in sorted(package.rglob("*.py")):
            yield path, module_name(path, base)


def test_imports_go_one_way() -> None:
    """No module imports against the directions of the architecture."""
    found = [
        violation
        for path, module in modules()
        for violation in violations(path.read_text(), module, is_package=path.name == "__init__.py")
    ]
    assert found == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("pytest_optbench.core.pairs", "import time"),
        ("pytest_optbench.core.pairs", "from ..measure import clock"),
        ("pytest_optbench.core.pairs", "from pytest_optbench.measure.clock import Clock"),
        ("pytest_optbench.measure.arm", "def f():\n    import pytest"),
        ("pytest_optbench.report.rows", "from .. import session"),
        ("pytest_optbench.session", "import optengine.pool"),
        ("optengine.pool.worker", "from pytest_optbench import core"),
    ],
)
def test_a_planted_violation_is_found(module: str, line: str) -> None:
    """The check above can fail: absolute, relative and late imports are all seen."""
    assert len(violations(line, module)) >= 1


def test_the_plugin_imports_only_the_options_at_load_time() -> None:
    """The two modules every pytest run loads import the standard library, pytest and each other."""
    for path, module in modules():
        if module in PLUGIN_MODULES:
            top = ast.Module([n for n in ast.parse(path.read_text()).body if not isinstance(n, ast.If)], [])
            top.body = [n for n in top.body if isinstance(n, (ast.Import, ast.ImportFrom))]
            names = {n for n in imported(top, module, is_package=False) if n.startswith("pytest_optbench.")}
            assert names <= PLUGIN_MODULES, module


def test_modules_stay_short() -> None:
    """No module is longer than 600 lines, and one above 400 says in its docstring why."""
    for path, module in modules():
        text = path.read_text()
        lines = text.count("\n")
        assert lines <= TOO_LONG or module in ALLOWED_LONG, f"{module}: {lines} lines"


def test_no_grab_bags() -> None:
    """A module is named for what it holds."""
    bad = {"utils", "util", "helpers", "common", "misc", "manager"}
    assert [m for _, m in modules() if bad & set(m.split("."))] == []


def test_nothing_shipped_looks_like_a_test() -> None:
    """No shipped module, class or function starts with test, so no test runner picks it up."""
    for path, module in modules():
        names = [
            n.name for n in ast.parse(path.read_text()).body if isinstance(n, (ast.ClassDef, ast.FunctionDef))
        ]
        assert not path.name.startswith("test_"), module
        assert not [n for n in names if n.startswith(("test_", "Test"))], module


def test_ci_covers_the_supported_pythons() -> None:
    """The versions in the workflow are those of the classifiers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    prefix = "Programming Language :: Python :: "
    supported = {c.removeprefix(prefix) for c in project["classifiers"] if c.startswith(prefix)}
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    (versions,) = re.findall(r"python: \[(.*?)\]", workflow)
    assert {v.strip(' "') for v in versions.split(",")} == supported
    assert project["requires-python"] == f">={min(supported, key=lambda v: int(v.split('.')[1]))}"


def test_ci_runs_the_environments_a_developer_runs() -> None:
    """Every tox environment is a CI job of the same name, and the local CI script runs them all."""
    tox = (ROOT / "tox.ini").read_text()
    (envs,) = re.findall(r"env_list = (.*)", tox)
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    (jobs,) = re.findall(r"env: \[(.*?)\]", workflow)
    assert {j.strip(' "') for j in jobs.split(",")} == {e.strip() for e in envs.split(",")}


def test_the_readme_commands_are_those_ci_runs() -> None:
    """`.ci/run` runs the README's test command, word for word."""
    readme = (ROOT / "README.md").read_text()
    script = (ROOT / ".ci" / "run").read_text()
    (command,) = [line for line in script.splitlines() if "tox" in line and not line.startswith("#")]
    assert command in readme


def test_the_repository_speaks_of_itself_alone() -> None:
    """No path of one machine, no user's home, no registry host in any committed text."""
    pattern = re.compile(r"(?<![\w.])/(work|farm|home|root)/\w|pypi\.org|files\.pythonhosted|\.noreply\.")
    suffixes = {".py", ".md", ".toml", ".ini", ".j2", ".json", ".yml", ".svg", ".html", ".cfg"}
    skip = {
        ".tox",
        ".venv",
        ".git",
        "node_modules",
        ".mypy_cache",
        ".ruff_cache",
        ".hypothesis",
        ".pytest_cache",
    }
    found = []
    for path in ROOT.rglob("*"):
        if (
            path.suffix in suffixes
            and path != Path(__file__)
            and not skip & set(path.relative_to(ROOT).parts)
        ):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if pattern.search(line):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []
