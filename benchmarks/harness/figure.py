"""A figure: what was run, what was found, whether it meets its target; as markdown with JSON beside it."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path("reports/figures")


@dataclass(frozen=True)
class Check:
    """One target; `passed` is None for what is shown for information."""

    name: str
    required: str
    achieved: str
    passed: bool | None


@dataclass(frozen=True)
class Table:
    """A heading, rows of cells under a header, and what to know when reading them."""

    heading: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def markdown(self) -> str:
        """Return the table with its heading."""
        rows = [self.header, ["---"] * len(self.header), *self.rows]
        text = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
        return f"## {self.heading}\n\n{text}\n" + (f"\n{self.note}\n" if self.note else "")


@dataclass(frozen=True)
class Figure:
    """Everything of one figure; `data` are plain JSON values that all numbers follow from."""

    title: str
    what: str
    command: str
    seconds: float
    checks: Sequence[Check]
    tables: Sequence[Table]
    data: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether no target was missed."""
        return all(check.passed is not False for check in self.checks)

    def write(self, path: Path) -> int:
        """Write `path` and the JSON beside it, print the figure, and return the exit status."""
        facts = environment()
        marks = {True: "pass", False: "**FAIL**", None: "for information"}
        rows = [(c.name, c.required, c.achieved, marks[c.passed]) for c in self.checks]
        targets = Table("Targets", ("what", "required", "achieved", ""), rows)
        lines = [f"- {name}: {value}" for name, value in facts.items()]
        text = "\n".join(
            [
                f"# {self.title}",
                "",
                self.what,
                "",
                f"- command: `{self.command}`",
                *lines,
                f"- seconds: {self.seconds:.0f}",
                "",
                *[table.markdown() for table in (targets, *self.tables)],
            ]
        )
        record = {
            "title": self.title,
            "command": self.command,
            "environment": facts,
            "seconds": round(self.seconds, 1),
            "passed": self.passed,
            "checks": [asdict(check) for check in self.checks],
            **self.data,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(text)
        return 0 if self.passed else 1


def environment() -> dict[str, str]:
    """Return what matters for reading the numbers; nothing that names the machine."""
    packages = ("pytest-optbench", "pytest", "pytest-benchmark", "numpy", "scipy")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "ran on": f"{platform.python_implementation()} {platform.python_version()}, {platform.system()}, "
        f"{usable} CPUs, load average at the end {os.getloadavg()[0]:.1f}",
        "packages": versions,
    }


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """Return a parser with `--out` and `--seed`."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.harness.{name}", description=description)
    made.add_argument(
        "--out",
        type=Path,
        default=FOLDER / f"{name}.md",
        metavar="FILE.md",
        help="markdown file, JSON goes beside it (default %(default)s)",
    )
    made.add_argument("--seed", type=int, default=1, help="seed of the order of runs (default %(default)s)")
    return made


def command_line(made: argparse.ArgumentParser, options: argparse.Namespace) -> str:
    """Return the command with every option but the file written, so that no path of this machine shows."""
    chosen = [f"--{name.replace('_', '-')} {value}" for name, value in vars(options).items() if name != "out"]
    return " ".join([made.prog, *chosen])


def progress(message: str) -> None:
    """Print one line of progress to standard error."""
    print(message, file=sys.stderr, flush=True)
