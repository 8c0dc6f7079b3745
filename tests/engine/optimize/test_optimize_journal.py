"""The journal: truncation at every byte, kills at any moment, foreign files, one writer, other runs."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from journal_driver import optimizer as driven
from optimize_tasks import SPACE, noisy, slow, smooth

from optengine.optimize import JournalError, OptimizeError, ParallelOptimizer
from optengine.optimize.journal import read_records
from optengine.search import GeneticSearchAlgorithm, RandomSearchAlgorithm

DRIVER = Path(__file__).with_name("journal_driver.py")


def serial(journal: Path | None, n_iter: int = 9, **options: Any) -> ParallelOptimizer:
    algorithm = options.pop("algorithm", None) or GeneticSearchAlgorithm(SPACE, n_iter, seed=2, population=4)
    return ParallelOptimizer(algorithm, backend="serial", progress=False, checkpoint=journal, **options)


def finished(
    journal: Path | None, objective: Callable[..., float] = noisy, **options: Any
) -> ParallelOptimizer:
    run = serial(journal, **options)
    run.run(objective)
    return run


def test_truncation_at_every_byte_ends_with_the_same_history(tmp_path: Path) -> None:
    """Cut anywhere, the run resumes, evaluates only what is missing and ends as if nothing had happened."""
    journal = tmp_path / "run.jsonl"
    expected = finished(journal, n_iter=5).history_bytes()
    whole = journal.read_bytes()
    ends = [position + 1 for position, byte in enumerate(whole) if byte == 10]
    for cut in range(len(whole)):
        journal.write_bytes(whole[:cut])
        run = finished(journal, n_iter=5)
        assert run.history_bytes() == expected, cut
        assert run.stats()["replayed"] == max(0, sum(end <= cut for end in ends) - 1)
        assert len(read_records(journal)[1]) == 5


def test_results_in_another_order_resume_to_the_same_history(tmp_path: Path) -> None:
    """Evaluations may have finished in any order before the kill."""
    journal = tmp_path / "run.jsonl"
    expected = finished(journal).history_bytes()
    header, *lines = journal.read_bytes().splitlines(keepends=True)
    random.Random(3).shuffle(lines)
    journal.write_bytes(b"".join([header, *lines[:5]]))
    assert finished(journal).history_bytes() == expected


@pytest.mark.parametrize(("name", "workers"), [("genetic", 2), ("tpe", 2), ("bohb", 2), ("random", 0)])
def test_a_killed_driver_resumes_to_the_same_history(name: str, workers: int, tmp_path: Path) -> None:
    """``kill -9`` of the driver at random moments, again and again: the last resume ends as an undisturbed run."""
    undisturbed = driven(name, None, 0)
    undisturbed.run(slow)
    journal, output = tmp_path / "run.jsonl", tmp_path / "history"
    command = [sys.executable, str(DRIVER), name, str(journal), str(workers), str(output)]
    for attempt in range(4):
        process = subprocess.Popen(command)
        before = len(journal.read_bytes().splitlines()) if journal.exists() else 0
        wanted = before + random.Random(attempt).randint(1, 12)
        deadline = time.monotonic() + 240
        while process.poll() is None and time.monotonic() < deadline:
            if journal.exists() and len(journal.read_bytes().splitlines()) >= wanted:
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.002)
        process.wait(timeout=240)
    subprocess.run(command, check=True, timeout=120)
    assert output.read_bytes() == undisturbed.history_bytes()


def test_a_finished_run_is_replayed_without_evaluating(tmp_path: Path) -> None:
    """Resuming a complete journal gives the same history, reports and errors, and calls the objective never."""
    journal = tmp_path / "run.jsonl"
    first = finished(journal, code_version="1")

    def never(params: dict[str, Any]) -> float:
        raise AssertionError

    second = finished(journal, never, code_version="1")
    assert second.trials == first.trials
    assert second.stats()["replayed"] == 9


def test_a_stream_shows_replayed_trials_too(tmp_path: Path) -> None:
    """Resumed, both kinds of stream hold every trial of the history once."""
    journal = tmp_path / "run.jsonl"
    expected = finished(journal, n_iter=9).trials
    for ordered in (True, False):
        assert list(serial(journal, n_iter=9).stream(noisy, ordered=ordered)) == expected
    assert len(list(serial(journal, n_iter=14).stream(noisy))) == 14


def test_a_larger_budget_continues_a_shorter_run(tmp_path: Path) -> None:
    """Resuming with more iterations adds trials to those there are."""
    journal = tmp_path / "run.jsonl"
    finished(journal, n_iter=9)
    longer = finished(journal, n_iter=20)
    assert longer.stats()["replayed"] == 9
    assert longer.history_bytes() == finished(None, n_iter=20).history_bytes()


@pytest.mark.parametrize(
    "content",
    [
        b"a letter\n",
        b"no newline",
        b"{}\n",
        b"[1]\n",
        b'{"format": "else", "version": 1}\n',
        b"\xff\xfe\n",
        b"\n",
    ],
)
def test_a_foreign_file_is_refused_and_kept(content: bytes, tmp_path: Path) -> None:
    """A file that is not a journal is named and stays as it was."""
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    with pytest.raises(
        JournalError, match=r"must be a journal written by this package or a new file; '.*notes\.txt'"
    ):
        finished(file)
    assert file.read_bytes() == content


def test_a_newer_journal_is_refused(tmp_path: Path) -> None:
    """A journal of a later format is not touched."""
    file = tmp_path / "run.jsonl"
    file.write_text('{"format": "optengine/journal", "version": 2}\n')
    with pytest.raises(JournalError, match=r"must have format version 1 or lower; .* has 2; .*newer release"):
        finished(file)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"algorithm": RandomSearchAlgorithm(SPACE, 9, seed=2)}, "search"),
        ({"algorithm": GeneticSearchAlgorithm(SPACE, 9, seed=3, population=4)}, "search"),
        ({"algorithm": GeneticSearchAlgorithm({"x": SPACE["x"]}, 9, seed=2, population=4)}, "search"),
        ({"window": 2}, "window"),
        ({"direction": "minimize"}, "direction"),
        ({"shared": {"table": [1, 2]}}, "data"),
        ({"objective": smooth}, "code"),
    ],
)
def test_the_journal_of_another_run_is_refused(options: dict[str, Any], part: str, tmp_path: Path) -> None:
    """Another search, window, direction, data or objective is refused by name and the journal kept."""
    file = tmp_path / "run.jsonl"
    finished(file, shared={"table": [1, 1]})
    content = file.read_bytes()
    other = {"shared": {"table": [1, 1]}, **options}
    objective = other.pop("objective", noisy)
    with pytest.raises(JournalError, match=f"a resumed run must be the one .* was begun with; {part} is"):
        finished(file, objective, **other)
    assert file.read_bytes() == content


def test_a_run_that_must_be_new_refuses_a_used_journal(tmp_path: Path) -> None:
    """With resume=False an existing run is an error that names the cure."""
    file = tmp_path / "run.jsonl"
    finished(file, resume=False)
    with pytest.raises(JournalError, match=r"holds 9 records of a run already; continue it with resume=True"):
        finished(file, resume=False)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"trial": 1}',
        b'{"stop": "x"}',
        b'"text"',
        b'{"trial": "1", "params": {}, "value": 1}',
    ],
)
def test_a_damaged_line_is_refused_by_number(line: bytes, tmp_path: Path) -> None:
    """A whole line that is no record is not passed over in silence."""
    file = tmp_path / "run.jsonl"
    finished(file)
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([*lines[:3], line, *lines[3:]]) + b"\n")
    with pytest.raises(JournalError, match=r"line 4 of '.*run\.jsonl' is not; .*remove that line"):
        finished(file)


def test_points_that_changed_are_refused(tmp_path: Path) -> None:
    """A journal whose trial has other parameters than the algorithm asks now is refused."""
    file = tmp_path / "run.jsonl"
    finished(file)
    lines = file.read_text().splitlines()
    record = json.loads(lines[4])
    record["params"]["n"] += 1
    file.write_text("\n".join([*lines[:4], json.dumps(record), *lines[5:]]) + "\n")
    with pytest.raises(JournalError, match=r"must ask the points the journal .* holds; trial 3 is"):
        finished(file)


def test_a_journal_has_one_writer(tmp_path: Path) -> None:
    """A second writer is refused, in this process and in another, while the first one goes on."""
    file = tmp_path / "run.jsonl"
    first = serial(file)
    stream = first.stream(noisy)
    next(stream)
    with pytest.raises(JournalError, match="is open in this process"):
        finished(file)
    program = f"from test_optimize_journal import *; finished(Path({str(file)!r}))"
    other = subprocess.run(
        [sys.executable, "-c", program], cwd=DRIVER.parent, capture_output=True, text=True, timeout=240
    )
    assert "is being written by another process" in other.stderr
    assert len([*stream]) == 8


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A folder in the place of the journal is an error of the checkpoint."""
    with pytest.raises(JournalError, match="the journal must be a writable file"):
        finished(tmp_path)
    with pytest.raises(JournalError, match="the journal must be a readable file"):
        read_records(tmp_path / "missing")


def test_data_without_a_fingerprint_is_refused_with_a_journal(tmp_path: Path) -> None:
    """A share handle without a fingerprint cannot be checkpointed, but can be used."""

    class Handle:
        def get(self) -> int:
            return 3

    assert finished(None, shared={"a": Handle()}).trials
    with pytest.raises(
        OptimizeError, match=r"shared\['a'\] must have a fingerprint when a checkpoint is written"
    ):
        finished(tmp_path / "run.jsonl", shared={"a": Handle()})


def test_the_clock_stops_a_run_and_its_replay_agrees(tmp_path: Path) -> None:
    """Where the time budget ended a run, the resumed run ends too; a larger budget goes on from there."""
    file = tmp_path / "run.jsonl"
    algorithm = {"algorithm": RandomSearchAlgorithm(SPACE, 400, seed=1)}
    first = finished(file, slow, max_seconds=0.6, **algorithm)
    assert first.stop_reason == "time budget of 0.6 s used up"
    assert 0 < first.stats()["complete"] < 400
    again = finished(file, slow, max_seconds=0.6, algorithm=RandomSearchAlgorithm(SPACE, 400, seed=1))
    assert again.history_bytes() == first.history_bytes()
    assert again.stop_reason == first.stop_reason
    longer = finished(file, slow, max_seconds=1e6, algorithm=RandomSearchAlgorithm(SPACE, 400, seed=1))
    assert longer.stop_reason is None
    assert longer.stats()["complete"] == 400


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"value": ', b'"value": NaN, "was": '),
        (b'"value": ', b'"value": Infinity, "was": '),
        (b'"elapsed": ', b'"elapsed": NaN, "was": '),
        (b'"seconds": ', b'"seconds": -Infinity, "was": '),
        (b'"worker": ', b'"reports": [[1, 2, 3]], "worker": '),
        (b'"worker": ', b'"reports": [7], "worker": '),
        (b'{"trial"', b"[" * 100_000 + b'{"trial"'),
        (b'{"trial"', b'"stop" {"trial"'),
    ],
)
def test_a_line_that_is_no_record_is_refused_by_its_number(
    before: bytes, after: bytes, tmp_path: Path
) -> None:
    """Figures that cannot be, reports of another shape and garbage: the error names the line, nothing is told."""
    journal = tmp_path / "run.jsonl"
    finished(journal, n_iter=3)
    first, second, *rest = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([first, second.replace(before, after, 1), *rest]))
    with pytest.raises(JournalError, match=r"line 2 of '.*' is not; .* remove that line"):
        finished(journal, n_iter=3)
    with pytest.raises(JournalError, match="line 2 of"):
        read_records(journal)


@pytest.mark.parametrize("version", ["0", "-1", "true", "null", '"1"', "1.0"])
def test_a_version_that_never_was_is_foreign(version: str, tmp_path: Path) -> None:
    """Only whole numbers from 1 up are versions of the format."""
    journal = tmp_path / "run.jsonl"
    finished(journal, n_iter=2)
    journal.write_bytes(journal.read_bytes().replace(b'"version": 1', b'"version": ' + version.encode()))
    with pytest.raises(JournalError, match="must be a journal written by this package"):
        finished(journal, n_iter=2)


def test_reading_a_journal_beside_the_run_keeps_others_out(tmp_path: Path) -> None:
    """A look into the file from the run's own process must not undo its lock."""
    journal = tmp_path / "run.jsonl"
    said = []

    def look(trial: Any) -> None:
        assert len(read_records(journal)[1]) == trial.trial_id + 1
        second = subprocess.run(
            [sys.executable, str(DRIVER), "random", str(journal), "0", str(tmp_path / "history")],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        said.append(second.stderr)

    finished(journal, n_iter=2, on_trial=look)
    assert len(said) == 2
    assert all("is being written by another process" in text for text in said)


class SuggestsNumpy:
    """A search of somebody else that suggests what JSON cannot hold."""

    def __init__(self) -> None:
        self.left = 2

    def suggest(self) -> dict[str, Any]:
        return {"x": np.int64(1)}

    def update(self, params: dict[str, Any], score: float | None) -> None:
        self.left -= 1

    def is_complete(self) -> bool:
        return self.left == 0


def test_parameters_that_a_journal_cannot_hold_are_named(tmp_path: Path) -> None:
    """A foreign search that suggests NumPy numbers runs, but not with a journal, which says why."""
    assert len(finished(None, lambda params: float(params["x"]), algorithm=SuggestsNumpy()).trials) == 2
    with pytest.raises(JournalError, match=r"must be plain numbers.*int64.*have the algorithm suggest such"):
        finished(tmp_path / "run.jsonl", lambda params: float(params["x"]), algorithm=SuggestsNumpy())


def test_a_full_disk_ends_the_run_and_a_resume_finishes_it(tmp_path: Path) -> None:
    """Where the journal cannot grow the run ends with the reason; with room again it ends as if undisturbed."""
    expected = finished(None).history_bytes()
    journal = tmp_path / "run.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(
            JournalError, match=r"must stay writable: .*File too large.*; mend that and resume"
        ):
            finished(journal)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert journal.stat().st_size == 2000
    assert finished(journal).history_bytes() == expected
