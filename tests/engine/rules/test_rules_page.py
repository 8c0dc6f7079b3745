"""The page on the validator says what the code does: its example runs, its tables are complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from optengine.rules import Severity, Status
from optengine.rules.bench.measure import CLAIMED
from optengine.rules.formats import FORMATS
from optengine.rules.validator import MODES

PAGE = (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")
ORDERS = "def total(prices):\n    try:\n        return sum(prices)\n    except:\n        return 0\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a folder with the page's rule set and the folder it validates."""
    rules, script = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "house_rules.py").write_text(rules, encoding="utf-8")
    call = script.replace("from optengine", "from house_rules import RULES\nfrom optengine").splitlines()
    imports = [line for line in call if line.startswith("from ")]
    body = [f"    {line}" for line in call if line and not line.startswith("from ")]
    main = 'if __name__ == "__main__":'
    (tmp_path / "script.py").write_text("\n".join([*imports, main, *body]), encoding="utf-8")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "orders.py").write_text(ORDERS, encoding="utf-8")
    return tmp_path


def run(folder: Path, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return [shape(line) for line in done.stdout.splitlines()]


def shape(line: str) -> str:
    """Return the line without times."""
    return re.sub(r"\d+\.\d+", "0", line).rstrip()


def test_the_example_prints_what_the_page_shows(shop: Path) -> None:
    """Both listings come from the page's rules: without a licence, and from the cache after a run with one."""
    first, cached = re.findall(r"```console\n\$ optengine (.*?)\n(.*?)```", PAGE, re.DOTALL)
    printed = run(shop, "-m", "optengine.cli", *first[0].split())
    # How many workers there could be is the machine's business.
    assert [shape(line) for line in first[1].splitlines()][:-1] == printed[:-1]
    (shop / "shop" / "LICENSE").write_text("Copyright 2026\n", encoding="utf-8")
    for _ in range(2):
        printed = run(shop, "-m", "optengine.cli", *cached[0].split())
    assert [shape(line) for line in cached[1].splitlines()] == printed


def test_the_python_example_gives_one_result_per_rule(shop: Path) -> None:
    """The same rules in worker processes, called from Python: three results in order."""
    printed = run(shop, "script.py")
    assert [line.split()[:2] for line in printed] == [
        ["LAY001", "FAIL"],
        ["LAY002", "SKIP"],
        ["PY001", "FAIL"],
    ]


def test_every_status_mode_format_and_severity_is_on_the_page() -> None:
    """Nothing the code knows is missing from the page."""
    for name in (*Status, *MODES, *FORMATS):
        assert f"`{name}`" in PAGE or f"`--format {name}`" in PAGE, name
    assert all(severity in PAGE for severity in Severity)


def test_the_claim_restated_is_the_one_measured_against() -> None:
    """The page's table holds the figures the benchmark writes beside its own."""
    for key in ("sequential_s", "threads_s", "processes_s"):
        assert f"| {CLAIMED[key]} s |" in PAGE
    assert f"| {CLAIMED['processes_speedup']}x |" in PAGE
