"""Documents say what the code does: tables are generated, examples are run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_optbench import options
from pytest_optbench.report.reasons import REASONS

ROOT = Path(__file__).parents[2]
DEFAULTS = options.Settings()


def between(name: str, marker: str) -> str:
    text = (ROOT / "docs" / name).read_text()
    (found,) = re.findall(rf"<!-- {marker}: begin .*?-->\n(.*?)\n<!-- {marker}: end -->", text, re.DOTALL)
    return found


def options_table() -> str:
    rows = ["| option | ini key | what it does |", "|---|---|---|"]
    for option in options._OPTIONS:
        flag = option.flag + (f" {option.metavar}" if option.metavar else "")
        rows.append(f"| `{flag}` | `{option.ini}` | {option.help.replace('%%', '%')} |")
    return "\n".join(rows)


def reasons_table() -> str:
    rows = ["| code | meaning |", "|---|---|"]
    return "\n".join(
        rows + [f"| `{code}` | {text} |" for code, text in REASONS.items() if code != "continue"]
    )


@pytest.mark.parametrize(
    ("name", "marker", "table"),
    [("usage.md", "options", options_table), ("reports.md", "reasons", reasons_table)],
)
def test_tables_are_those_of_the_code(name: str, marker: str, table: object) -> None:
    """The table of options and that of reason codes are what the code says."""
    assert callable(table)
    assert between(name, marker) == table()


def test_the_readme_prints_what_it_shows(pytester: pytest.Pytester) -> None:
    """The README's example, run, gives the output shown: same lines and words, other figures."""
    readme = (ROOT / "README.md").read_text()
    code, output = re.findall(r"```(?:python)?\n(.*?)```", readme, re.DOTALL)[:2]
    (pytester.path / "test_words.py").write_text(code)
    # A wide threshold: what memory layout gives one of two equal functions for the life of a process (a known limit)
    # must not decide whether the page is right. Figures are compared by their shape only.
    result = pytester.runpytest_subprocess("--optbench", "--optbench-min-speedup=20%", timeout=120)
    assert result.ret == 1

    def shape(line: str) -> str:
        """Return the line without figures, widths, and what a busy machine may decide otherwise."""
        line = re.sub(r"REJECT|INCONCLUSIVE", "UNPROVED", line)
        line = re.sub(r"(pairs, look \d of \d;).*", r"\1", line)
        line = re.sub(r"test_\w+…?", "test", line)
        line = re.sub(r"-?\d+(\.\d+)?", "0", line)
        return re.sub(r"\s+", " ", re.sub(r"[=_]{5,}", "===", line)).strip()

    printed = {shape(line) for line in result.outlines}
    missing = [line for line in output.strip().splitlines() if shape(line) not in printed]
    assert missing == []


def test_links_between_documents_lead_somewhere() -> None:
    """Every relative link of the README and the docs names a file of the repository."""
    broken = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            if not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []
