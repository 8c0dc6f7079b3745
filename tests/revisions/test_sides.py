"""What each side's processes are given, and which of the base's own tests were asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from repositories import Repo

from pytest_optbench.revisions.git import Repository
from pytest_optbench.revisions.sides import BASELINE, OPTIMIZED, Invocation, Side, listing
from pytest_optbench.revisions.suite_run import corrected, cost
from pytest_optbench.revisions.worktree import worktree


@pytest.fixture
def base(repo: Repo) -> Iterator[Side]:
    git = Repository.of(repo.root)
    with worktree(git, git.head()) as tree:
        yield Side(BASELINE, tree, repo.root)


def invocation(repo: Repo, *arguments: str, paths: tuple[str, ...] = (), folder: str = ".") -> Invocation:
    return Invocation(
        top=repo.root,
        rootdir=repo.root,
        folder=(repo.root / folder).resolve(),
        configuration=repo.root / "pyproject.toml",
        arguments=arguments,
        paths=paths,
    )


def test_paths_of_the_working_tree_are_turned(
    repo: Repo, base: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments, options, PYTHONPATH and PYTEST_ADDOPTS lead into the side's tree; other paths stay."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(repo.root / "tools"), str(tmp_path)]))
    monkeypatch.setenv("PYTEST_ADDOPTS", f"--ignore={repo.root}/docs -k 'a or b'")
    asked = invocation(
        repo,
        f"{repo.root}/tests/test_speed.py::test_speed",
        f"--ignore={repo.root}/x",
        f"--basetemp={tmp_path}",
        "-o",
        f"cache_dir={repo.root}/a=b",
    )
    lane = base.lane(asked, {"pkg", "ns.part"}, asked.arguments)
    assert lane.arguments[2:-4] == (
        f"{base.tree}/tests/test_speed.py::test_speed", f"--ignore={base.tree}/x", f"--basetemp={tmp_path}",
        "-o", f"cache_dir={base.tree}/a=b",
    )  # fmt: skip
    assert lane.arguments[-4:] == ("--rootdir", "${OPTBENCH_ROOT}", "-c", f"{base.tree}/pyproject.toml")
    assert lane.environment["OPTBENCH_ROOT"] == str(base.tree)
    assert lane.cwd == base.tree
    assert lane.names == ("ns", "pkg")
    assert lane.environment["PYTHONPATH"].split(os.pathsep) == [
        f"{base.tree}/src", str(base.tree), f"{base.tree}/tools", str(tmp_path),
    ]  # fmt: skip
    assert lane.environment["PYTEST_ADDOPTS"] == f"--ignore={base.tree}/docs -k 'a or b'"


def test_root_and_configuration_as_found_win_over_how_they_were_given(repo: Repo, base: Side) -> None:
    """However the command line spelled them, and before words that can only be paths."""
    asked = invocation(repo, f"-c{repo.root}/pyproject.toml", "--rootdir=$HOME/else", "--", "-test.py")
    assert base.lane(asked, set(), asked.arguments).arguments[2:] == (
        f"-c{repo.root}/pyproject.toml", "--rootdir=$HOME/else",
        "--rootdir", "${OPTBENCH_ROOT}", "-c", f"{base.tree}/pyproject.toml", "--", "-test.py",
    )  # fmt: skip


def test_a_path_through_a_link_is_the_path_itself(repo: Repo, base: Side, tmp_path: Path) -> None:
    """Named through a link to the repository, a test is the same test on both sides, under the same id."""
    (tmp_path / "link").symlink_to(repo.root)
    asked = invocation(repo, f"{tmp_path}/link/tests/test_speed.py::test_speed")
    for side in (base, Side(OPTIMIZED, repo.root, base.tree)):
        assert side.lane(asked, set(), asked.arguments).arguments[2] == (
            f"{side.tree}/tests/test_speed.py::test_speed"
        )


def test_a_folder_the_base_lacks_is_made(repo: Repo, base: Side) -> None:
    """A run started in a folder that is new finds a working directory on the base's side, too."""
    (repo.root / "newer").mkdir()
    lane = base.lane(invocation(repo, folder="newer"), set(), ())
    assert lane.cwd == base.tree / "newer"
    assert lane.cwd.is_dir()


def test_a_run_from_outside_the_repository_starts_at_the_root(repo: Repo, base: Side, tmp_path: Path) -> None:
    """Started elsewhere, a child works in the root of its own tree."""
    asked = Invocation(repo.root, repo.root, tmp_path, None, (), ())
    lane = base.lane(asked, set(), ())
    assert lane.cwd == base.tree
    assert lane.arguments[2:] == (
        "--confcutdir", str(base.tree), "--rootdir", "${OPTBENCH_ROOT}", "-c", os.devnull,
    )  # fmt: skip


def test_which_of_the_bases_tests_were_asked_for(repo: Repo, base: Side) -> None:
    """Node ids become files, files the base lacks are left out, and only the tests asked for are kept."""
    repo.file("tests/test_new.py", "")
    paths = ("tests/test_speed.py::test_speed", "tests/test_new.py")
    found = listing(invocation(repo, *paths, "-q", paths=paths), base)
    assert found.arguments == ("tests/test_speed.py", "-q")
    assert found.keeps("tests/test_speed.py::test_speed")
    assert found.keeps("tests/test_speed.py::test_speed[1]")
    assert not found.keeps("tests/test_speed.py::test_speedier")
    assert found.keeps("tests/test_other.py::test_any")


def test_a_package_given_by_its_name_is_kept(repo: Repo, base: Side) -> None:
    """What is no path, as under --pyargs, is for pytest to find on the base's side."""
    found = listing(invocation(repo, "--pyargs", "pkg.tests", paths=("pkg.tests",)), base)
    assert found.arguments == ("--pyargs", "pkg.tests")
    assert found.keeps("src/pkg/tests/test_any.py::test_any")


def test_nothing_of_the_base_was_asked_for(repo: Repo, base: Side) -> None:
    """When no path that was given exists in the base, nothing is listed instead of everything."""
    repo.file("tests/test_new.py", "")
    found = listing(invocation(repo, "tests/test_new.py", "-q", paths=("tests/test_new.py",)), base)
    assert found.arguments is None


@pytest.mark.parametrize(
    ("benchmarks", "start_s", "line"),
    [
        (20, 0.5, "20 benchmarks, 10 to 40 pairs of processes: about 55 s to the first look"),
        (1, 1.0, "1 benchmark, 10 to 40 pairs of processes: about 12 s to the first look"),
    ],
)
def test_the_cost_is_stated(benchmarks: int, start_s: float, line: str) -> None:
    """The line counts benchmarks and pairs and estimates the time to the first look."""
    assert cost(benchmarks, (10, 15, 20, 30, 40), start_s) == line


@pytest.mark.parametrize(
    ("start_s", "first_s", "line"),
    [
        (0.5, 31.4, "the first pair took 31 s: about 5 min 19 s to the first look"),
        (0.5, 5.0, None),
        (8.0, 7.0, None),
        (0.1, 6.0, None),
    ],
)
def test_a_cost_that_was_wrong_is_said_again(start_s: float, first_s: float, line: str | None) -> None:
    """A first pair far beyond what was stated gives a second statement, one that is near does not."""
    assert corrected(20, (10, 15, 20, 30, 40), start_s, first_s) == line


def test_a_few_seconds_more_are_not_worth_a_line() -> None:
    """What adds up to less than ten seconds is left as it was said."""
    assert corrected(1, (10, 15), 0.1, 1.2) is None
    assert corrected(1, (10, 15), 0.1, 1.4) is not None
