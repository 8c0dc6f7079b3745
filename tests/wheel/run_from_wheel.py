"""Run the plugin's tests against the installed wheel, with the source folders out of the way.

``pytest_optbench/`` lies at the root of the repository, so running tests from there would import it even if the
wheel lacked half its files. This script works in an empty folder: it checks where the packages come from and that the
wheel holds them byte for byte, then copies tests there and runs them: those that need what is registered and shipped
beside code. What the same code does in all other tests is known from the sources.

    python run_from_wheel.py ROOT_OF_THE_REPOSITORY
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import distribution, entry_points
from pathlib import Path

SHIPPED = (
    "pytest_optbench/py.typed",
    "pytest_optbench/store/decision.schema.json",
    "pytest_optbench/report/templates/decision.md.j2",
    "pytest_optbench/report/templates/index.md.j2",
    "pytest_optbench/report/templates/index.html.j2",
    "pytest_optbench/report/templates/decision.html.j2",
    "pytest_optbench/report/templates/tables.html.j2",
    "pytest_optbench/report/templates/report.css",
    "pytest_optbench/report/templates/report.js",
    "optengine/py.typed",
)


def main(root: Path) -> int:
    """Return the exit status of the tests; 1 when the wheel itself is not right."""
    with tempfile.TemporaryDirectory() as folder:
        problems = wheel_problems(root)
        if problems:
            print(*problems, sep="\n")
            return 1
        for name in ("plugin", "conftest.py"):
            source, target = root / "tests" / name, Path(folder) / name
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "plugin/test_outlets.py",
            "plugin/test_idle.py",
        ]
        return subprocess.run([*command, "-q", "-p", "no:cacheprovider"], cwd=folder, check=False).returncode


def sources(root: Path) -> dict[str, Path]:
    """Return every file of both packages by the name it has in the wheel."""
    return {
        path.relative_to(package.parent).as_posix(): path
        for package in (root / "pytest_optbench", root / "src" / "optengine")
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def wheel_problems(root: Path) -> list[str]:
    """Return what is wrong with the installed distribution."""
    problems = []
    files = {str(file): file for file in distribution("pytest-optbench").files or ()}
    problems += [f"the wheel lacks {name}" for name in SHIPPED if name not in files]
    problems += [
        f"the wheel must hold {name} as it is in the sources"
        for name, path in sources(root).items()
        if name not in files or Path(str(files[name].locate())).read_bytes() != path.read_bytes()
    ]
    problems += [
        f"the wheel ships {name}" for name in files if name.startswith(("tests/", "benchmarks/", "reports/"))
    ]
    for name in ("pytest_optbench", "optengine"):
        where = Path(importlib.import_module(name).__file__ or "").resolve()
        if where.is_relative_to(root.resolve() / "src") or where.is_relative_to(
            root.resolve() / "pytest_optbench"
        ):
            problems.append(f"{name} is imported from the sources, not from the wheel")
    plugins = {point.name: point.value for point in entry_points(group="pytest11")}
    if plugins.get("optbench") != "pytest_optbench.plugin":
        problems.append("the wheel registers no pytest plugin named optbench")
    commands = {point.name for point in entry_points(group="console_scripts")}
    problems += [
        f"the wheel installs no command {name}" for name in ("optbench", "optengine") if name not in commands
    ]
    return problems


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
