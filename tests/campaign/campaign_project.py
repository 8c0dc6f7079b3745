"""A small project with benchmarks of clear ratio, and campaigns over it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_optbench import cli
from pytest_optbench.campaign.ledger import Attempt, Ledger
from pytest_optbench.campaign.read import Campaign, read_campaign

WORK = """
from pathlib import Path
import os, time
import pytest

def loop(n):
    def work():
        for i in range(n):
            pass
        return 1
    return work

def test_half(optbench):
    optbench.compare(baseline=loop(4000), optimized=loop(2000))

def test_half_again(optbench):
    optbench.compare(baseline=loop(2000), optimized=loop(1000))

def test_slower(optbench):
    optbench.compare(baseline=loop(1000), optimized=loop(3000))

def test_whole(optbench):
    Path("accepted.txt").write_text(os.environ["OPTBENCH_CAMPAIGN_ACCEPTED"])
    optbench.compare(baseline=loop(4000), optimized=loop(1000))

def test_other_whole(optbench):
    optbench.compare(baseline=loop(4000), optimized=loop(2500))

@pytest.fixture
def torn_down():
    yield
    Path("torn-down").touch()

def test_waits(optbench, torn_down):
    Path("waiting").touch()
    while not Path("go").exists():
        time.sleep(0.02)
    optbench.compare(baseline=loop(2000), optimized=loop(1000))

def test_accepted_but_failing(optbench):
    optbench.compare(baseline=loop(4000), optimized=loop(2000))
    raise AssertionError("something else")

def test_no_decision():
    assert Path.cwd().is_dir()

@pytest.mark.parametrize("n", [1, 2])
def test_several(optbench, n):
    optbench.compare(baseline=loop(4000), optimized=loop(2000))
"""


# Plugins these tests have no use for, each a part of the time a run takes to start.
QUICK_START = " ".join(
    f"-p no:{name}"
    for name in (
        "cacheprovider",
        "asyncio",
        "anyio",
        "benchmark",
        "codspeed",
        "hypothesispytest",
        "timeout",
        "xdist",
    )
)


class Project:
    """A folder with a test file; writes campaigns and runs the command on them in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pytest.ini").write_text(f"[pytest]\naddopts = {QUICK_START}\n")
        (folder / "test_work.py").write_text(WORK)
        self.file = folder / "campaign.toml"
        self.reports = folder / "reports" / "campaign"
        self.out = self.err = ""
        self.retries = 1

    def write(self, candidates: str, stop: str = "rejections_in_a_row = 9", head: str = "") -> Path:
        """Write the campaign file; each line of ``candidates`` is ``rank id test-name [key = value; ...]``."""
        text = f'[campaign]\ntitle = "Loops"\nretries = {self.retries}\n{head}\n[stop]\n{stop}\n'
        for line in candidates.strip().splitlines():
            rank, identity, name, *rest = line.split(maxsplit=3)
            table = "candidates" if rank.isdigit() else "candidates.alternatives"
            text += f'[[{table}]]\nid = "{identity}"\ntest = "test_work.py::{name}"\n'
            text += f"rank = {rank}\n" if rank.isdigit() else ""
            text += "\n".join(part.strip() for part in rest[0].split(";")) + "\n" if rest else ""
        self.file.write_text(text)
        return self.file

    def read(self) -> Campaign:
        return read_campaign(self.file)

    def run(self, action: str, *more: str) -> int:
        """Run ``optbench campaign ACTION`` here; return its exit status."""
        out, err = io.StringIO(), io.StringIO()
        status = cli.run(["campaign", action, str(self.file), *more], out, err)
        self.out, self.err = out.getvalue(), err.getvalue()
        return status

    def events(self, kind: str) -> list[dict[str, Any]]:
        content = json.loads((self.reports / "ledger.json").read_text())
        return [event for event in content["events"] if event["event"] == kind]

    def measured(self) -> list[str]:
        """Return the ids in the order they were measured."""
        return [event["id"] for event in self.events("started")]


def decided(
    number: int,
    identity: str,
    test: str,
    ratio: float,
    verdict: str = "ACCEPT",
    reasons: Sequence[str] = ("demonstrated",),
    p: float | None = 1e-6,
    spread: float = 0.01,
    goal: str = "speedup",
    accepted: Sequence[str] = (),
    **more: Any,
) -> Attempt:
    """Return an attempt as the ledger would give it; the interval is ``ratio`` times exp(+-spread)."""
    from math import exp

    decision: Mapping[str, Any] = {
        "verdict": verdict, "reasons": list(reasons), "goal": goal, "confidence": 0.95, "df": 8, "p": p,
        "ratio": {"estimate": ratio, "ci_low": ratio * exp(-spread), "ci_high": ratio * exp(spread)},
        "document": f"decisions/{identity}", "pairs": 10, "attempt": 1, "summary": f"{verdict} {identity}",
    }  # fmt: skip
    return Attempt(
        number, identity, test, tuple(accepted), "2026-01-01T00:00:00Z",
        outcome="decided", seconds=1.0, decision=decision, **more,
    )  # fmt: skip


def ledger_of(project: Project, attempts: Sequence[Attempt]) -> Ledger:
    """Write the attempts into the project's ledger."""
    project.reports.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(project.reports)
    for each in attempts:
        ledger.append(
            "started", attempt=each.number, id=each.id, test=each.test, accepted=list(each.accepted)
        )
        if each.outcome != "interrupted":
            fields: dict[str, Any] = {"message": each.message, "decision": each.decision}
            ledger.append("finished", attempt=each.number, outcome=each.outcome, seconds=1.0, **fields)
    return ledger
