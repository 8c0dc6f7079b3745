"""Runs pytest with --optbench-base in a repository and reads back what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repositories import Repo

QUICK = ("--optbench-quick", "--optbench-max-trials=4")
"""Four pairs: enough to see how a run behaves, never enough for an ACCEPT."""


@dataclass(frozen=True)
class Done:
    """What a finished run said and wrote."""

    code: int
    output: str
    reports: Path

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.reports / "summary.json").read_text())
        return found

    def document(self, name: str) -> dict[str, Any]:
        """Return the only decision whose id ends with ``name``."""
        (found,) = [
            doc for doc in json.loads((self.reports / "index.json").read_text()) if doc["id"].endswith(name)
        ]
        return dict(found)


def command(
    *arguments: str, base: str = "HEAD", plugins: tuple[str, ...] = ("pytest_benchmark.plugin",)
) -> list[str]:
    """Return a command line that loads few plugins, so that children start quickly."""
    loaded = [word for name in ("pytest_optbench.plugin", *plugins) for word in ("-p", name)]
    asked = ("--optbench", f"--optbench-base={base}", "--optbench-seed=7")
    return [sys.executable, "-m", "pytest", *loaded, *asked, *arguments]


def run(
    repo: Repo,
    *arguments: str,
    base: str = "HEAD",
    folder: str = ".",
    plugins: tuple[str, ...] = ("pytest_benchmark.plugin",),
    **environment: str,
) -> Done:
    found = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment}
    here = str(Path(__file__).parent)
    found["PYTHONPATH"] = os.pathsep.join(filter(None, (found.get("PYTHONPATH"), here)))
    done = subprocess.run(
        command(*arguments, base=base, plugins=plugins),
        cwd=repo.root / folder,
        env={**found, "PYTEST_PLUGINS": "untraced_children"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=500,
        check=False,
    )
    reports = next(
        (p for p in (repo.root / folder / "reports", repo.root / "reports") if p.exists()), repo.root
    )
    return Done(done.returncode, done.stdout, reports)
