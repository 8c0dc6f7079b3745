"""Fingerprints of code: what changes them and what does not."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optengine.optimize.fingerprint import code_fingerprint, data_fingerprint
from optengine.optimize.shared import SharedObject, share_handles

BASE = """
RATE = 0.5
class Model:
    scale = 2
    def value(self, x):
        return x * self.scale
def helper(x):
    return x + RATE
def objective(params):
    "Says what it does."
    return helper(params["x"]) + Model().value(1)
"""

SAME = {
    "a comment": BASE.replace("return helper", "# why\n    return helper"),
    "a docstring": BASE.replace("Says what it does.", "Says it better."),
    "blank lines": BASE.replace("def helper", "\n\n\ndef helper"),
    "an unused function": BASE + "\ndef other():\n    return 3\n",
}
OTHER = {
    "the objective": BASE.replace('params["x"])', 'params["x"], )').replace("+ Model", "- Model"),
    "a function it calls": BASE.replace("x + RATE", "x - RATE"),
    "a constant it reads": BASE.replace("RATE = 0.5", "RATE = 0.6"),
    "a method of a class it uses": BASE.replace("x * self.scale", "x / self.scale"),
    "an attribute of that class": BASE.replace("scale = 2", "scale = 3"),
    "a default": BASE.replace("def objective(params)", "def objective(params, rate=3)"),
}


def load(source: str, folder: Path) -> Callable[..., Any]:
    """The objective of a module written to a file and imported under one name."""
    import importlib.util

    file = folder / "subject.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location("subject", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    file.with_suffix(".pyc").unlink(missing_ok=True)
    exec(compile(source, str(file), "exec"), module.__dict__)
    return module.objective  # type: ignore[no-any-return]


@pytest.mark.parametrize("change", list(SAME))
def test_what_does_not_matter_does_not_change_it(change: str, tmp_path: Path) -> None:
    """Comments, docstrings, layout and unused functions leave the fingerprint as it was."""
    assert code_fingerprint(load(SAME[change], tmp_path)) == code_fingerprint(load(BASE, tmp_path))


@pytest.mark.parametrize("change", list(OTHER))
def test_what_matters_changes_it(change: str, tmp_path: Path) -> None:
    """Code, constants, methods and defaults that the objective reaches are seen."""
    assert code_fingerprint(load(OTHER[change], tmp_path)) != code_fingerprint(load(BASE, tmp_path))


def test_partials_closures_methods_and_callable_objects_are_seen() -> None:
    """Arguments bound, variables closed over and plain state of objects count."""

    def make(factor: object) -> Callable[..., Any]:
        return lambda params: params["x"] * factor

    class Strategy:
        def __init__(self, rate: float) -> None:
            self.rate = rate

        def __call__(self, params: dict[str, Any]) -> float:
            return self.rate

        def score(self, params: dict[str, Any]) -> float:
            return self.rate

    def base(params: dict[str, Any], rate: float) -> float:
        return rate

    for make_one in (
        make,
        lambda value: make((value, frozenset({value}), {"a": [value]})),
        lambda value: functools.partial(base, rate=value),
        Strategy,
        lambda value: Strategy(value).score,
    ):
        assert code_fingerprint(make_one(1.0)) == code_fingerprint(make_one(1.0))
        assert code_fingerprint(make_one(1.0)) != code_fingerprint(make_one(2.0))


def test_it_is_the_same_in_another_process() -> None:
    """Hash seeds and addresses of another interpreter do not matter."""
    program = (
        "from optimize_tasks import noisy\n"
        "from optengine.optimize.fingerprint import code_fingerprint\n"
        "print(code_fingerprint(noisy))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parent,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=240,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_data_is_seen_by_content() -> None:
    """Equal plain objects have equal fingerprints, others do not; handles say their own."""
    plain = share_handles({"a": {"x": [1, 2]}})
    assert isinstance(plain["a"], SharedObject)
    assert data_fingerprint(plain) == data_fingerprint(share_handles({"a": {"x": [1, 2]}}))
    assert data_fingerprint(plain) != data_fingerprint(share_handles({"a": {"x": [1, 3]}}))

    class Handle:
        fingerprint = "abc"

        def get(self) -> int:
            return 1

    assert data_fingerprint(share_handles({"h": Handle()})) == {"h": "abc"}
