"""The checkpoint of a run: an append-only file of JSON lines with one writer.

The first line says what the run is (search, space, window, direction, fingerprints of data and code). Each
further line is a finished evaluation, in the order they finished, or the note that the clock stopped the run.
A resumed run starts its algorithm afresh and asks it again; where the journal holds the result, that is used
instead of an evaluation. So a kill loses evaluations that were running and nothing else, and the history
comes out the same.

A line counts once its newline is written: an unfinished last line is dropped. Lines reach the operating
system at once (they survive the death of the process) and the disk at least once a second (``fsync``; a power
cut can cost the last second). A POSIX record lock, which the system releases when the writer dies and which
children do not inherit, keeps a second writer out.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optengine.optimize.errors import JournalError
from optengine.optimize.trial import Completed, Report

FORMAT = "optengine/journal"
VERSION = 1
_START = f'{{"format": "{FORMAT}", "version": '.encode()
_SYNC_EVERY_S = 1.0
# Descriptors by path: closing any other descriptor of the file would undo the lock.
_OPEN: dict[str, int] = {}


class Journal:
    """An open journal, locked for this process.

    Args:
        path: the file; made when it does not exist.
        header: identity of the run, JSON-ready; must equal the one in the file.
        resume: whether results already in the file may be used.

    Raises:
        JournalError: the file is foreign, newer, damaged, in use, of another run, or holds a run and
            ``resume`` is false.
    """

    def __init__(self, path: str | Path, header: Mapping[str, Any], resume: bool) -> None:
        self.path = Path(path)
        self.results: dict[int, dict[str, Any]] = {}
        self.stops: dict[int, dict[str, Any]] = {}
        self.elapsed_before = 0.0
        self._unsynced_since: float | None = None
        self._key = str(self.path.resolve())
        if self._key in _OPEN:
            raise JournalError(f"a journal must have one writer; {str(self.path)!r} is open in this process")
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise JournalError(
                f"the journal must be a writable file; received {str(path)!r}: {error}"
            ) from error
        try:
            self._lock()
            self._load(json.loads(_line(header)), resume)
        except BaseException:
            os.close(self._fd)
            raise
        _OPEN[self._key] = self._fd

    def append_result(
        self, completed: Completed, params: Mapping[str, Any], budget: float | None, elapsed: float
    ) -> None:
        """Write one finished evaluation; ``elapsed`` is seconds since the run began, earlier sessions included."""
        record: dict[str, Any] = {"trial": completed.trial_id, "params": params, "value": completed.value}
        if budget is not None:
            record["budget"] = budget
        if completed.error is not None:
            record |= {"error": completed.error, "details": completed.details}
        record |= {"attempts": completed.attempts, "worker": completed.worker}
        record |= {"seconds": completed.seconds, "elapsed": elapsed}
        if completed.reports:
            record["reports"] = completed.reports
        self._write(record)

    def append_stop(self, trial_id: int, rule: str, limit: float) -> None:
        """Write that ``rule`` ended the run after this trial was told."""
        self._write({"stop": rule, "after": trial_id, "limit": limit})

    def recorded(self, trial_id: int, params: Mapping[str, Any], budget: float | None) -> Completed | None:
        """The result of this trial from an earlier session, or None.

        Raises:
            JournalError: the journal holds other parameters for this trial.
        """
        record = self.results.pop(trial_id, None)
        if record is None:
            return None
        same = json.dumps(record["params"]) == json.dumps(params) and record.get("budget") == budget
        if not same:
            raise JournalError(
                f"a resumed run must ask the points the journal {str(self.path)!r} holds; trial {trial_id} "
                f"is {dict(params)!r} now and was {record['params']!r}; the algorithm or a package it uses "
                "has changed: start a new journal"
            )
        return Completed(
            trial_id,
            record["value"],
            record.get("error"),
            record.get("details"),
            record["attempts"],
            record["worker"],
            record["seconds"],
            tuple(Report(*report) for report in record.get("reports", ())),
        )

    def sync(self) -> None:
        """Force everything written so far to the disk."""
        if self._unsynced_since is not None:
            try:
                os.fsync(self._fd)
            except OSError as error:
                raise self._unwritable(error) from error
            self._unsynced_since = None

    def close(self) -> None:
        """Sync and release the file; further calls do nothing."""
        if _OPEN.pop(self._key, None) is not None:
            try:
                self.sync()
            finally:
                os.close(self._fd)

    def _lock(self) -> None:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise JournalError(
                    f"a journal must be on a file system with locks; {str(self.path)!r} cannot be locked: {error}; "
                    "use a file on a local disk"
                ) from error
            raise JournalError(
                f"a journal must have one writer; {str(self.path)!r} is being written by another process; "
                "wait for that run to end, or use another file"
            ) from error

    def _load(self, header: dict[str, Any], resume: bool) -> None:
        content = _read_all(self._fd)
        complete = content[: content.rfind(b"\n") + 1]
        if not complete:
            if content and not (content.startswith(_START) or _START.startswith(content)):
                raise _foreign(self.path)
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
            self._write({"format": FORMAT, "version": VERSION, **header})
            self.sync()
            return
        lines = complete.splitlines()
        found = parse_header(self.path, lines[0])
        check_identity(self.path, found, header)
        if not resume:
            raise JournalError(
                f"a new run needs a new journal; {str(self.path)!r} holds {len(lines) - 1} records of a run "
                "already; continue it with resume=True (--resume), or use another file"
            )
        for number, line in enumerate(lines[1:], start=2):
            self._take(parse_record(self.path, number, line))
        os.ftruncate(self._fd, len(complete))
        os.lseek(self._fd, 0, os.SEEK_END)

    def _take(self, record: dict[str, Any]) -> None:
        if "stop" in record:
            self.stops[record["after"]] = record
        else:
            self.results[record["trial"]] = record
            self.elapsed_before = max(self.elapsed_before, record["elapsed"])

    def _write(self, record: Mapping[str, Any]) -> None:
        line = _line(record)
        try:
            written = os.write(self._fd, line)
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except OSError as error:
            raise self._unwritable(error) from error
        now = time.monotonic()
        if self._unsynced_since is None:
            self._unsynced_since = now
        elif now - self._unsynced_since >= _SYNC_EVERY_S:
            self.sync()

    def _unwritable(self, error: OSError) -> JournalError:
        return JournalError(
            f"the journal {str(self.path)!r} must stay writable: {error}; mend that and resume: what is in it counts"
        )


def read_records(path: str | Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and records of a journal, without locking it: also while a run writes it.

    Raises:
        JournalError: the file cannot be read, is foreign, newer or damaged.
    """
    path = Path(path)
    own = _OPEN.get(str(path.resolve()))
    try:
        content = path.read_bytes() if own is None else _read_all(own)
    except OSError as error:
        raise JournalError(f"the journal must be a readable file; received {str(path)!r}: {error}") from error
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    if not lines:
        raise _foreign(path)
    header = parse_header(path, lines[0])
    return header, [parse_record(path, number, line) for number, line in enumerate(lines[1:], start=2)]


def parse_header(path: Path, line: bytes) -> dict[str, Any]:
    """The first line of a journal. Raises JournalError for a foreign or newer one."""
    try:
        header = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _foreign(path) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _foreign(path)
    version = header.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise _foreign(path)
    if version > VERSION:
        raise JournalError(
            f"the journal must have format version {VERSION} or lower; {str(path)!r} has {version!r}; it was "
            "written by a newer release: use that one"
        )
    return header


def check_identity(path: Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise JournalError, naming the part that differs, unless the journal belongs to this run."""
    for part, value in expected.items():
        if found.get(part) != value:
            raise JournalError(
                f"a resumed run must be the one the journal {str(path)!r} was begun with; {part} is "
                f"{value!r:.300} now and was {found.get(part)!r:.300}; restore it, or start a new journal"
            )


def parse_record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """One later line. Raises JournalError, naming the line, when it is damaged."""
    try:
        record = json.loads(line)
        if "stop" in record:
            checked = isinstance(record["after"], int) and _is_finite(record["limit"])
        else:
            checked = (
                isinstance(record["trial"], int)
                and isinstance(record["params"], dict)
                and (record["value"] is None or _is_finite(record["value"]))
                and (record["value"] is None) == isinstance(record.get("error"), str)
                and isinstance(record["attempts"], int)
                and _is_finite(record["seconds"])
                and _is_finite(record["elapsed"])
                and "worker" in record
                and all(len(report) == len(Report._fields) for report in record.get("reports", ()))
            )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _damaged(path, number) from error
    if not checked:
        raise _damaged(path, number)
    taken: dict[str, Any] = record
    return taken


def _line(record: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(record).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise JournalError(
            f"what a journal holds must be plain numbers, texts, lists and dictionaries; {error} in "
            f"{record!r:.300}; have the algorithm suggest such parameters"
        ) from error


def _is_finite(number: object) -> bool:
    return isinstance(number, (int, float)) and math.isfinite(number)


def _read_all(fd: int) -> bytes:
    content = bytearray()
    while part := os.pread(fd, 1 << 20, len(content)):  # the place to write at is left alone
        content += part
    return bytes(content)


def _foreign(path: Path) -> JournalError:
    return JournalError(
        f"a checkpoint must be a journal written by this package or a new file; {str(path)!r} is neither; "
        "use another path"
    )


def _damaged(path: Path, number: int) -> JournalError:
    return JournalError(
        f"every complete line of a journal must be a whole record; line {number} of {str(path)!r} is not; "
        "the file was changed by something else: remove that line to evaluate its trial again"
    )
