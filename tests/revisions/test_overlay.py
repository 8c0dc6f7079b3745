"""The tests of the working tree on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from repositories import Repo

from pytest_optbench.revisions.git import Repository
from pytest_optbench.revisions.overlay import Overlay, apply, plan
from pytest_optbench.revisions.worktree import worktree


@pytest.fixture
def base(repo: Repo) -> Iterator[Path]:
    """Yield a worktree of the first commit."""
    git = Repository.of(repo.root)
    with worktree(git, git.head()) as tree:
        yield tree


def planned(
    repo: Repo, *modules: str, ini: str | None = "pyproject.toml", testpaths: tuple[str, ...] = ()
) -> Overlay:
    return plan(
        Repository.of(repo.root),
        repo.root,
        [repo.root / name for name in modules],
        repo.root / ini if ini else None,
        testpaths,
    )


def test_tests_configuration_and_helpers_are_copied(repo: Repo, base: Path) -> None:
    """The base gets edited tests, an untracked new one, their data, conftest files and pytest's configuration."""
    repo.file("tests/test_speed.py", "edited = True\n")
    repo.file("tests/test_new.py", "")
    repo.file("tests/data/input.json", "{}")
    repo.file("tests/conftest.py", "")
    repo.file("conftest.py", "")
    repo.file("pyproject.toml", "[tool.pytest.ini_options]\nmarkers = 'x'\n")
    repo.file("src/pkg/work.py", "changed = True\n")
    overlay = planned(repo, "tests/test_speed.py", "tests/test_new.py")
    written, removed = apply(overlay, repo.root, base)
    assert written == [
        "conftest.py", "pyproject.toml", "tests/conftest.py", "tests/data/input.json", "tests/test_new.py",
        "tests/test_speed.py",
    ]  # fmt: skip
    assert removed == []
    assert (base / "tests/test_speed.py").read_text() == "edited = True\n"
    assert "range(2000)" in (base / "src/pkg/work.py").read_text()
    assert overlay.covers("tests/anything/else.py")
    assert not overlay.covers("src/pkg/work.py")


def test_what_the_working_tree_removed_is_removed(repo: Repo) -> None:
    """A test, a helper and a conftest that the working tree no longer has do not act on the base."""
    repo.file("tests/old_helper.py", "")
    repo.file("conftest.py", "raise RuntimeError\n")
    repo.file("tests/test_old.py", "")
    repo.commit()
    git = Repository.of(repo.root)
    for name in ("tests/old_helper.py", "tests/test_old.py", "conftest.py"):
        (repo.root / name).unlink()
    with worktree(git, git.head()) as tree:
        _, removed = apply(planned(repo, "tests/test_speed.py"), repo.root, tree)
        assert removed == ["conftest.py", "tests/old_helper.py", "tests/test_old.py"]
        assert not (tree / "conftest.py").exists()


def test_files_git_ignores_stay_where_they_are(repo: Repo, base: Path) -> None:
    """Caches and built files of the working tree's test folder are not carried over."""
    repo.file("tests/__pycache__/x.pyc", "")
    repo.file("tests/ext.so", "")
    written, _ = apply(planned(repo, "tests/test_speed.py"), repo.root, base)
    assert written == ["pyproject.toml", "tests/test_speed.py"]


@pytest.mark.parametrize(
    ("module", "testpaths", "directories"),
    [
        ("tests/unit/test_a.py", (), ("tests",)),
        ("src/pkg/tests/test_a.py", (), ("src/pkg/tests",)),
        ("src/pkg/bench/deep/test_a.py", (), ("src/pkg/bench",)),
        ("tests/perf/test_a.py", (), ("tests",)),
        ("benchmarks/tests/test_a.py", (), ("benchmarks",)),
        ("checks/test_a.py", (), ()),
        ("checks/test_a.py", ("checks",), ("checks",)),
        ("src/pkg/test_a.py", ("src",), ()),
        ("pkg/test_a.py", (".",), ()),
        ("test_a.py", (), ()),
    ],
)
def test_which_folders_count_as_tests(
    repo: Repo, module: str, testpaths: tuple[str, ...], directories: tuple[str, ...]
) -> None:
    """Folders by the usual names and those of testpaths are shared whole, never the project's own code."""
    repo.file(module, "")
    overlay = planned(repo, module, testpaths=testpaths)
    assert overlay.directories == directories
    assert overlay.covers(module)
    assert not overlay.covers("src/pkg/work.py")


def test_a_project_called_like_a_test_folder_is_not_taken_for_one(repo: Repo) -> None:
    """A package called perf with tests inside shares the tests, not the package."""
    repo.file("perf/__init__.py", "")
    repo.file("perf/tests/test_a.py", "")
    assert planned(repo, "perf/tests/test_a.py").directories == ("perf/tests",)


def test_a_module_that_git_ignores_is_copied_because_it_was_asked_for(repo: Repo, base: Path) -> None:
    """A collected module counts even where git ignores it."""
    repo.file(".gitignore", "scratch/\n")
    repo.file("scratch/test_mine.py", "")
    written, _ = apply(planned(repo, "scratch/test_mine.py", ini=None), repo.root, base)
    assert written == ["scratch/test_mine.py"]


def test_nothing_is_written_through_a_link_of_the_base(repo: Repo, tmp_path: Path) -> None:
    """Where the base had a link to a folder elsewhere, the overlay replaces the link and spares its target."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "test_speed.py").write_text("precious")
    for path in (repo.root / "tests").iterdir():
        path.unlink()
    (repo.root / "tests").rmdir()
    (repo.root / "tests").symlink_to(outside)
    repo.commit()
    git = Repository.of(repo.root)
    base = git.head()
    (repo.root / "tests").unlink()
    repo.file("tests/test_speed.py", "new = 1\n")
    with worktree(git, base) as tree:
        apply(planned(repo, "tests/test_speed.py"), repo.root, tree)
        assert (tree / "tests/test_speed.py").read_text() == "new = 1\n"
    assert (outside / "test_speed.py").read_text() == "precious"


def test_links_among_the_tests_are_copied_as_links(repo: Repo, base: Path) -> None:
    """A link inside the tests leads to its own side's file."""
    (repo.root / "tests" / "work.py").symlink_to("../src/pkg/work.py")
    apply(planned(repo, "tests/test_speed.py"), repo.root, base)
    assert (base / "tests/work.py").resolve() == (base / "src/pkg/work.py").resolve()
