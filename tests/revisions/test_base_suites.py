"""Layouts of repositories and styles of suites, each measured unmodified."""

from __future__ import annotations

from pathlib import Path

import pytest
from repositories import Repo
from runs import QUICK, run

OFF = (*QUICK, "--optbench-gate=off", "--optbench-no-progress")


def test_every_style_of_suite(repo: Repo) -> None:
    """Classes, fixtures of every scope, parameters, groups, pedantic set-ups, markers and async tests are measured."""
    pytest.importorskip("pytest_asyncio", reason="the async style needs pytest-asyncio")
    pytest.importorskip("pytest_codspeed", reason="its marker makes the whole test a benchmark")
    repo.file(
        "tests/conftest.py",
        """
        import pytest
        import pkg

        @pytest.fixture(scope="session")
        def table():
            return list(range(100))

        @pytest.fixture
        def timed(benchmark):
            benchmark.extra_info["through"] = "a fixture"
            return benchmark
        """,
    )
    repo.file(
        "tests/test_speed.py",
        """
        import asyncio
        import pytest
        import pkg

        class TestGroup:
            @pytest.fixture(autouse=True, scope="class")
            def ready(self, request):
                request.cls.work = staticmethod(pkg.run)

            @pytest.mark.benchmark(group="class", min_rounds=2)
            @pytest.mark.parametrize("n", [10, 20], ids=["ten / x", "a::b"])
            def test_method(self, timed, table, n):
                assert timed(self.work) > 0

        def test_pedantic(benchmark, table):
            benchmark.pedantic(sorted, setup=lambda: ((list(table),), {}), rounds=3)
            pkg.run()

        @pytest.mark.codspeed_benchmark
        def test_marked(table):
            pkg.run()

        @pytest.mark.asyncio
        async def test_async(benchmark):
            await asyncio.sleep(0)
            benchmark(pkg.run)
        """,
    )
    repo.file(
        "pyproject.toml",
        """
        [project]
        name = "pkg"
        [tool.pytest.ini_options]
        pythonpath = "src"
        addopts = "--strict-markers --benchmark-min-rounds=2 -p no:cacheprovider"
        asyncio_default_fixture_loop_scope = "function"
        """,
    )
    repo.commit("base")
    repo.file("src/pkg/work.py", "def run():\n    return sum(range(2000))\n")
    plugins = ("pytest_benchmark.plugin", "pytest_codspeed.plugin", "pytest_asyncio.plugin")
    done = run(repo, *OFF, plugins=plugins)
    assert done.code == 0, done.output
    assert {row["id"].partition("::")[2] for row in done.summary["benchmarks"]} == {
        "TestGroup::test_method[ten / x]",
        "TestGroup::test_method[a::b]",
        "test_pedantic",
        "test_marked",
        "test_async",
    }
    method = done.document("test_method[ten / x]")
    assert method["group"] == "class"
    assert method["config"] == {"through": "a fixture"}
    assert len(method["pairs"]) == 4


def test_without_any_benchmark_plugin(repo: Repo) -> None:
    """The same suite is measured where neither of the two plugins is installed, with warnings as errors."""
    repo.file(
        "tests/test_speed.py",
        """
        import pytest
        import pkg

        @pytest.mark.benchmark(group="g")
        def test_speed(benchmark):
            benchmark(pkg.run)
        """,
    )
    repo.file(
        "pyproject.toml",
        "[tool.pytest.ini_options]\npythonpath = 'src'\naddopts = '--strict-markers -W error'\n",
    )
    repo.commit("base")
    repo.git("checkout", "--quiet", "--detach")
    repo.file("src/pkg/work.py", "def run():\n    return sum(range(2000))\n")
    done = run(repo, *OFF, plugins=())
    assert done.code == 0, done.output
    assert done.document("test_speed")["group"] == "g"


def test_a_subfolder_a_namespace_package_and_a_submodule(repo: Repo, tmp_path: Path) -> None:
    """A project below the root, with a namespace package, a flat layout and code in a submodule."""
    library = Repo(tmp_path / "library")
    library.file("lib.py", "VALUE = 2000\n")
    library.commit()
    target = "packages/a/vendor"
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.root), target)
    repo.file(
        "packages/a/ns/part/__init__.py", "import lib\n\ndef run():\n    return sum(range(lib.VALUE))\n"
    )
    repo.file("packages/a/pytest.ini", "[pytest]\npythonpath = . vendor\n")
    repo.file(
        "packages/a/bench/test_part.py",
        "import ns.part\n\ndef test_part(benchmark):\n    benchmark(ns.part.run)\n",
    )
    repo.commit("base")
    repo.file(
        "packages/a/ns/part/__init__.py", "import lib\n\ndef run():\n    return sum(list(range(lib.VALUE)))\n"
    )
    before = repo.state()
    done = run(repo, *OFF, "bench", folder="packages/a")
    assert done.code == 0, done.output
    code = done.document("bench/test_part.py::test_part")["code"]
    assert (
        code["baseline"]["files"] == code["optimized"]["files"] == 2
    )  # the package and the submodule's module
    assert repo.state() == {**before, "status": repo.state()["status"]}


def test_inside_a_submodule(repo: Repo, tmp_path: Path) -> None:
    """A project that is itself a submodule, its git folder elsewhere, is compared and left as it was."""
    above = Repo(tmp_path / "above")
    above.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repo.root), "vendor/pkg")
    above.commit()
    inner = Repo.__new__(Repo)
    inner.root = above.root / "vendor/pkg"
    inner.file("src/pkg/work.py", "def run():\n    return sum(range(2000))\n")
    before = inner.state()
    done = run(inner, *OFF)
    assert done.code == 0, done.output
    assert done.document("test_speed")["code"]["optimized"]["dirty"] is True
    assert inner.state() == {**before, "status": inner.state()["status"]}


def test_the_checkout_of_a_pull_request(repo: Repo, tmp_path: Path) -> None:
    """Two commits of the merge, HEAD detached, are enough to compare with the target branch; one is an error."""
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.file("src/pkg/work.py", "def run():\n    return sum(range(2000))\n")
    repo.commit("topic")
    repo.git("checkout", "--quiet", "main")
    repo.file("other.txt", "the target moved on")
    target = repo.commit("main")
    repo.git("merge", "--quiet", "--no-ff", "-m", "merge", "topic")
    repo.git("checkout", "--quiet", "--detach")
    outcomes = {}
    for depth in (2, 1):
        clone = Repo(tmp_path / f"clone-{depth}")
        clone.git("fetch", "--quiet", f"--depth={depth}", repo.root.as_uri(), "HEAD")
        clone.git("checkout", "--quiet", "--detach", "FETCH_HEAD")
        done = run(clone, *OFF, base="HEAD^1")
        outcomes[depth] = done.code
        if depth == 2:
            assert done.summary["base"]["commit"] == target, done.output
        else:
            assert "check out with fetch-depth: 0" in done.output
    assert outcomes == {2: 0, 1: 4}


def test_an_editable_install_into_an_environment(repo: Repo, tmp_path: Path) -> None:
    """An environment with the project installed in editable form measures each side's own tree."""
    repo.file("pyproject.toml", "[project]\nname = 'pkg'\nversion = '1'\n")
    repo.commit("base")
    repo.file("src/pkg/work.py", "def run():\n    return sum(range(2000))\n")
    site = tmp_path / "lib" / "site-packages"
    site.mkdir(parents=True)
    (site / "pkg.pth").write_text(f"{repo.root / 'src'}\n")
    (site / "sitecustomize.py").write_text(f"import site\nsite.addsitedir({str(site)!r})\n")
    done = run(repo, *OFF, f"{repo.root}/tests/test_speed.py::test_speed", PYTHONPATH=str(site))
    assert done.code == 0, done.output
    assert done.document("test_speed")["code"]["baseline"]["files"] == 2
