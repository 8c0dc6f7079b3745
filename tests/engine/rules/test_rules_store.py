"""The store survives kills, concurrent writers and damage, and never gives back what was not put in."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from optengine.rules import digest
from optengine.rules.errors import RulesUsageError
from optengine.rules.store import FILE_NAME, KEPT_PER_RULE, Store

WRITER = Path(__file__).parent / "store_writer.py"


def body(value: object) -> dict[str, Any]:
    return {"status": "PASS", "message": "", "evidence": value}


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    """Results, traces with their parts, timings, files and manifests are read back unchanged."""
    store = Store(tmp_path / "new" / "folder")
    part = {"records": [["file", "a", "1"]], "parts": []}
    whole = {"records": [], "parts": [digest.of_json(part)]}
    traces = {digest.of_json(part): part, digest.of_json(whole): whole}
    store.save([("k", digest.of_json(whole), body({"é": [1, None]}))], traces, {"R": 1.5})
    (entry,) = store.entries(["k", "other"])["k"]
    assert entry.body == body({"é": [1, None]})
    assert store.traces([entry.trace]) == traces
    assert store.timings() == {"R": 1.5}
    store.save_files("root", {"a": ((1, 2, 3, 4), "d"), "b": ((1, 2, 3, 4), "e")})
    store.save_files("root", {}, gone=["b"])
    assert store.known_files("root") == {"a": ((1, 2, 3, 4), "d")}
    assert store.known_files("other") == {}
    store.save_manifest("m", {"a": [1, "x"]})
    assert store.manifest("m") == {"a": [1, "x"]}
    assert store.manifest("n") is None


def test_only_the_latest_results_of_a_rule_are_kept(tmp_path: Path) -> None:
    """A key keeps its latest results, so that the file does not grow for ever."""
    store = Store(tmp_path)
    for number in range(KEPT_PER_RULE + 5):
        store.save([("k", f"t{number}", body(number))], {}, {})
    values = [entry.body["evidence"] for entry in store.entries(["k"])["k"]]
    assert values == list(range(KEPT_PER_RULE + 4, 4, -1))


def test_a_file_that_is_no_database_is_moved_aside(tmp_path: Path) -> None:
    """A damaged file does not stop a run: it is moved aside and a new one begun."""
    store = Store(tmp_path)
    store.path.write_bytes(b"this is not a database" * 100)
    again = Store(tmp_path)
    assert again.moved_aside is not None
    assert again.moved_aside.exists()
    again.save([("k", "t", body(1))], {}, {})
    assert len(again.entries(["k"])["k"]) == 1


def test_tables_of_another_make_are_moved_aside(tmp_path: Path) -> None:
    """A database whose tables have these names and other columns does not end a run, nor do rows of other types."""
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("CREATE TABLE entries (other)")
        connection.commit()
    store = Store(tmp_path)
    assert store.moved_aside is not None
    store.save([("k", "t", body(1))], {}, {"good": 1.5, "text": 2.5, "endless": 3.5})
    store.save_files("root", {"a": ((1, 2, 3, 4), "digest"), "b": ((1, 2, 3, 4), "digest")})
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        connection.execute("UPDATE timings SET seconds = 'text' WHERE rule = 'text'")
        connection.execute("UPDATE timings SET seconds = 1e308 WHERE rule = 'endless'")
        connection.execute("UPDATE files SET version = '[1]' WHERE path = 'b'")
        connection.commit()
    again = Store(tmp_path)
    assert again.moved_aside is None
    assert again.timings() == {"good": 1.5}
    assert again.known_files("root") == {"a": ((1, 2, 3, 4), "digest")}


def test_altered_rows_are_not_believed(tmp_path: Path) -> None:
    """A row whose text was changed without its sum is as good as absent, and so is a changed trace."""
    store = Store(tmp_path)
    trace = {"records": [["file", "a", "1"]], "parts": []}
    store.save([("k", digest.of_json(trace), body(1))], {digest.of_json(trace): trace}, {})
    store.save_manifest("m", [1])
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE entries SET body = replace(body, 'PASS', 'FAIL')")
        connection.execute("UPDATE traces SET body = replace(body, 'file', 'kind')")
        connection.execute("UPDATE manifests SET body = '[2]'")
    connection.close()
    assert store.entries(["k"]) == {}
    assert store.traces([digest.of_json(trace)]) == {}
    assert store.manifest("m") is None


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A cache folder below a file is an error that names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RulesUsageError, match=r"cache folder must be writable; .*file"):
        Store(tmp_path / "file" / "cache")
    with pytest.raises(RulesUsageError, match=r"cache folder must be writable; .*null"):
        Store(tmp_path / "file\0")


def test_killed_writers_leave_a_sound_store(tmp_path: Path) -> None:
    """Two processes write at once and are killed again and again; the store stays whole and readable
    throughout."""
    store = Store(tmp_path)
    chance = random.Random(4)
    written = [f"key{n}" for n in range(50)]
    for round_number in range(4):
        writers = [
            subprocess.Popen(
                [sys.executable, str(WRITER), str(tmp_path), f"{round_number}{w}"], stdout=subprocess.PIPE
            )
            for w in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 240
        while not store.entries(written) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.02, 0.2))
        store.save([("mine", f"t{round_number}", body(round_number))], {}, {})
        for writer in writers:
            writer.kill()
            writer.wait()
            assert writer.stdout is not None
            writer.stdout.close()
        with sqlite3.connect(store.path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
    assert Store(tmp_path).moved_aside is None
    assert len(store.entries(["mine"])["mine"]) == 4
    assert len(store.entries(written)) > 0


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A store whose folder is gone says why nothing was kept, and raises nothing."""
    store = Store(tmp_path / "cache")
    assert store.save([("k", "t", body(1))], {}, {}) is None
    shutil.rmtree(tmp_path / "cache")
    assert "unable to open database file" in (store.save([("k", "t", body(2))], {}, {}) or "")
    store.save_files("root", {})
    store.save_manifest("m", 1)
    assert store.manifest("m") is None


def test_a_damaged_page_is_found_at_the_start(tmp_path: Path) -> None:
    """A store with a page overwritten is put aside and begun anew, instead of failing when that page is read."""
    store = Store(tmp_path)
    store.save_manifest("kept", ["x" * 100] * 200)
    damaged = bytearray(store.path.read_bytes())
    damaged[len(damaged) // 2 :] = b"\xff" * (len(damaged) - len(damaged) // 2)
    store.path.write_bytes(damaged)
    again = Store(tmp_path)
    assert again.moved_aside is not None
    assert again.manifest("kept") is None
