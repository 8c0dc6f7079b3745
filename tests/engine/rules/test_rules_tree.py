"""The index of a folder and its globs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from optengine.rules.errors import RulesUsageError
from optengine.rules.tree import compile_glob, normal_path, scan


def test_the_index_lists_everything_once(tmp_path: Path) -> None:
    """Files, folders, links and odd files are indexed with their kinds; ignored names do not exist."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "f.py").write_text("x")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("x")
    (tmp_path / "link.py").symlink_to(tmp_path / "a" / "b" / "f.py")
    (tmp_path / "folder").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    index = scan(tmp_path)
    kinds = {path: index.kind(path) for path in sorted(index.entries)}
    assert kinds == {
        ".": "dir",
        "a": "dir",
        "a/b": "dir",
        "a/b/f.py": "file",
        "dangling": "link",
        "folder": "link",
        "link.py": "file",
        "pipe": "other",
    }
    assert index.children(".") == ["a", "dangling", "folder", "link.py", "pipe"]
    assert index.children("a/b/f.py") == []
    assert index.kind(".git/config") == "absent"
    assert list(index.files()) == ["a/b/f.py", "link.py"]


def test_names_that_are_not_text_are_not_absent(tmp_path: Path) -> None:
    """A file whose name is not UTF-8 is listed, escaped, as something that cannot be read."""
    (tmp_path / os.fsdecode(b"key-\xff.pem")).write_text("secret")
    index = scan(tmp_path)
    assert index.glob("*.pem") == ("key-\\xff.pem",)
    assert index.children(".") == ["key-\\xff.pem"]
    assert index.kind("key-\\xff.pem") == "other"


def test_the_root_must_be_a_folder(tmp_path: Path) -> None:
    """A missing root is an error, not an empty and therefore clean tree."""
    with pytest.raises(RulesUsageError, match=r"must be a folder; received .*nowhere"):
        scan(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A folder the system will not list, here one too deep for a path, is refused instead of taken for empty."""
    name = "d" * 250
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    try:
        with pytest.raises(RulesUsageError, match=r"must be readable; 'd+/.* is not: File name too long"):
            scan(tmp_path)
    finally:
        shutil.rmtree(tmp_path / name)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*.py", ["a.py", ".hidden.py"], ["d/a.py", "a.pyc", "apy"]),
        ("**/*.py", ["a.py", "d/a.py", "d/e/a.py"], ["a.txt"]),
        ("d/**", ["d/a", "d/e/f"], ["d", "da"]),
        ("d/**/f", ["d/f", "d/e/f", "d/e/g/f"], ["f", "df"]),
        ("**/{a,b}.{yml,yaml}", ["a.yml", "x/b.yaml"], ["c.yml", "a.json", "{a,b}.yml"]),
        ("x/{p,q/r}/s", ["x/p/s", "x/q/r/s"], ["x/q/s"]),
        ("f?.[ch]", ["fa.c", "fb.h"], ["f.c", "fab.c", "fa.d"]),
        ("[!a]*", ["b", "ba"], ["a", "ab", "b/c"]),
        ("x?y[!a]z", ["x.ybz"], ["x/ybz", "x.y/z", "x.yaz"]),
        ("[]a]x[b", ["]x[b", "ax[b"], ["/x[b", "bx[b"]),
        ("[]x*", ["[]x", "[]xy"], ["]x", "[]x/y"]),
        ("a***b.*", ["ab.c", "axb."], ["a/b.c", "axbc"]),
        ("./a//b", ["a/b"], ["a", "b"]),
    ],
)
def test_globs_match_whole_paths(pattern: str, yes: list[str], no: list[str]) -> None:
    """Stars stay in a segment, double stars span segments, braces mean either."""
    matches = compile_glob(pattern).match
    assert [path for path in yes if not matches(path)] == []
    assert [path for path in no if matches(path)] == []


@pytest.mark.parametrize("pattern", ["", "/etc/*", "{a,b", "a}", "../x"])
def test_bad_globs_are_refused(pattern: str) -> None:
    """A glob that could never match is an error, not an empty answer."""
    with pytest.raises(ValueError, match=r"relative pattern|balanced|below the validated root"):
        compile_glob(pattern)


def test_paths_are_normal_or_refused() -> None:
    """Paths are brought to one form; what leaves the root cannot be recorded and is refused."""
    assert normal_path("a/./b//c/../d") == "a/b/d"
    assert normal_path("") == normal_path(".") == "."
    assert normal_path(Path("x") / "y") == "x/y"
    for bad in ("/etc/passwd", "../x", "a/../../x"):
        with pytest.raises(ValueError, match="validated root; received"):
            normal_path(bad)
