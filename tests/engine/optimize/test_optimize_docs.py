"""The programs and the command in the documentation work as they stand."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs" / "optimizer.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
PROGRAMS = [text for kind, text in BLOCKS if kind == "python" and "import" in text]


def run(command: list[str], folder: Path) -> str:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_each_whole_program_runs(number: int, tmp_path: Path) -> None:
    """Every Python block with imports is a program that ends without an error."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAMS[number])
    run([sys.executable, str(program)], tmp_path)


def test_the_algorithms_are_built_as_shown() -> None:
    """The block of algorithms and the space above it build what they name."""
    import optengine

    space = next(text for kind, text in BLOCKS if kind == "python" and text.startswith("SPACE"))
    algorithms = next(text for kind, text in BLOCKS if kind == "python" and text.startswith("GridSearch"))
    names = {name: getattr(optengine, name) for name in optengine.__all__ if name.endswith("Algorithm")}
    exec(space, names)
    built = 0
    for statement in ast.parse(algorithms).body:
        assert isinstance(statement, ast.Expr)
        code = compile(ast.Expression(statement.value), str(DOCS), "eval")
        assert eval(code, names).total > 0  # noqa: S307 - a line of our own documentation
        built += 1
    assert built == 6


def test_the_command_runs_with_the_space_shown(tmp_path: Path) -> None:
    """The example of the command line ends with a best trial and leaves the files it names."""
    (tmp_path / "space.toml").write_text(next(text for kind, text in BLOCKS if kind == "toml"))
    console = next(text for kind, text in BLOCKS if kind == "console")
    words = console.removeprefix("$ optengine ").replace("\\\n", " ").replace("200", "12").split()
    output = run([sys.executable, "-m", "optengine.cli", *words], tmp_path)
    assert "best: trial" in output
    assert {file.name for file in tmp_path.iterdir()} >= {"run.jsonl", "trials.parquet"}
