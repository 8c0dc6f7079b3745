"""Earlier decisions from the report folder and the history become one trail that attempts are counted by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from samples import decision, inconclusive

from pytest_optbench.history.location import Location, locate
from pytest_optbench.history.read import read
from pytest_optbench.history.trail import Entry, before, merge, missing
from pytest_optbench.history.write import write_run
from pytest_optbench.store.ledger import attempt_number, entry

ID = "benchmarks/test_01_persistent_pool.py::test_fair"


def on(day: int, verdict: str = "REJECT", **changes: Any) -> Entry:
    """Return an entry of that day of November."""
    return {**entry(decision(verdict=verdict, started=f"2026-11-{day:02d}T10:00:00Z")), **changes}


def test_sources_are_merged_by_time_without_repetitions() -> None:
    """An entry both sources hold counts once; the others fall into place, oldest first."""
    ledger, history = [on(2), on(4)], [on(1), on(2), on(3)]
    assert merge(ledger, history) == [on(1), on(2), on(3), on(4)]
    assert merge(history, ledger) == merge(ledger, history)
    assert attempt_number(merge(ledger, history)) == 5


def test_entries_of_one_second_are_kept_apart_by_what_they_say() -> None:
    """Two decisions in the same second are two when their figures differ, in the order of their source."""
    twins = [on(1, ratio=1.01), on(1, ratio=1.02)]
    assert merge(twins, [on(1, ratio=1.02), on(2)]) == [*twins, on(2)]


def test_a_source_alone_keeps_its_order() -> None:
    """Without a history the ledger is what it was, even where a clock went backwards."""
    assert merge([on(4), on(2)], []) == [on(4), on(2)]


def test_an_entry_without_a_time_is_the_oldest() -> None:
    """Entries from before times were recorded come first."""
    assert merge([on(2)], [on(1, started=None)]) == [on(1, started=None), on(2)]


def test_what_is_held_already_is_not_written_again() -> None:
    """Only the entries a history does not have are missing from it."""
    assert missing([on(1), on(2), on(3)], [on(2)]) == [on(1), on(3)]


def test_what_came_before_a_decision() -> None:
    """The trail of a decision ends before its own entry."""
    assert before([on(1), on(2), on(3)], on(3)) == [on(1), on(2)]
    assert before([on(1)], on(1)) == []


def test_a_history_knows_the_decisions_made_before_it_began(history: Location) -> None:
    """Entries of the report folder's ledger are written with the first run and read back with it."""
    write_run(history, [inconclusive()])
    (trail,) = read(history).trail().values()
    assert trail == [*inconclusive()["earlier"], entry(inconclusive())]


def test_each_run_writes_only_what_is_new(history: Location) -> None:
    """A trail of many runs is stored once, not again in every run, and read back whole."""
    for day in range(1, 6):
        held = read(history).trail()
        doc = decision(verdict="REJECT", started=f"2026-11-{day:02d}T10:00:00Z", earlier=held.get(ID, []))
        write_run(history, [doc], held)
    found = read(history)
    assert [len(record.earlier) for record in found.records] == [0] * 5
    assert found.trail()[ID] == [on(day) for day in range(1, 6)]
    assert attempt_number(found.trail()[ID]) == 6


def test_runs_that_repeat_an_entry_count_it_once(history: Location) -> None:
    """Two runs that started from the same report folder both bring its ledger; the trail holds it once."""
    for day in (2, 3):
        write_run(
            history, [decision(verdict="REJECT", started=f"2026-11-{day:02d}T10:00:00Z", earlier=[on(1)])]
        )
    assert read(history).trail()[ID] == [on(1), on(2), on(3)]


def test_only_decisions_read_off_the_data_count(history: Location) -> None:
    """A quick run in the history is no attempt, and an ACCEPT ends the count, as in the ledger."""
    write_run(history, [decision(verdict="INCONCLUSIVE", reasons=["quick"], started="2026-11-01T10:00:00Z")])
    assert attempt_number(read(history).trail()[ID]) == 1
    write_run(history, [decision(verdict="REJECT", reasons=["slower"], started="2026-11-02T10:00:00Z")])
    assert attempt_number(read(history).trail()[ID]) == 2
    write_run(history, [decision(started="2026-11-03T10:00:00Z")])
    assert attempt_number(read(history).trail()[ID]) == 1


def test_an_entry_says_which_codes_it_is_about_when_any_source_does() -> None:
    """A report folder of an older version does not know the codes of an entry; the history does."""
    known = on(1, code="a b", trees="t u")
    unknown = {key: value for key, value in known.items() if key not in ("code", "trees")}
    assert merge([unknown, on(2)], [known]) == merge([known, on(2)], [unknown]) == [known, on(2)]


def test_a_history_knows_which_codes_every_version_was_about() -> None:
    """Files of version 1 say it in their documents, those of version 2 in columns, of what they replaced as well."""
    samples = Path(__file__).parent / "samples"
    pair = f"{'9f' * 32} {'3c' * 32}"
    old = [each.get("code") for each in read(locate(str(samples / "version-1"))).trail()[ID]]
    assert old == [pair]
    new = read(locate(str(samples / "version-2"))).trail()[ID]
    codes, trees = f"{'a' * 64} {'b' * 64}", f"{'a' * 40} {'b' * 40}+{'d' * 64}"
    assert [(each["code"], each["trees"]) for each in new] == [(codes, trees)] * 2
