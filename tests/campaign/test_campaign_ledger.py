"""The ledger: append-only, whole or not at all, and strict about what it reads."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pytest_optbench.campaign.ledger import NAME, SCHEMA, Ledger
from pytest_optbench.store.errors import StoreError

DECISION = {
    "verdict": "ACCEPT", "reasons": [], "goal": "speedup", "confidence": 0.95, "document": "decisions/a",
    "pairs": 10, "attempt": 1, "ratio": {"estimate": 2.0, "ci_low": 1.9, "ci_high": 2.1},
}  # fmt: skip


def started(ledger: Ledger, number: int, identity: str = "a") -> None:
    ledger.append("started", attempt=number, id=identity, test="t.py::t", accepted=[])


def finished(ledger: Ledger, number: int, outcome: str = "decided", **fields: object) -> None:
    ledger.append("finished", attempt=number, outcome=outcome, seconds=1.5, decision=DECISION, **fields)


def test_attempts_come_back_as_they_were_written(tmp_path: Path) -> None:
    """Started, finished, interrupted and superseded attempts are all kept, in order."""
    ledger = Ledger(tmp_path)
    started(ledger, 1)
    finished(ledger, 1)
    ledger.append("again", id="a")
    started(ledger, 2)
    started(ledger, 3, "b")
    finished(ledger, 3, "failed", message="no decision")
    found = Ledger(tmp_path).attempts()
    assert [(a.number, a.id, a.outcome, a.counts, a.seconds) for a in found] == [
        (1, "a", "decided", False, 1.5),
        (2, "a", "interrupted", True, 0.0),
        (3, "b", "failed", True, 1.5),
    ]
    assert found[0].decision == DECISION
    assert found[2].message == "no decision"


def test_nothing_is_there_before_the_first_event(tmp_path: Path) -> None:
    """A missing ledger is an empty one."""
    assert Ledger(tmp_path).attempts() == []
    assert Ledger(tmp_path).last("planned") is None


def test_another_writer_s_events_are_kept(tmp_path: Path) -> None:
    """Appending goes after all that the file holds now, not after what was read before."""
    first, second = Ledger(tmp_path), Ledger(tmp_path)
    started(first, 1)
    started(second, 2)
    assert [a.number for a in Ledger(tmp_path).attempts()] == [1, 2]


def test_a_ledger_that_lost_events_is_refused(tmp_path: Path) -> None:
    """Events that were read and are gone are an error; the file is not written over."""
    ledger = Ledger(tmp_path)
    started(ledger, 1)
    (tmp_path / NAME).unlink()
    with pytest.raises(StoreError, match="must only grow, but events this run had read are gone"):
        started(ledger, 2)
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ({}, "events must be a list"),
        (["x"], "event 1 is of no known kind, received None"),
        ([{"event": "deleted", "at": "now"}], "event 1 is of no known kind, received 'deleted'"),
        ([{"event": ["x"], "at": "now"}], "event 1 is of no known kind"),
        ([{"event": "again", "id": "a"}], "event 1 is of no known kind"),
        ([{"event": "again", "at": "now"}], "event 1 (again) has an unusable 'id', received None"),
        (
            [{"event": "finished", "at": "now", "attempt": 1, "outcome": "decided", "seconds": 1}],
            "event 1 finishes what never started",
        ),
    ],
)
def test_a_broken_ledger_is_refused(tmp_path: Path, events: object, message: str) -> None:
    """What this version did not write is named, with the cure, and left alone."""
    (tmp_path / NAME).write_text(json.dumps({"schema": SCHEMA, "events": events}))
    with pytest.raises(StoreError, match=re.escape(message)) as caught:
        Ledger(tmp_path)
    assert "restore it from version control, or move it away to begin anew" in str(caught.value)


@pytest.mark.parametrize(
    ("decision", "what"),
    [
        (None, "no table"),
        ({**DECISION, "verdict": 1}, "verdict"),
        ({**DECISION, "ratio": {"estimate": -1, "ci_low": 1, "ci_high": 2}}, "ratio"),
        ({**DECISION, "ratio": {"estimate": 1.0}}, "ratio"),
        ({**DECISION, "ratio": {"estimate": 2.0, "ci_low": 2.1, "ci_high": 1.9}}, "ratio"),
        ({**DECISION, "ratio": {"estimate": True, "ci_low": True, "ci_high": True}}, "ratio"),
        ({**DECISION, "ratio": {}}, "ratio"),
        ({**DECISION, "df": 0}, "df"),
        ({**DECISION, "p": 1.5}, "p"),
        ({**DECISION, "confidence": 1}, "confidence"),
    ],
)
def test_a_decision_without_its_figures_is_refused(tmp_path: Path, decision: object, what: str) -> None:
    """A decided attempt must carry a decision whose ratio is whole and positive."""
    start = {"event": "started", "at": "now", "attempt": 1, "id": "a", "test": "t", "accepted": []}
    end = {
        "event": "finished",
        "at": "now",
        "attempt": 1,
        "outcome": "decided",
        "seconds": 1,
        "decision": decision,
    }
    (tmp_path / NAME).write_text(json.dumps({"schema": SCHEMA, "events": [start, end]}))
    with pytest.raises(StoreError, match=rf"event 2 has no usable decision \({what}\)"):
        Ledger(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be JSON"),
        ("NaN", "NaN is no finite number"),
        ("[]", "must have the schema 'optbench/campaign/1', received None"),
        ('{"schema": "optbench/campaign/2"}', "received 'optbench/campaign/2'"),
    ],
)
def test_what_is_no_ledger_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """Another file, or one of a newer version, is not taken for a ledger."""
    (tmp_path / NAME).write_text(text)
    with pytest.raises(StoreError, match=message):
        Ledger(tmp_path)


def test_a_decision_that_measured_nothing_is_kept(tmp_path: Path) -> None:
    """A rejection for unequal results has no ratio."""
    ledger = Ledger(tmp_path)
    started(ledger, 1)
    nothing = {"estimate": None, "ci_low": None, "ci_high": None}
    decision = {**DECISION, "verdict": "REJECT", "reasons": ["not-equivalent"], "ratio": nothing}
    ledger.append("finished", attempt=1, outcome="decided", seconds=1.0, decision=decision)
    assert Ledger(tmp_path).attempts()[0].decision == decision


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A ledger that is a symbolic link is neither read nor written through."""
    (tmp_path / "elsewhere.json").write_text("{}")
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(StoreError, match="symbolic link"):
        Ledger(tmp_path)
