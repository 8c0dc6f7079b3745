"""What happens without the optional packages, in interpreters where they cannot be imported."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import optengine

SOURCES = Path(optengine.__file__).parent


def without(package: str, statement: str) -> str:
    """Standard error of a statement run where the package cannot be imported."""
    program = f"import sys\nsys.modules[{package!r}] = None\nfrom optengine import *\n{statement}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240)
    return done.stderr


SPACE = "{'x': {'type': 'uniform', 'low': 0, 'high': 1}}"
RUN = f"ParallelOptimizer(RandomSearchAlgorithm({SPACE}, 3, 1), backend='ray')"


@pytest.mark.parametrize(
    ("package", "statement", "feature", "extra"),
    [
        ("optuna", f"BayesianSearchAlgorithm({SPACE}, 3)", "Bayesian search", "search"),
        ("cmaes", f"CMAESSearchAlgorithm({SPACE}, 3)", "CMA-ES search", "search"),
        (
            "torch",
            f"BayesianSearchAlgorithm({SPACE}, 3, sampler='gp')",
            "Bayesian search with a Gaussian process",
            "gp",
        ),
        ("ray", RUN, "backend='ray'", "ray"),
    ],
)
def test_a_missing_package_names_its_extra(package: str, statement: str, feature: str, extra: str) -> None:
    """The error says which feature needs which package and how to install it."""
    error = without(package, statement)
    assert f"{feature} needs the package {package!r}, which is not installed" in error
    assert f"pip install 'pytest-optbench[{extra}]'" in error


@pytest.mark.parametrize(
    ("package", "name"),
    [("pydantic", "PersistentWorkerPool"), ("pyarrow", "SharedFrame"), ("pydantic", "ParallelOptimizer")],
)
def test_the_core_install_names_the_extra_engine(package: str, name: str) -> None:
    """Without the engine's packages its names end in one error that says what to install."""
    program = f"import sys\nsys.modules[{package!r}] = None\nfrom optengine import {name}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240)
    assert f"optengine.{name} needs the package {package!r}, which is not installed" in done.stderr
    assert done.stderr.endswith("install it with: pip install 'pytest-optbench[engine]'\n")


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("pydantic", "optimize json:loads --space space.toml"),
        ("pyarrow", "sweep data.csv --strategy json:loads --grid x=1"),
    ],
)
def test_a_command_of_the_core_install_names_the_extra_engine(package: str, arguments: str) -> None:
    """A command whose packages are missing is wrong usage with a cure, neither unknown nor a traceback."""
    program = f"import sys\nsys.modules[{package!r}] = None\nfrom optengine.cli import main\nsys.exit(main())"
    command = [sys.executable, "-c", program, *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    named = f"optengine {arguments.split()[0]} needs the package {package!r}, which is not installed; "
    assert done.stderr == f"{named}install it with: pip install 'pytest-optbench[engine]'\n"
    assert done.returncode == 2


def test_everything_else_works_without_optional_packages() -> None:
    """Grid, random, genetic and BOHB searches, the serial and the local backend need none of them."""
    program = f"""
import sys
for package in ("optuna", "cmaes", "torch", "ray", "matplotlib"):
    sys.modules[package] = None
from optengine import *
for search in (
    GridSearchAlgorithm({{"x": [1.0, 2.0]}}),
    RandomSearchAlgorithm({SPACE}, 5, 1),
    GeneticSearchAlgorithm({SPACE}, 8, 1, population=4),
    BOHBSearchAlgorithm({SPACE}, 1, 3, n_iter=5, seed=1),
):
    ParallelOptimizer(search, backend="serial").run(lambda params: params["x"])
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=240)


def test_ray_is_imported_in_one_file() -> None:
    """One place knows Ray, so that nothing else can come to need it."""
    pattern = re.compile(r"^\s*(import|from) ray\b|require\(\"ray\"", re.MULTILINE)
    files = [path for path in SOURCES.rglob("*.py") if pattern.search(path.read_text(encoding="utf-8"))]
    assert [path.relative_to(SOURCES).as_posix() for path in files] == ["optimize/backends/ray.py"]


def test_importing_the_package_imports_no_search() -> None:
    """``import optengine`` loads neither numpy nor any part of the optimizer."""
    program = "import sys, optengine; print([m for m in ('numpy', 'pydantic', 'optengine.search') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=240
    )
    assert done.stdout.strip() == "[]"
