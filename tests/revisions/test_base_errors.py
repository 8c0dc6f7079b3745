"""What must never become a verdict: the same code, foreign code, and runs that cannot be what was asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from repositories import Repo
from runs import QUICK, run


def test_a_clean_tree_against_its_own_commit(repo: Repo) -> None:
    """The same files on both sides are an error before a single verdict, also when tests differ."""
    repo.file("tests/test_speed.py", "import pkg\n\ndef test_renamed(benchmark):\n    benchmark(pkg.run)\n")
    done = run(repo, *QUICK)
    assert done.code == 4, done.output
    assert "hold the same files, tests apart" in done.output
    assert done.summary["verdict"] == "ERROR"
    assert "hold the same files" in done.summary["error"]
    assert done.summary["benchmarks"] == []


def test_a_change_the_benchmarks_do_not_import(repo: Repo) -> None:
    """A change elsewhere leaves the benchmarks comparing the code with itself: an error that names it."""
    repo.file("src/pkg/unused.py", "x = 1\n")
    done = run(repo, *QUICK)
    assert done.code == 4, done.output
    assert "all 2 files of the project" in done.output
    assert "changed elsewhere: src/pkg/unused.py" in done.output


def test_a_project_imported_from_an_installation(repo: Repo, tmp_path: Path) -> None:
    """A copy of the project in site-packages is measured on neither side: the error names module and file."""
    repo.file("pyproject.toml", "[project]\nname = 'pkg'\nversion = '1'\n")
    (repo.root / "src").rename(repo.root / "code")
    repo.file("code/pkg/__init__.py", "def run():\n    return 1\n")
    repo.file("pkg/__init__.py", "")  # the name is the project's, but the installed copy comes first
    repo.commit("base")
    repo.file("pkg/__init__.py", "x = 1")
    library = tmp_path / "site-packages"
    (library / "pkg").mkdir(parents=True)
    (library / "pkg/__init__.py").write_text("def run():\n    return sum(range(999))\n")
    repo.file("tests/conftest.py", f"import sys\nsys.path.insert(0, {str(library)!r})\n")
    done = run(repo, *QUICK)
    assert done.code == 4, done.output
    assert "the baseline side must import the project from its own tree" in done.output
    assert f"module 'pkg' came from an installation: {library}/pkg/__init__.py" in done.output
    assert "pip install -e" in done.output


def test_a_hard_coded_path_into_the_working_tree(repo: Repo) -> None:
    """A conftest that puts the working tree in front makes the base run the wrong code: an error."""
    repo.file("src/pkg/work.py", "def run():\n    return 1\n")
    source = repo.root / "src"
    repo.file("tests/conftest.py", f"import sys\nsys.path.insert(0, {str(source)!r})\n")
    done = run(repo, *QUICK)
    assert done.code == 4, done.output
    assert "module 'pkg' came from the other side's tree" in done.output
    assert "hard-coded path" in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--optbench-base=nowhere"], "'nowhere' is no commit of this repository"),
        (["-n2"], "cannot be distributed, received -n/--dist of pytest-xdist; run it without (-n0)"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_runs(
    repo: Repo, arguments: list[str], words: str
) -> None:
    """An unknown revision or a distributed run ends with exit status 4 before a test runs."""
    repo.file("tests/test_ordinary.py", "def test_ordinary():\n    open('ran', 'w')\n")
    done = run(repo, *arguments, plugins=("xdist.plugin", "pytest_benchmark.plugin"))
    assert done.code == 4, done.output
    assert words in done.output
    assert not (repo.root / "ran").exists()


def test_a_base_without_optbench_is_an_error(pytester: pytest.Pytester) -> None:
    """Asking for a base without measuring is a usage error, not a run that compares nothing."""
    pytester.makepyfile("def test_ordinary(): pass")
    done = pytester.runpytest_subprocess("--optbench-base=HEAD")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*--optbench-base compares by measuring: add --optbench*"])


def test_outside_a_repository(pytester: pytest.Pytester) -> None:
    """Without git there is no other revision."""
    pytester.makepyfile("def test_ordinary(): pass")
    done = pytester.runpytest_subprocess("--optbench", "--optbench-base=HEAD")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(
        ["*needs the tests to lie in a git working tree*run pytest inside the repository*"]
    )


def test_measure_without_a_base_says_what_to_add(pytester: pytest.Pytester) -> None:
    """optbench.measure has nothing to compare with until a base is named."""
    pytester.makepyfile("def test_one(optbench):\n    optbench.measure(lambda: 1)\n")
    done = pytester.runpytest_subprocess("--optbench", "-p", "no:codspeed")
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    done.stdout.fnmatch_lines(["*measure() has nothing to compare with*--optbench-base=REV*"])


def test_only_the_git_command_is_needed(repo: Repo) -> None:
    """Without git on the PATH the error says so."""
    done = run(repo, PATH=os.path.join(os.sep, "nowhere"))  # noqa: PTH118
    assert done.code == 4, done.output
    assert "needs the git command" in done.output
