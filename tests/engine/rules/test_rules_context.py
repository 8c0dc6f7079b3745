"""What a rule sees is what is recorded: contents, kinds, listings, matches, absences."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optengine.rules import Context, ProcessPoolValidator, RuleSet, Status
from optengine.rules.execute import RawResult, Workspace
from optengine.rules.model import Rule, SharedBuilder
from optengine.rules.segment import SegmentError, SegmentSnapshot, create
from optengine.rules.shared import SharedInputError, decode, encode
from optengine.rules.snapshot import DiskSnapshot
from optengine.rules.trace import Recorder, Scene, observe
from optengine.rules.tree import scan


def workspace(root: Path, builders: dict[str, SharedBuilder] | None = None) -> Workspace:
    return Workspace(root, DiskSnapshot(root, scan(root)), builders or {}, {"level": 3}, track=True)


def run(root: Path, check: Callable[[Context], object], **more: Any) -> RawResult:
    return workspace(root, **more).run(Rule("R", check), {})


def looks(raw: RawResult) -> list[tuple[str, str]]:
    assert raw.trace is not None
    return [(what, which) for what, which, _ in raw.trace.records]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.txt").write_bytes(b"one\r\ntwo\n")
    return tmp_path


def test_every_look_is_recorded_also_at_what_is_absent(tree: Path) -> None:
    """Reads, kinds, sizes, listings, globs and variables are recorded, found or not."""

    def look(ctx: Context) -> bool:
        assert ctx.fs.read("d/a.txt") == "one\ntwo\n"
        assert ctx.fs.read_bytes(Path("d/./a.txt")) == b"one\r\ntwo\n"
        assert not ctx.fs.exists("missing")
        assert ctx.fs.is_file("d/a.txt")
        assert ctx.fs.is_dir("d")
        assert ctx.fs.size("d/a.txt") == 9
        assert ctx.fs.listdir() == ["d"]
        assert ctx.fs.glob("**/*.py") == []
        assert ctx.env("OPTENGINE_NO_SUCH_VARIABLE") is None
        assert ctx.config["level"] == 3
        for call in (lambda: ctx.fs.read("gone"), lambda: ctx.fs.read("d"), lambda: ctx.fs.listdir("gone")):
            with pytest.raises(OSError, match=r"No such|directory"):
                call()
        with pytest.raises(NotADirectoryError):
            ctx.fs.listdir("d/a.txt")
        with pytest.raises(FileNotFoundError):
            ctx.fs.size("gone")
        return True

    raw = run(tree, look)
    assert raw.status is Status.PASS, raw.reason
    assert looks(raw) == [
        ("env", "OPTENGINE_NO_SUCH_VARIABLE"),
        ("file", "d"),
        ("file", "d/a.txt"),
        ("file", "gone"),
        ("glob", "**/*.py"),
        ("kind", "d"),
        ("kind", "d/a.txt"),
        ("kind", "missing"),
        ("list", "."),
        ("list", "d/a.txt"),
        ("list", "gone"),
        ("size", "d/a.txt"),
        ("size", "gone"),
    ]
    assert raw.unrecorded == []
    assert not raw.vacuous


@pytest.mark.parametrize(
    ("what", "which", "change"),
    [
        ("file", "d/a.txt", lambda root: (root / "d/a.txt").write_text("new")),
        ("file", "new.txt", lambda root: (root / "new.txt").write_text("")),
        ("file", "d/a.txt", lambda root: (root / "d/a.txt").unlink()),
        ("kind", "new", lambda root: (root / "new").mkdir()),
        ("size", "d/a.txt", lambda root: (root / "d/a.txt").write_text("longer than before")),
        ("list", "d", lambda root: (root / "d/b.txt").write_text("")),
        ("list", "gone", lambda root: (root / "gone").mkdir()),
        ("glob", "**/*.txt", lambda root: (root / "d/a.txt").rename(root / "d/c.txt")),
    ],
)
def test_a_change_that_was_looked_at_is_noticed(
    tree: Path, what: str, which: str, change: Callable[[Path], object]
) -> None:
    """Each way of looking gives another digest after a change it could see, and the same without one."""
    before = observe(Scene(DiskSnapshot(tree, scan(tree))), what, which)
    assert observe(Scene(DiskSnapshot(tree, scan(tree))), what, which) == before
    change(tree)
    assert observe(Scene(DiskSnapshot(tree, scan(tree))), what, which) != before


def test_unknown_records_are_refused(tree: Path) -> None:
    """A record of a kind this version does not know raises instead of being taken as unchanged."""
    with pytest.raises(ValueError, match="known kind; received 'smell'"):
        observe(Scene(DiskSnapshot(tree, scan(tree))), "smell", "d")


def test_paths_outside_the_root_are_errors(tree: Path) -> None:
    """A rule that asks for a path outside of the root is an ERROR and reads nothing."""
    raw = run(tree, lambda ctx: ctx.fs.read("../secret"))
    assert raw.status is Status.ERROR
    assert "must stay below the validated root; received '../secret'" in raw.message


def test_odd_files_are_never_opened(tree: Path) -> None:
    """Reading a pipe would hang, so it is refused by kind."""
    os.mkfifo(tree / "pipe")
    assert "this is a other" in run(tree, lambda ctx: ctx.fs.read("pipe")).message


def test_the_real_root_marks_a_rule_as_unrecorded(tree: Path) -> None:
    """Taking the real path is allowed, but what is done with it cannot be recorded."""
    raw = run(tree, lambda ctx: ctx.passed(str(ctx.root == tree)))
    assert (raw.message, raw.unrecorded) == ("True", ["ctx.root"])


def test_a_rule_that_looks_at_nothing_is_vacuous(tree: Path) -> None:
    """A pass without a look at anything that exists is told from a real one."""
    assert run(tree, lambda ctx: True).vacuous
    assert run(tree, lambda ctx: not ctx.fs.glob("**/*.{yaml,yml}")).vacuous
    assert not run(tree, lambda ctx: ctx.fs.exists("d")).vacuous
    rules = RuleSet()
    rules.add("empty", lambda ctx: not ctx.fs.glob("*.none"))
    assert ProcessPoolValidator(tree, rules, mode="sequential").validate().stats.vacuous == ["empty"]


def test_a_context_ends_with_its_rule(tree: Path) -> None:
    """A context kept beyond the rule raises instead of looking without a record."""
    kept: list[Context] = []
    run(tree, lambda ctx: kept.append(ctx) or True)
    with pytest.raises(RuntimeError, match="must not be used after its rule"):
        kept[0].fs.exists("d")


def test_the_traversable_is_recorded_too(tree: Path) -> None:
    """The tree as a Traversable works for reading, refuses writing, and records every look."""

    def walk(ctx: Context) -> bool:
        top = ctx.tree
        assert [one.name for one in top.iterdir()] == ["d"]
        file = top / "d" / "a.txt"
        assert file.is_file()
        assert not file.is_dir()
        assert file.exists()
        assert (file.read_text(), file.read_bytes()) == ("one\ntwo\n", b"one\r\ntwo\n")
        assert file.open().read() == "one\ntwo\n"
        assert file.open("rb").read() == b"one\r\ntwo\n"
        assert [str(one) for one in (top / "d").glob("*.txt")] == ["d/a.txt"]
        assert [str(one) for one in top.glob("d/*")] == ["d/a.txt"]
        assert (top.name, str(top), str(file)) == ("", ".", "d/a.txt")
        with pytest.raises(ValueError, match="read-only: mode must be 'r' or 'rb'; received 'w'"):
            file.open("w")
        return True

    raw = run(tree, walk)
    assert raw.status is Status.PASS, raw.reason
    assert ("file", "d/a.txt") in looks(raw)
    assert raw.unrecorded == []


def test_what_a_shared_input_looked_at_counts_for_its_users(tree: Path) -> None:
    """The looks of a builder are part of the trace of every rule that uses the input, also the second."""
    builders = {"text": SharedBuilder("text", lambda ctx: ctx.fs.read("d/a.txt"))}
    desk = workspace(tree, builders)
    raws = [desk.run(Rule(name, lambda ctx: bool(ctx.shared("text"))), {}) for name in ("first", "second")]
    for raw in raws:
        assert raw.trace is not None
        assert ("file", "d/a.txt") in [(w, p) for trace in raw.trace.walk() for w, p, _ in trace.records]
        assert not raw.vacuous
    assert desk.shared.builds == {"text": 1}


def test_shared_inputs_name_what_is_wrong(tree: Path) -> None:
    """Unknown names, circles and values that cannot be shared are errors of the rule that asks."""
    builders = {
        "a": SharedBuilder("a", lambda ctx: ctx.shared("b")),
        "b": SharedBuilder("b", lambda ctx: ctx.shared("a")),
        "odd": SharedBuilder("odd", lambda ctx: object(), "run"),
    }
    assert "known: a, b, index, odd" in run(tree, lambda ctx: ctx.shared("c"), builders=builders).message
    assert "circle; found a -> b -> a" in run(tree, lambda ctx: ctx.shared("a"), builders=builders).message
    odd = run(tree, lambda ctx: ctx.shared("odd"), builders=builders).message
    assert "must be bytes or JSON data; 'odd' is a object" in odd


def test_run_wide_inputs_are_frozen() -> None:
    """What all rules share cannot be changed by one of them."""
    value = decode(encode({"a": [1, {"b": 2}]}, "x"))
    assert value["a"][1]["b"] == 2
    with pytest.raises(TypeError):
        value["a"] = 1
    assert decode(encode(b"raw", "x")) == b"raw"
    with pytest.raises(SharedInputError, match="bytes or JSON data; 'x' is a set"):
        encode({1}, "x")


def test_results_are_for_required_rules_only(tree: Path) -> None:
    """Asking for the result of a rule that is not required is an error, as its result may not be there
    yet."""
    assert "does not require 'other'" in run(tree, lambda ctx: ctx.result("other")).message


def test_the_segment_gives_what_the_disk_gives(tree: Path) -> None:
    """A snapshot attached to the segment has the index, contents and digests of the disk, and cannot be
    written."""
    (tree / "empty").write_bytes(b"")
    disk = DiskSnapshot(tree, scan(tree))
    recorder = Recorder(Scene(disk))
    segment = create(disk, disk.index.files(), lambda: {"x": (encode([1], "x"), recorder, recorder.trace())})
    try:
        attached = SegmentSnapshot(segment.handle, tree)
        assert attached.index.entries == disk.index.entries
        for path in disk.index.files():
            assert attached.content(path) == disk.content(path)
            assert attached.file_digest(path) == disk.file_digest(path)
        assert attached.file_digest("gone") == "absent"
        assert attached.mapped_bytes == segment.bytes
        assert decode(attached.run_inputs()["x"][0]) == (1,)
        with pytest.raises(OSError, match="not permitted"):
            os.write(segment.scratch.fd, b"x")
    finally:
        segment.close()
    assert attached.content("d/a.txt") == b"one\r\ntwo\n"
    with pytest.raises(SegmentError, match="must be readable"):
        SegmentSnapshot(segment.handle, tree)


def test_a_foreign_file_is_no_segment(tree: Path) -> None:
    """A file that is not a segment is refused by its first bytes."""
    (tree / "x").write_bytes(b"something else entirely")
    with pytest.raises(SegmentError, match="must begin with b'OPTRULE1'; received"):
        SegmentSnapshot(str(tree / "x"), tree)


def test_files_left_out_of_the_segment_are_read_from_the_disk(tree: Path) -> None:
    """A file that is not in the segment is read and digested by whoever needs it."""
    disk = DiskSnapshot(tree, scan(tree))
    segment = create(disk, [], dict)
    try:
        attached = SegmentSnapshot(segment.handle, tree)
        assert attached.content("d/a.txt") == b"one\r\ntwo\n"
        assert attached.file_digest("d/a.txt") == disk.file_digest("d/a.txt")
    finally:
        segment.close()
