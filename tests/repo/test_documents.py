"""Documents say what the code does: their examples are run, their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def shape(line: str) -> str:
    """Return the line without figures, widths, and what a busy machine may decide otherwise."""
    line = re.sub(r"REJECT|INCONCLUSIVE", "UNPROVED", line)
    line = re.sub(r"(pairs, look \d of \d;).*", r"\1", line)
    line = re.sub(
        r"(FAILED .*?: UNPROVED).*", r"\1", line
    )  # cut to the terminal, at a place the words decide
    line = re.sub(r"test_\w+…?", "test", line)
    line = re.sub(r"-?\d+(\.\d+)?", "0", line)
    return re.sub(r"\s+", " ", re.sub(r"[=_]{5,}", "===", line)).strip()


def test_the_readme_prints_what_it_shows(pytester: pytest.Pytester) -> None:
    """The README's example, run, gives the output shown: same lines and words, other figures."""
    readme = (ROOT / "README.md").read_text()
    code, output = re.findall(r"```(?:python)?\n(.*?)```", readme, re.DOTALL)[:2]
    (pytester.path / "test_words.py").write_text(code)
    result = pytester.runpytest_subprocess("--optbench", timeout=500)
    assert result.ret == 1

    printed = {shape(line) for line in result.outlines}
    missing = [line for line in output.strip().splitlines() if shape(line) not in printed]
    assert missing == []


def test_the_tutorial_prints_what_it_shows(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Followed from top to bottom, the tutorial gives the output shown: same lines and words, other figures."""
    monkeypatch.delenv("CI", raising=False)  # where it is set, pytest does not cut its lines to the terminal
    monkeypatch.delenv("BUILD_NUMBER", raising=False)
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    test_file, compared = pytester.path / "test_words.py", 0
    for language, block in re.findall(r"```(python|console)\n(.*?)```", page, re.DOTALL):
        if language == "python":
            with test_file.open("a", encoding="utf-8") as file:
                file.write(f"\n\n{block}")
        elif block.startswith("$ pytest "):
            command, *output = block.strip().splitlines()
            arguments = command.split()[2:]
            result = pytester.runpytest_subprocess(*arguments, timeout=500)
            printed = {shape(line) for line in result.outlines}
            assert [line for line in output if shape(line) not in printed] == [], command
            compared += 1
    assert compared == 4


def anchors(page: Path) -> set[str]:
    """Return what links to headings of the page may end in, as GitHub derives it from them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = (
        re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line) for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    )
    return {re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_links_between_documents_lead_somewhere() -> None:
    """Every relative link of the README and the docs names a file of the repository, and a heading it has."""
    broken, headed = [], 0
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target, anchor in re.findall(
            r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf-8")
        ):
            file = page.parent / target if target else page
            if not file.exists() or (file.suffix == ".md" and anchor and anchor not in anchors(file)):
                broken.append(f"{page.name}: {target}#{anchor}")
            headed += bool(anchor)
    assert broken == []
    assert headed > 20
