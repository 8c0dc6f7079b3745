"""A history on an object store: a real HTTP server that speaks S3, and places that cannot be reached."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from plugin_bench import FASTER, Bench
from samples import decision, inconclusive

from pytest_optbench.cli import run
from pytest_optbench.history.apart import add, prepare
from pytest_optbench.history.location import locate
from pytest_optbench.history.read import read
from pytest_optbench.history.write import write_run
from pytest_optbench.store.errors import StoreError

LIMIT_S = 4.0
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""
WRITER = """
import sys
from pytest_optbench.history.location import locate
from pytest_optbench.history.write import write_run
sys.path.insert(0, {samples!r})
from samples import decision
for number in range(5):
    write_run(locate({uri!r}), [decision(started="2026-11-2%dT10:00:{second}Z" % number)])
"""


@contextmanager
def serving() -> Iterator[tuple[int, int]]:
    """Run an S3 server of this machine that holds one bucket: its port and process id."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # It runs nothing of this project, and loads much: not to be traced for coverage.
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
    ) as server:
        assert server.stdout is not None
        number = int(server.stdout.readline())
        request = urllib.request.Request(f"http://127.0.0.1:{number}/bucket", method="PUT")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
        yield number, server.pid
        server.communicate()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Yield the port of a server for all tests."""
    with serving() as (number, _):
        yield number


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, untraced: None) -> None:
    """Have credentials for the server, and no others of whoever runs the tests."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "NO_PROXY": "*", "no_proxy": "*",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)


def place(port: int, path: str = "bucket/history") -> str:
    return f"s3://{path}?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"


def call(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return run(["history", *arguments], out, err), out.getvalue(), err.getvalue()


def test_a_run_is_kept_and_counted(bench: Bench, port: int) -> None:
    """Two runs of pytest with fresh report folders: the second knows the first, and the header names no query."""
    uri = place(port, "bucket/runs/pytest")
    bench.file(FASTER)
    for folder in ("one", "two"):
        result = bench.run(f"--optbench-history={uri}", f"--optbench-report-dir={folder}")
        result.stdout.fnmatch_lines(["optbench: *, history in s3://bucket/runs/pytest"])
    assert [len(bench.only(folder)["earlier"]) for folder in ("one", "two")] == [0, 1]
    assert len(read(locate(uri)).records) == 2


def test_the_command_reads_it(port: int, tmp_path: Path) -> None:
    """List, show, trend and export work as on a folder, and name the place without its query."""
    uri = place(port, "bucket/command")
    prepare(uri, tmp_path)
    name = write_run(locate(uri), [decision(), inconclusive(started="2026-11-23T10:00:00Z")])
    status, out, err = call("list", uri)
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == "2 decisions of 1 run in s3://bucket/command"
    status, out, _ = call("show", uri, decision()["id"])
    assert status == 0
    assert name.removesuffix(".parquet") in out
    status, out, _ = call("trend", uri)
    assert (status, "Persistent worker pool" in out) == (0, True)
    status, out, _ = call("export", uri, "--format", "jsonl")
    assert status == 0
    assert [len(json.loads(line)["pairs"]) for line in out.splitlines()] == [
        len(decision()["pairs"]), len(inconclusive()["pairs"]),
    ]  # fmt: skip


def test_writers_at_the_same_time_lose_nothing(port: int, tmp_path: Path) -> None:
    """Two processes add five runs each; all ten are there, whole, and nothing else."""
    uri = place(port, "bucket/writers")
    prepare(uri, tmp_path)
    samples = str(Path(__file__).parents[1] / "report")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER.format(samples=samples, uri=uri, second=second)])
        for second in ("01", "02")
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    history = read(locate(uri))
    assert (history.runs, len({record.started for record in history.records}), history.problems) == (
        10,
        10,
        [],
    )


def test_no_bucket_and_no_credentials_are_found_before_measuring(
    bench: Bench, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are usage errors that name the place and what the store said; nothing is measured."""
    bench.file(FASTER)
    result = bench.run(f"--optbench-history={place(port, 'nobody/history')}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: --optbench-history: the history s3://nobody/history cannot be written: Bucket 'nobody' not found*"
        ]
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    result = bench.run(f"--optbench-history={place(port)}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --optbench-history: the history s3://bucket/history cannot be *ACCESS_DENIED*"]
    )
    assert not (bench.folder / "reports").exists()


def test_a_server_that_goes_while_measuring_loses_nothing(bench: Bench) -> None:
    """The run ends in bounded time and fails; its file is kept in the report folder and can be copied from there."""
    with serving() as (port, server):
        bench.file(
            FASTER
            + f"\ndef test_ends_it():\n    import os, time\n    os.kill({server}, 9)\n    time.sleep(0.5)\n"
        )
        began = time.monotonic()
        result = bench.run(f"--optbench-history={place(port)}", "--optbench-gate=off")
        assert time.monotonic() - began < 240
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    (kept,) = (bench.folder / "reports" / "unsent").iterdir()
    result.stdout.fnmatch_lines(
        [
            "optbench: the run cannot be added to the history s3://bucket/history: *; the run is kept in the report "
            f"folder as unsent/{kept.name}: copy that file into the history, *"
        ]
    )
    (record,) = read(locate(str(kept.parent))).records
    assert record.id == bench.only()["id"]


def test_a_place_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """A server that takes the connection and says nothing costs the time limit, then it is an error."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = place(silent.getsockname()[1])
        words = (
            r"the history s3://bucket/history must answer within 4 s, and did not; see that it can be reached"
        )
        with pytest.raises(StoreError, match=words):
            prepare(uri, tmp_path, limit_s=LIMIT_S)
        with pytest.raises(
            StoreError, match=words + r".*; the run is kept in the report folder as unsent/\S+\.parquet"
        ):
            add(uri, tmp_path, [decision()], {}, tmp_path / "reports", limit_s=LIMIT_S)
    assert len(read(locate("reports/unsent", tmp_path)).records) == 1


def test_google_cloud_without_credentials_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gs URI is understood; where nobody gives a token the error says so, in the time it was given."""
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(
        StoreError, match=r"the history gs://bucket/history cannot be (opened|written): .*credentials|token"
    ):
        prepare("gs://bucket/history?retry_limit_seconds=1", tmp_path)
