"""Looks behind the context's back raise the alarm."""

from __future__ import annotations

import importlib
import os
import pkgutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from optengine.rules import Context, ProcessPoolValidator, RuleSet
from optengine.rules.execute import Workspace
from optengine.rules.model import Rule, SharedBuilder
from optengine.rules.snapshot import DiskSnapshot
from optengine.rules.tree import scan


def unrecorded(
    root: Path, check: Callable[[Context], object], builder: Callable[[Context], object] = len
) -> list[str]:
    desk = Workspace(root, DiskSnapshot(root, scan(root)), {"s": SharedBuilder("s", builder)}, {}, track=True)
    return desk.run(Rule("R", check), {}).unrecorded


def in_thread(call: Callable[[], object]) -> bool:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    return True


def read(path: Path) -> bool:
    return bool(path.read_bytes())


@pytest.mark.parametrize(
    ("event", "check"),
    [
        ("open", lambda ctx: read(Path(__file__))),
        ("open", lambda ctx: bool(os.close(os.open(__file__, os.O_RDONLY)))),
        ("open", lambda ctx: in_thread(lambda: read(Path(__file__)))),
        ("os.listdir", lambda ctx: bool(os.listdir())),  # noqa: PTH208 - the very call under test
        ("os.scandir", lambda ctx: bool(os.scandir(".").close())),
        ("os.listdir", lambda ctx: bool(list(Path().iterdir()))),
        ("os.scandir", lambda ctx: bool(list(Path(__file__).parent.glob("*.py")))),
        ("subprocess.Popen", lambda ctx: bool(subprocess.run([sys.executable, "-c", ""], check=True))),
        ("sqlite3.connect", lambda ctx: bool(sqlite3.connect(":memory:").close())),
        ("socket.getaddrinfo", lambda ctx: bool(socket.getaddrinfo("127.0.0.1", 1))),
    ],
)
def test_every_way_around_the_context_is_seen(
    tmp_path: Path, event: str, check: Callable[[Context], object]
) -> None:
    """Opening, listing, starting and connecting are seen, also from a thread that the rule starts."""
    assert any(one.startswith(event) for one in unrecorded(tmp_path, check))


def test_the_context_itself_raises_no_alarm(tmp_path: Path) -> None:
    """Reading through the context opens files too, and that is not an alarm."""
    (tmp_path / "a").write_text("x")
    assert unrecorded(tmp_path, lambda ctx: ctx.fs.read("a")) == []


def test_importing_a_library_raises_no_alarm(tmp_path: Path) -> None:
    """Imports are code, which has a digest of its own."""

    def check(ctx: Context) -> bool:
        import this  # noqa: F401

        return True

    sys.modules.pop("this", None)
    assert unrecorded(tmp_path, check) == []


def test_data_read_by_a_loader_raises_the_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data beside a module is no code, though the import machinery reads it for pkgutil; the module itself is."""
    package = tmp_path / "elsewhere" / "rule_data_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "limits.json").write_text("3")
    (tmp_path / "tree").mkdir()
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)

    def imports(ctx: Context) -> bool:
        importlib.import_module("rule_data_package")
        return True

    try:
        assert unrecorded(tmp_path / "tree", imports) == []
        assert (package / "__pycache__").is_dir(), "byte code was written meanwhile"
        found = unrecorded(
            tmp_path / "tree", lambda ctx: pkgutil.get_data("rule_data_package", "limits.json") == b"3"
        )
        assert [one for one in found if one.startswith("open") and one.endswith("limits.json")]
    finally:
        sys.modules.pop("rule_data_package", None)


def test_importing_from_the_tree_raises_the_alarm(tmp_path: Path) -> None:
    """A module of the validated tree is data of the tree, so importing it is a look behind the context's
    back."""
    (tmp_path / "module_of_the_tree.py").write_text("VALUE = 1\n")

    def check(ctx: Context) -> bool:
        import module_of_the_tree

        return module_of_the_tree.VALUE == 1

    sys.path.insert(0, str(tmp_path))
    try:
        assert any("module_of_the_tree" in one for one in unrecorded(tmp_path, check))
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("module_of_the_tree", None)


def test_a_builder_taints_every_user_of_its_input(tmp_path: Path) -> None:
    """When the builder of a shared input looks around the context, every rule that uses the input is
    marked."""
    desk = Workspace(
        tmp_path,
        DiskSnapshot(tmp_path, scan(tmp_path)),
        {"s": SharedBuilder("s", lambda ctx: read(Path(__file__)))},
        {},
        track=True,
    )
    for name in ("first", "second"):
        assert desk.run(Rule(name, lambda ctx: bool(ctx.shared("s"))), {}).unrecorded


@pytest.mark.parametrize("mode", ["sequential", "threads", "auto", "processes"])
def test_marked_rules_run_every_time(tmp_path: Path, mode: str) -> None:
    """A rule that looks behind the context's back is never cached, wherever it runs, and the report says why."""
    outside = tmp_path / "outside.txt"
    outside.write_text("1")
    tree = tmp_path / "tree"
    tree.mkdir()
    rules = RuleSet()
    rules.add("sly", lambda ctx: outside.read_text() == "1")
    rules.add("honest", lambda ctx: ctx.fs.exists("."))

    def statuses() -> list[tuple[str, bool]]:
        report = ProcessPoolValidator(
            tree, rules, mode=mode, max_workers=2, cache_dir=tmp_path / "cache"
        ).validate()
        assert "looked behind the context's back: open" in report.stats.uncached["sly"]
        return [(one.status.value, one.cached) for one in report.results]

    assert statuses() == [("PASS", False), ("PASS", False)]
    assert statuses() == [("PASS", False), ("PASS", True)]
    outside.write_text("2")
    assert statuses() == [("FAIL", False), ("PASS", True)]


_COLLECTING = """
import gc, sys, threading
from optengine.rules import alarm

class Knot:
    def __init__(self):
        self.me, self.lock = self, threading.Lock()
    def __del__(self):
        for _ in range(2000):
            pass

def lane():
    for _ in range(1500):
        Knot()
        with alarm.watching([]):
            pass

def others():
    while not ended.is_set():
        thread = threading.Thread(target=Knot)
        thread.start()
        thread.join()

ended = threading.Event()
gc.set_threshold(1)
sys.setswitchinterval(1e-6)
threading.Thread(target=others).start()
lanes = [threading.Thread(target=lane) for _ in range(3)]
for each in lanes:
    each.start()
for each in lanes:
    each.join()
ended.set()
"""


def test_watching_does_not_hang_when_garbage_is_collected() -> None:
    """Threads that are watched while others begin, end and collect garbage all come to their end."""
    done = subprocess.run([sys.executable, "-c", _COLLECTING], timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
