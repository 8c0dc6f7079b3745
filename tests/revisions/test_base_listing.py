"""Which benchmarks are compared, and what is said of the others."""

from __future__ import annotations

from repositories import Repo
from runs import QUICK, run


def test_nothing_is_left_out_silently(repo: Repo) -> None:
    """New, removed, incomparable, failing and skipped benchmarks are listed, each with its reason."""
    repo.file("src/pkg/__init__.py", "def run():\n    return sum(range(2000))\n\ndef old():\n    return 1\n")
    repo.file(
        "tests/test_speed.py",
        """
        import pkg

        def test_kept(benchmark):
            benchmark(pkg.run)

        def test_removed(benchmark):
            benchmark(pkg.run)

        def test_changed(benchmark):
            benchmark(pkg.old)
        """,
    )
    repo.file("tests/test_gone.py", "def test_gone(benchmark):\n    benchmark(sum, range(9))\n")
    repo.commit("base")
    (repo.root / "tests/test_gone.py").unlink()
    repo.file(
        "src/pkg/__init__.py", "def run():\n    return sum(list(range(2000)))\n\ndef new():\n    return 1\n"
    )
    repo.file(
        "tests/test_speed.py",
        """
        import pkg
        import pytest

        def test_kept(benchmark):
            benchmark(pkg.run)

        def test_changed(benchmark):
            benchmark(pkg.new)

        def test_brand_new(benchmark):
            benchmark(pkg.new)

        def test_failing(benchmark):
            assert benchmark(pkg.run) == 0

        def test_skipped(benchmark):
            pytest.skip("not today")

        def test_unused(benchmark):
            pass
        """,
    )
    repo.file(
        "tests/test_untracked.py", "import pkg\n\ndef test_untracked(benchmark):\n    benchmark(pkg.run)\n"
    )
    before = repo.state()
    done = run(repo, *QUICK, "--optbench-gate=off", "-rs")
    assert done.code == 1, done.output
    found = done.summary
    assert [row["id"].rpartition("::")[2] for row in found["benchmarks"]] == ["test_kept", "test_untracked"]
    listed = {
        book: {each["id"].rpartition("::")[2]: each["reason"] for each in found[book]}
        for book in ("new", "removed", "incomparable", "failed", "skipped")
    }
    assert set(listed["new"]) == {"test_brand_new", "test_untracked"}
    assert listed["new"]["test_untracked"] == "compared: it runs at the base as well"
    assert listed["new"]["test_brand_new"] == (
        "new, cannot run at HEAD: AttributeError: module 'pkg' has no attribute 'new'"
    )
    assert set(listed["removed"]) == {"test_removed", "test_gone"}
    assert set(listed["incomparable"]) == {"test_changed"}
    assert listed["incomparable"]["test_changed"].startswith(
        "incomparable with HEAD: baseline: the test failed"
    )
    assert set(listed["failed"]) == {"test_failing", "test_unused"}
    assert listed["skipped"] == {"test_skipped": "not today"}
    assert "3 failed, 2 passed, 2 skipped" in done.output
    assert "AttributeError: module 'pkg' has no attribute 'new'" in done.output
    assert "optbench: benchmarks of the base that are gone: tests/test_gone.py::test_gone" in done.output
    assert found["verdict"] == "REJECT"
    markdown = (done.reports / "summary.md").read_text()
    assert "### Benchmarks of the base that are gone" in markdown
    assert repo.state() == {**before, "status": repo.state()["status"]}


def test_nothing_comparable_is_an_error(repo: Repo) -> None:
    """When every benchmark is new the run proves nothing and ends with exit status 4."""
    repo.file("src/pkg/work.py", "def added():\n    return 1\n")
    repo.file("src/pkg/__init__.py", "from pkg.work import added\n")
    repo.file("tests/test_speed.py", "import pkg\n\ndef test_added(benchmark):\n    benchmark(pkg.added)\n")
    done = run(repo, *QUICK)
    assert done.code == 4, done.output
    assert "at least one benchmark must be measured at HEAD and in the working tree" in done.output
    assert "(1 new)" in done.output


def test_a_base_with_another_configuration_file_is_listed(repo: Repo) -> None:
    """Where the working tree moved pytest's configuration, the base's own benchmarks are listed by the base's."""
    repo.file("src/pkg/work.py", "def run():\n    return sum(range(2000))\n\ndef added():\n    return 1\n")
    repo.file(
        "tests/test_speed.py",
        "import pkg.work\n\ndef test_speed(benchmark):\n    benchmark(pkg.run)\n\n"
        "def test_added(benchmark):\n    benchmark(pkg.work.added)\n",
    )
    repo.git("mv", "pyproject.toml", "moved.toml")
    repo.file("pytest.ini", "[pytest]\npythonpath = src\n")
    done = run(repo, *QUICK, "--optbench-gate=off")
    assert done.code == 0, done.output
    assert done.summary["notes"] == []
    assert [each["id"] for each in done.summary["new"]] == ["tests/test_speed.py::test_added"]


def test_a_selection_of_the_cache_removes_nothing(repo: Repo) -> None:
    """Under --lf the benchmarks that were not selected are not taken for gone."""
    repo.file("tests/test_other.py", "import pkg\n\ndef test_other(benchmark):\n    benchmark(pkg.run)\n")
    repo.commit("base")
    repo.file("src/pkg/work.py", "def run():\n    return sum(range(2000))\n")
    repo.file(".pytest_cache/v/cache/lastfailed", '{"tests/test_speed.py::test_speed": true}')
    # Named, for under tox pytest keeps its cache elsewhere.
    done = run(repo, *QUICK, "--lf", "-o", "cache_dir=.pytest_cache", "--optbench-gate=off")
    assert done.code == 0, done.output
    assert [row["id"] for row in done.summary["benchmarks"]] == ["tests/test_speed.py::test_speed"]
    assert done.summary["removed"] == []


def test_a_run_that_ends_before_it_measures_leaves_no_earlier_summary(repo: Repo) -> None:
    """With -x a failing test ends the run, and the summary of the run before is not there to pass for its own."""
    repo.file("tests/test_first.py", "def test_first():\n    raise ValueError\n")
    for name in ("json", "md"):
        repo.file(f"reports/summary.{name}", "ACCEPT")
    done = run(repo, *QUICK, "-x")
    assert done.code == 1, done.output
    assert [path.name for path in (repo.root / "reports").iterdir() if path.name.startswith("summary")] == []


def test_what_keeps_pytest_from_starting_at_the_base_is_named(repo: Repo) -> None:
    """A conftest that needs what the base lacks: the line of the list says so, not only how the process ended."""
    repo.file("src/pkg/extra.py", "N = 1\n")
    repo.file("tests/conftest.py", "import pkg.extra\n")
    repo.file("tests/test_added.py", "import pkg\n\ndef test_added(benchmark):\n    benchmark(pkg.run)\n")
    done = run(repo, *QUICK)
    assert done.code == 4, done.output
    (new,) = done.summary["new"]
    assert new["id"] == "tests/test_added.py::test_added"
    assert new["reason"].endswith("exit status 4: ModuleNotFoundError: No module named 'pkg.extra'")
    assert "No module named 'pkg.extra'" in done.output


def test_a_generated_file_needs_a_build_step(repo: Repo) -> None:
    """A module that git ignores is missing at the base: the error names it, and a build step makes it."""
    repo.file(".gitignore", "__pycache__/\nreports/\n.pytest_cache/\n_version.py\n")
    repo.file("src/pkg/__init__.py", "from pkg._version import VERSION\n\ndef run():\n    return VERSION\n")
    repo.commit("base")
    repo.file("src/pkg/_version.py", "VERSION = 1\n")
    repo.file("src/pkg/work.py", "import pkg\n")
    repo.file(
        "src/pkg/__init__.py", "from pkg._version import VERSION\n\ndef run():\n    return 0 + VERSION\n"
    )
    done = run(repo, *QUICK, "--optbench-gate=off")
    assert done.code == 4, done.output
    assert "No module named 'pkg._version'" in done.output
    assert "files that git ignores (src/pkg/_version.py)" in done.output
    assert "--optbench-build=CMD" in done.output
    done = run(
        repo, *QUICK, "--optbench-gate=off", "--optbench-build=sh -c 'echo VERSION = 1 > src/pkg/_version.py'"
    )
    assert done.code == 0, done.output
    done = run(repo, *QUICK, "--optbench-build=sh -c 'echo no compiler; exit 1'")
    assert done.code == 4
    assert "--optbench-build must succeed in both trees" in done.output
    assert "no compiler" in done.output
