"""One attempt: pytest with ``--optbench`` on one test, in a process of its own, and the decision it left.

No shell is involved, the test id comes after ``--``, and ids that pytest would read as anything else never
get here (`read`). The child has its own process group and dies with this process where Linux can see to that;
on an interrupt it is asked to end first, so that its fixtures are torn down.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pytest_optbench.measure import temporary
from pytest_optbench.measure.lock import WAITING
from pytest_optbench.private import clean
from pytest_optbench.report.escape import plain
from pytest_optbench.store import schema
from pytest_optbench.store.errors import StoreError
from pytest_optbench.store.files import read

from .collected import VARIABLE
from .errors import CampaignError
from .plan import Measure
from .read import DEFAULT_TIMEOUT_S, TOGETHER, Campaign

DECISIONS: Final = "decisions"
"""Folder of the decision documents inside the campaign's folder."""

ACCEPTED_VARIABLE: Final = "OPTBENCH_CAMPAIGN_ACCEPTED"
"""Tells the test that measures the set together which ids were accepted, separated by commas."""

TAIL_LINES: Final = 15
GRACE_S: Final = 15.0
"""What an interrupted pytest gets to tear down before it is killed."""

_LISTEN_S: Final = 1.0
_MOST_AT_ONCE: Final = 2**20
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: ``decided`` with the decision's figures, or ``failed`` with a message."""

    outcome: str
    seconds: float
    exit_status: int | None
    message: str | None
    decision: Mapping[str, Any] | None


def measure(campaign: Campaign, step: Measure, say: Callable[[str], None] | None = None) -> Outcome:
    """Return how measuring one test ended. An interrupt ends the child and is passed on. Raises StoreError.

    ``say`` receives what the test's process says it waits for.
    """
    folder = campaign.folder / DECISIONS
    if folder.is_symlink():
        raise StoreError(
            f"{DECISIONS} must be a folder of the campaign's own, but it is a link; remove the link"
        )
    folder.mkdir(parents=True, exist_ok=True)
    before = _contents(folder)
    arguments = ["--optbench", f"--optbench-report-dir={folder}", f"--rootdir={campaign.root}"]
    extra = {ACCEPTED_VARIABLE: ",".join(step.accepted)} if step.id == TOGETHER else {}
    began = time.monotonic()
    status, tail = _pytest(campaign, arguments, [step.test], extra, campaign.timeout_s, say)
    seconds = time.monotonic() - began

    def failed(why: str) -> Outcome:
        return Outcome("failed", seconds, status, f"{why}\n{tail}".strip(), None)

    if status is None:
        return failed(f"pytest must end within {campaign.timeout_s:g} s (timeout of the file) and did not")
    written = [path for path, content in _contents(folder).items() if before.get(path) != content]
    documents = [schema.loads(read(path).decode("utf-8")) for path in written]
    if len(documents) != 1:
        what = "no decision" if not documents else f"{len(documents)} decisions"
        return failed(f"the test must make one decision, and made {what} (pytest's exit status {status})")
    decision = figures(documents[0])
    if decision["verdict"] == "ACCEPT" and status != 0:
        return failed(f"the decision was ACCEPT, but the test failed beside it (exit status {status})")
    return Outcome("decided", seconds, status, None, decision)


def check_tests(campaign: Campaign, tests: Sequence[str]) -> None:
    """Return when pytest collects each of ``tests`` as exactly one test; raises `CampaignError`."""
    with temporary.folder() as folder:
        found = folder / "collected.json"
        arguments = ["--collect-only", "-q", "-p", "pytest_optbench.campaign.collected"]
        arguments += [f"--rootdir={campaign.root}"]
        status, tail = _pytest(campaign, arguments, tests, {VARIABLE: str(found)}, DEFAULT_TIMEOUT_S)
        ids = json.loads(found.read_text(encoding="utf-8")) if found.exists() else []
    several = [test for test in tests if test not in ids and any(i.startswith(f"{test}[") for i in ids)]
    if several:
        raise CampaignError(
            f"each test must be one test, received {', '.join(map(repr, several))}, which stands for several; "
            "name one of them with its parameters in brackets"
        )
    missing = [test for test in tests if test not in ids] if ids else []
    if missing or not ids or status != 0:
        which = f", but not {', '.join(map(repr, missing))}" if missing else ""
        raise CampaignError(
            f"pytest must collect every test of the campaign{which} (exit status {status}); correct the file "
            f"or the tests, nothing was measured\n{tail}"
        )


def figures(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the ledger keeps of a decision document."""
    margin = (document["tests"] or {}).get("margin") or {}
    return {
        "id": document["id"],
        "document": f"{DECISIONS}/{document['slug']}",
        "verdict": document["verdict"],
        "reasons": list(document["reasons"]),
        "summary": document["summary"],
        "goal": document["goal"],
        "margin": document["margin"],
        "confidence": document["confidence"],
        "ratio": {key: (document["ratio"] or {}).get(key) for key in ("estimate", "ci_low", "ci_high")},
        "df": margin.get("df"),
        "p": document["p_sequential"],
        "pairs": len(document["pairs"]),
        "attempt": document["attempt"],
        "started": document["started"],
    }


def _pytest(
    campaign: Campaign,
    arguments: Sequence[str],
    tests: Sequence[str],
    extra: Mapping[str, str],
    timeout_s: float,
    say: Callable[[str], None] | None = None,
) -> tuple[int | None, str]:
    """Run pytest in the project's root; return its exit status, None after a time-out, and its last lines."""
    command = [sys.executable, "-m", "pytest", *arguments, "--", *tests]
    environment = {
        key: value for key, value in os.environ.items() if key not in (ACCEPTED_VARIABLE, VARIABLE)
    }
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            command,
            cwd=campaign.root,
            env={**environment, **extra},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=_die_with_parent(),
        )
        status: int | None = None
        try:
            status = _wait(child, timeout_s, _Waiting(output.fileno(), say))
        finally:
            _end(child)
        output.seek(0)
        return status, _tail(output.read().decode("utf-8", "replace"), campaign.root)


class _Waiting:
    """Passes on what a child prints about waiting for the machine: minutes in which else nothing would be seen."""

    def __init__(self, output: int, say: Callable[[str], None] | None) -> None:
        """Take the file the child prints to."""
        self._output, self._say, self._seen = output, say, 0

    def pass_on(self) -> None:
        """Say the lines that are new and whole."""
        text = os.pread(self._output, _MOST_AT_ONCE, self._seen)
        whole = text[: text.rfind(b"\n") + 1] if len(text) < _MOST_AT_ONCE else text
        self._seen += len(whole)
        for line in whole.decode("utf-8", "replace").splitlines():
            if self._say is not None and line.startswith(f"optbench: {WAITING}"):
                self._say(line.removeprefix("optbench: "))


def _wait(child: subprocess.Popen[bytes], timeout_s: float, waiting: _Waiting) -> int | None:
    """Return the exit status, None at the time limit."""
    until = time.monotonic() + timeout_s
    while (left := until - time.monotonic()) > 0:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(min(_LISTEN_S, left))
        waiting.pass_on()
    return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child if it still runs: interrupt, wait, then kill its group; a second interrupt kills at once."""
    if child.poll() is not None:
        return
    try:
        child.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_S)
    finally:
        if child.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _die_with_parent() -> Callable[[], None] | None:
    """Return what makes the child end when this process is killed; None where the system cannot do that."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl  # loaded here: nothing may be loaded between fork and exec
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it was killed before it was asked
            os._exit(1)

    return ask


def _contents(folder: Path) -> dict[Path, str]:
    """Return a digest of every decision file in ``folder``."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        if path.name != "index.json":
            # Somebody else's file that cannot be read must not end the campaign. One of this attempt cannot hide
            # here: a decision that cannot be read is a decision that was not made, and the attempt has failed.
            with suppress(StoreError):
                found[path] = hashlib.sha256(read(path)).hexdigest()
    return found


def _tail(text: str, root: Path) -> str:
    """Return the last lines, printable and without places of this machine."""
    lines = [plain(clean(line, root)).rstrip() for line in text.splitlines()]
    return "\n".join([line for line in lines if line][-TAIL_LINES:])
