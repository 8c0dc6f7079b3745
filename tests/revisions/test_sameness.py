"""Which code ran: own tree, other tree, an installation, or the same on both sides."""

from __future__ import annotations

import hashlib
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_optbench.measure.channel import UNREADABLE
from pytest_optbench.revisions.errors import IdentityError
from pytest_optbench.revisions.identity import Foreign, Identity, identity, project_names
from pytest_optbench.revisions.overlay import Overlay
from pytest_optbench.revisions.sameness import Code, check_different, code_of

TESTS = Overlay(("tests",), ("conftest.py",), ())


@dataclass(frozen=True)
class Module:
    file: str
    sha256: str


def tree(folder: Path, **content: str) -> Path:
    """Write a tree; keys are paths with ``__`` for ``/`` and without the ending for Python files."""
    for name, text in content.items():
        path = folder / name.replace("__", "/")
        path = path if path.suffix else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def imported(root: Path, **modules: str) -> dict[str, Module]:
    """Return modules as a child reports them, by dotted name with ``__`` for a dot."""
    return {
        name.replace("__", "."): Module(
            str(root / file), hashlib.sha256((root / file).read_bytes()).hexdigest()
        )
        for name, file in modules.items()
    }


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """Return two trees that differ in one file of one package."""
    trees = []
    for name, text in (("base", "1"), ("head", "2")):
        root = tmp_path / name
        (root / "src/pkg").mkdir(parents=True)
        (root / "tests").mkdir()
        (root / "src/pkg/__init__.py").write_text("")
        (root / "src/pkg/work.py").write_text(text)
        (root / "src/pkg/table.json").write_text("{}")
        (root / "tests/test_a.py").write_text("same")
        trees.append(root)
    return trees[0], trees[1]


FILES = {"pkg": "src/pkg/__init__.py", "pkg__work": "src/pkg/work.py", "test_a": "tests/test_a.py"}


def test_modules_are_sorted_by_tree(sides: tuple[Path, Path]) -> None:
    """Own modules are listed with their files; those of the other tree and of an installation are foreign."""
    base, head = sides
    library = Path(sysconfig.get_paths()["purelib"])
    reported = imported(base, **FILES) | imported(head, pkg__other="src/pkg/work.py")
    reported["pkg.third"] = Module(str(library / "pkg/third.py"), "")
    reported["pytest"] = Module(str(library / "pytest/__init__.py"), "")
    reported["pytest_optbench.plugin"] = Module(str(head / "pytest_optbench/plugin.py"), "")
    found = identity(reported, base, head, {"pkg"})
    assert sorted(found.files) == ["src/pkg/__init__.py", "src/pkg/work.py", "tests/test_a.py"]
    assert found.foreign == (
        Foreign("pkg.other", str(head / "src/pkg/work.py"), other=True),
        Foreign("pkg.third", str(library / "pkg/third.py"), other=False),
    )


def test_the_names_of_a_project(tmp_path: Path) -> None:
    """Packages, namespace packages, modules at the root and the installed distribution's names are known."""
    root = tree(
        tmp_path,
        setup="from setuptools import setup\nsetup(name='pluggy')\n",
        tool="",
        json="",
    )
    for name in ("src/one/__init__.py", "src/ns/two/__init__.py", "flat/__init__.py", "tests/__init__.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    names = project_names(root, root)
    assert {"one", "ns.two", "flat", "tool", "pluggy"} <= names
    assert not {"ns", "tests", "setup", "json", "src.one"} & names


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[project]\nname = 'pluggy'\n"),
        ("pyproject.toml", "[tool.poetry]\nname = 'pluggy'\n"),
        ("setup.cfg", "[metadata]\nname = pluggy\n"),
    ],
)
def test_where_the_name_of_a_project_is_written(tmp_path: Path, name: str, text: str) -> None:
    """Every usual place of a project's name leads to the import names of its installed copy."""
    (tmp_path / name).write_text(text)
    assert "pluggy" in project_names(tmp_path, tmp_path)


def test_different_code_passes(sides: tuple[Path, Path]) -> None:
    """Two trees whose imported code differs can be compared; tests do not count as code."""
    base, head = sides
    one = code_of(identity(imported(base, **FILES), base, head, {"pkg"}), TESTS, "baseline")
    two = code_of(identity(imported(head, **FILES), head, base, {"pkg"}), TESTS, "optimized")
    assert sorted(one.files) == ["src/pkg/__init__.py", "src/pkg/work.py"]
    assert one.packages == ("src/pkg",)
    assert one.digest != two.digest
    check_different(one, two, {"baseline": base, "optimized": head}, TESTS, ["src/pkg/work.py"])


def code(root: Path, *files: str) -> Code:
    hashes = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in files}
    return Code(hashes, ("src/pkg",))


def test_the_same_files_are_an_error(sides: tuple[Path, Path]) -> None:
    """Where everything imported is the same, the message counts it and names what changed elsewhere."""
    base, head = sides
    one, two = code(base, "src/pkg/__init__.py"), code(head, "src/pkg/__init__.py")
    with pytest.raises(IdentityError, match=r"all 1 files.*changed elsewhere: src/pkg/work.py"):
        check_different(one, two, {"baseline": base, "optimized": head}, TESTS, ["src/pkg/work.py"])


def test_different_data_of_a_package_passes(sides: tuple[Path, Path]) -> None:
    """The same modules with another table in the package are different code."""
    base, head = sides
    (head / "src/pkg/table.json").write_text("{1}")
    one, two = code(base, "src/pkg/__init__.py"), code(head, "src/pkg/__init__.py")
    check_different(one, two, {"baseline": base, "optimized": head}, TESTS, ["src/pkg/table.json"])


def test_data_built_in_both_trees_counts(sides: tuple[Path, Path]) -> None:
    """A file that git ignores and a build step made in both trees is compared by its content."""
    base, head = sides
    for tree, content in ((base, b"1"), (head, b"2")):
        (tree / "src/pkg/native.so").write_bytes(content)
    one, two = code(base, "src/pkg/__init__.py"), code(head, "src/pkg/__init__.py")
    said = check_different(one, two, {"baseline": base, "optimized": head}, TESTS, ["native/source.c"])
    assert said is not None
    assert "only files that git does not know differ (data)" in said


def test_a_module_built_in_both_trees_is_remarked(sides: tuple[Path, Path]) -> None:
    """An extension that differs, with no changed source among the packages, may be the same code built twice."""
    base, head = sides
    for tree, content in ((base, b"1"), (head, b"2")):
        (tree / "src/pkg/native.so").write_bytes(content)
    one, two = (code(tree, "src/pkg/__init__.py", "src/pkg/native.so") for tree in sides)
    trees = {"baseline": base, "optimized": head}
    said = check_different(one, two, trees, TESTS, ["README.md", "native/lib.rs"])
    assert said is not None
    assert "differ (src/pkg/native.so); if nothing they are built from has changed" in said
    assert said.endswith("Changed in the repository: README.md, native/lib.rs")
    with pytest.raises(
        IdentityError, match=r"has changed: README.md, docs/a.rst. The same source was built twice"
    ):
        check_different(one, two, trees, TESTS, ["README.md", "docs/a.rst", "tests/test_a.py"])
    assert check_different(one, two, trees, TESTS, ["src/pkg/native.c"]) is None


def test_a_file_left_over_in_one_tree_is_no_difference(sides: tuple[Path, Path]) -> None:
    """What only the working tree has and git does not know, such as an old build, does not hide the same code."""
    base, head = sides
    (head / "src/pkg/old.so").write_bytes(b"x")
    one, two = code(base, "src/pkg/__init__.py"), code(head, "src/pkg/__init__.py")
    with pytest.raises(IdentityError, match=r"all 1 files.*changed elsewhere: README.md"):
        check_different(one, two, {"baseline": base, "optimized": head}, TESTS, ["README.md"])


def test_trees_that_differ_in_tests_alone_are_an_error(sides: tuple[Path, Path]) -> None:
    """When git sees no difference outside the tests, files built differently do not count."""
    base, head = sides
    one, two = code(base, "src/pkg/work.py"), code(head, "src/pkg/work.py")
    with pytest.raises(IdentityError, match=r"hold the same files, tests apart.*older revision"):
        check_different(
            one, two, {"baseline": base, "optimized": head}, TESTS, ["tests/test_a.py", "conftest.py"]
        )


def test_nothing_imported_is_an_error(sides: tuple[Path, Path]) -> None:
    """Benchmarks that import nothing of the project prove nothing; the message names what counts as tests."""
    base, head = sides
    with pytest.raises(
        IdentityError, match=r"from the baseline tree, but none.*same on both sides: tests, conftest.py"
    ):
        check_different(
            Code({}, ()), code(head, "src/pkg/work.py"), {"baseline": base, "optimized": head}, TESTS, []
        )


@pytest.mark.parametrize(
    ("other", "words"), [(True, "the other side's tree"), (False, "an installation.*pip install -e")]
)
def test_foreign_code_is_an_error(other: bool, words: str) -> None:
    """A module from anywhere but the own tree is named with its file and the cure."""
    found = Identity({}, {}, (Foreign("pkg.work", "somewhere/pkg/work.py", other=other),))
    with pytest.raises(IdentityError, match=f"baseline side.*'pkg.work' came from {words}"):
        code_of(found, TESTS, "baseline")


def test_code_that_cannot_be_read_is_an_error() -> None:
    """A file whose content is not known is named; among tests, which are the same on both sides, it does not matter."""
    found = Identity({"src/pkg/work.py": UNREADABLE, "tests/test_work.py": UNREADABLE}, {}, ())
    with pytest.raises(
        IdentityError, match=r"in the baseline tree src/pkg/work\.py cannot be read; keep them until"
    ):
        code_of(found, TESTS, "baseline")
    assert code_of(Identity({"tests/test_work.py": UNREADABLE}, {}, ()), TESTS, "baseline").files == {}


def test_code_that_changes_meanwhile_is_an_error() -> None:
    """A file edited between two pairs spoils the comparison; files imported later are added."""
    first = Code({"a.py": "1"}, ())
    assert first.merged(Code({"b.py": "2"}, ("b",))).files == {"a.py": "1", "b.py": "2"}
    with pytest.raises(IdentityError, match=r"must not change while it is measured, but a\.py did"):
        first.merged(Code({"a.py": "2"}, ()))
