"""The example rule sets run on real trees: this repository, and one with planted faults."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from optengine.rules import ProcessPoolValidator, RuleSet, Status

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _examples_on_path() -> Iterator[None]:
    sys.path.insert(0, str(REPOSITORY))
    yield
    sys.path.remove(str(REPOSITORY))


def rules() -> RuleSet:
    from examples.rules.python_repo import RULES

    return RULES


def test_the_example_is_a_real_rule_set() -> None:
    """At least 40 rules in at least three layers, each with a title, a severity and a tag."""
    assert len(rules()) >= 40
    assert len(rules().batches()) >= 4
    assert all(rule.title and rule.tags for rule in rules())


@pytest.mark.usefixtures("untraced")
def test_this_repository_keeps_its_rules() -> None:
    """This repository has no finding at or above MEDIUM, and every rule could be judged."""
    report = ProcessPoolValidator(REPOSITORY, rules(), mode="auto", max_workers=2).validate()
    unjudged = [
        (one.rule_id, one.reason) for one in report.results if one.status in ("ERROR", "TIMEOUT", "CRASH")
    ]
    assert unjudged == []
    assert [(one.rule_id, one.message) for one in report.findings("MEDIUM")] == []
    assert report.counts["PASS"] > 40


BAD = {
    "pyproject.toml": "[project]\nname = 'x'\ndependencies = ['a', 'b==1', 'a']\nscripts = {run = 'pkg.main:go'}\n"
    "[build-system]\nrequires = []\n[tool.mypy]\nstrict = true\n",
    "README.md": "[link](missing.md)\n\n```python\nif:\n```\n",
    "pkg/__init__.py": "from pkg import *\nimport requests\n__all__ = ['nothing']\n",
    "pkg/main.py": "import pkg.other\nimport tests\nimport pkg.missing.deep\n"
    "def f(a=[]):\n    try:\n        eval('1')\n    except:\n        pass\n"
    "    finally:\n        return\n    print(f'x')\n",
    "pkg/other.py": "import pkg.main\nassert (1, 2)\nx = {1: 1, 1: 2}\ny = x == None\nimport os\nos.system('ls')\n",
    "pkg/utils.py": "try:\n    pass\nexcept Exception:\n    pass\nopen('x')\ndef g():\n    return 1\n    return 2\r\n",
    "pkg/sub/mod.py": "",
    "pkg/BadName.py": '"""Fine."""\n\n\nclass A:\n    pass\n',
    "tests/test_a.py": "import unittest.mock\nimport pytest\n\n\n@pytest.mark.skip()\ndef test_a():\n    pass\n",
    "tests/test_none.py": "",
    ".github/workflows/ci.yml": "on: pull_request_target\njobs:\n  x:\n    steps:\n      - uses: a/b@main\n"
    "      - run: echo ${{ github.event.issue.title }}\n",
    "LICENSE": "All your rights belong to somebody.\n",
}
EXPECTED = {
    *(
        "LAY005",
        "LAY008",
        "LAY009",
        "LAY010",
        "LAY011",
        "LAY013",
        "PKG003",
        "PKG004",
        "PKG005",
        "PKG006",
        "PKG007",
    ),
    *(
        "PKG008",
        "PKG010",
        "PKG011",
        "PKG013",
        "PKG014",
        "AST002",
        "AST003",
        "AST004",
        "AST005",
        "AST006",
        "AST007",
    ),
    *(
        "AST008",
        "AST009",
        "AST010",
        "AST011",
        "AST014",
        "AST015",
        "AST016",
        "AST018",
        "IMP001",
        "IMP003",
        "IMP004",
    ),
    *(
        "IMP005",
        "DOC001",
        "DOC005",
        "DOC006",
        "DOC007",
        "TST001",
        "LIC002",
        "WFL002",
        "WFL003",
        "WFL004",
        "WFL005",
    ),
    *("WFL007",),
}


def test_planted_faults_are_all_found(tmp_path: Path) -> None:
    """On a small repository with planted faults exactly the rules about them fail: no rule is vacuous."""
    for name, text in BAD.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    report = ProcessPoolValidator(tmp_path, rules(), mode="sequential").validate()
    failed = {one.rule_id for one in report.results if one.status is Status.FAIL}
    assert failed == EXPECTED
    assert not [one for one in report.results if one.status is Status.ERROR]
    assert report.result("TST002").reason == "skipped: TST001 failed"
    (tmp_path / "pkg" / "main.py").write_text("def broken(:\n")
    again = ProcessPoolValidator(tmp_path, rules(), mode="sequential").validate()
    assert again.result("AST001").status is Status.FAIL
    assert again.result("AST001").evidence["locations"][0]["path"] == "pkg/main.py"
    assert again.result("AST002").status is Status.SKIP


def test_the_adapter_judges_as_repo_review_does(tmp_path: Path) -> None:
    """sp-repo-review's checks, run as rules with their own requirements, give what repo-review itself
    gives."""
    processor = pytest.importorskip(
        "repo_review.processor", reason="needs the packages repo-review and sp-repo-review"
    )
    pytest.importorskip("sp_repo_review", reason="needs the package sp-repo-review")
    from examples.rules.sp_repo_review import rules as adapted

    theirs = {one.name: one.result for one in processor.process(REPOSITORY).results}
    words = {True: "PASS", False: "FAIL", None: "SKIP"}
    options = {"cache_dir": tmp_path / "cache", "mode": "sequential"}
    first = ProcessPoolValidator(REPOSITORY, adapted(), **options).validate()  # type: ignore[arg-type]
    ours = {one.rule_id: one.status for one in first.results}
    assert len(theirs) > 40
    assert {name: ours[name] for name in theirs} == {name: words[result] for name, result in theirs.items()}
    assert first.stats.uncached == {}
    again = ProcessPoolValidator(REPOSITORY, adapted(), **options).validate()  # type: ignore[arg-type]
    assert again.verdicts == first.verdicts
    assert again.stats.cache_hits == first.counts["PASS"] + first.counts["FAIL"]
