"""A history read back: what each file says, and each file that could not be read, in words.

A damaged or foreign file is named and skipped, never silently; a file of a newer version makes `History.refuse`
raise, because what it says about a subject would be missing. Files are read several at a time: most of the
time is spent waiting for the file system.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from pytest_optbench.store.errors import SchemaError, StoreError

from . import schema
from .location import Location, arrow, errors, reason
from .trail import Entry, merge
from .write import SUFFIX, TEMPORARY_PREFIX

_READERS: Final = 8
_TIME: Final = re.compile(r"(\d{8}T\d{6})\.\d{6}Z-")
_VERDICTS: Final = ("ACCEPT", "REJECT", "INCONCLUSIVE")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Record:
    """One decision of one run in single values: the columns of `schema.SUMMARY` and the file they are from.

    Times are seconds per call, ratios are baseline time / optimized time, None is unknown.
    """

    file: str
    id: str
    title: str
    group: str | None
    goal: str
    margin: float
    confidence: float
    expected: float | None
    started: str | None
    verdict: str
    reasons: list[str]
    ratio: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    attempt: int
    quick: bool | None
    code: str | None
    trees: str | None
    baseline_s: float | None
    optimized_s: float | None
    noise_floor: float | None
    p_adjusted: float | None
    seconds: float | None
    earlier: list[Entry]

    @property
    def run(self) -> str:
        """The name of the run: its file without the suffix."""
        return self.file.removesuffix(SUFFIX)

    @property
    def entry(self) -> Entry:
        """The short entry for the ledger of later decisions on the same subject."""
        return schema.without_unknown({key: getattr(self, key) for key in schema.ENTRY})


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that was not read: ``newer`` when a newer version of the package wrote it."""

    file: str
    message: str
    newer: bool

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.file} was skipped: {self.message}"


@dataclass
class History:
    """What was read: records by time, and the files that could not be read, of ``runs`` files in all."""

    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    runs: int = 0

    def refuse_newer(self) -> None:
        """Raise StoreError when a file of a newer version was met."""
        for problem in self.problems:
            if problem.newer:
                raise StoreError(f"the history cannot be used: {problem.file}: {problem.message}")

    def trail(self) -> dict[str, list[Entry]]:
        """Return every entry the history holds, by the id as `schema.text_key` spells it, oldest first."""
        found: dict[str, list[list[Entry]]] = {}
        for record in self.records:
            found.setdefault(record.id, []).append([*record.earlier, record.entry])
        return {identity: merge(*sources) for identity, sources in found.items()}


def read(location: Location, since: datetime | None = None) -> History:
    """Return the records of every run in ``location``, oldest first, without their pairs.

    ``since`` leaves out runs written before it without opening them. Raises StoreError when the location
    does not exist or cannot be listed.
    """
    every = _names(location)
    names = [name for name in every if since is None or not _written_before(name, since)]
    found = History(runs=len(every))

    def records(name: str) -> list[Record]:
        return [_record(name, row) for row in _rows(location, name, _single_values)]

    for result in _each(names, records):
        if isinstance(result, Problem):
            found.problems.append(result)
        else:
            found.records += result
    found.records.sort(key=lambda record: (record.started or "", record.file))
    return found


def documents(
    location: Location, records: Sequence[Record]
) -> Iterator[tuple[Record, dict[str, Any]] | Problem]:
    """Yield each record with its whole decision document, pairs included, in the order given.

    A file that cannot be read whole is a `Problem`, once.
    """
    wanted: dict[str, list[Record]] = {}
    for record in records:
        wanted.setdefault(record.file, []).append(record)

    def whole(name: str) -> list[tuple[Record, dict[str, Any]]]:
        rows = {row["id"]: row for row in _rows(location, name, _everything)}
        return [(record, schema.document(rows[record.id])) for record in wanted[name]]

    for result in _each(list(wanted), whole):
        if isinstance(result, Problem):
            yield result
        else:
            yield from result


def _names(location: Location) -> list[str]:
    fs = arrow("pyarrow.fs")
    cure = "check the path or URI; a history begins with the first run with --optbench-history=URI"
    with errors(f"the history {location.shown} cannot be read", cure):
        infos = location.filesystem.get_file_info(fs.FileSelector(location.base))
    names = (info.base_name for info in infos if info.type != fs.FileType.Directory)
    return sorted(n for n in names if n.endswith(SUFFIX) and not n.startswith(TEMPORARY_PREFIX))


def _written_before(name: str, since: datetime) -> bool:
    """Return whether the name says so; a renamed file does not, and is read."""
    match = _TIME.match(name)
    return match is not None and datetime.strptime(match[1] + "+0000", "%Y%m%dT%H%M%S%z") < since.astimezone(
        UTC
    )


def _each(names: Sequence[str], read_one: Callable[[str], T]) -> Iterator[T | Problem]:
    """Yield what ``read_one`` returns for each name, in order, or the problem it ran into."""

    def guarded(name: str) -> T | Problem:
        try:
            return read_one(name)
        except schema.NewerVersion as error:
            return Problem(name, str(error), newer=True)
        except Exception as error:  # noqa: BLE001 - a damaged file can make its reader raise anything
            return Problem(name, reason(error), newer=False)

    with ThreadPoolExecutor(_READERS) as pool:
        yield from pool.map(guarded, names)


def _rows(
    location: Location, name: str, read_rows: Callable[[Any, str], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Return what ``read_rows`` reads of one file; raises for a version or shape that is not known."""
    pq = arrow("pyarrow.parquet")
    with location.filesystem.open_input_file(location.path(name)) as stream:
        file = pq.ParquetFile(stream, page_checksum_verification=True)
        version = schema.version_of(file.metadata.metadata)
        schema.check_columns(file.schema_arrow, version)
        return read_rows(file, version)


def _single_values(file: Any, version: str) -> list[dict[str, Any]]:
    """Return the columns a `Record` is made of; those version 1 has not are in its documents."""
    old = version == schema.VERSIONS[0]
    columns = [name for name in (*schema.SUMMARY, "earlier") if not (old and name in schema.CODES)]
    rows = file.read(columns=[*columns, *(["document"] if old else [])], use_threads=False).to_pylist()
    return [schema.single_values(row, version) for row in rows]


def _everything(file: Any, version: str) -> list[dict[str, Any]]:
    """Return all columns of the version."""
    rows: list[dict[str, Any]] = file.read(
        columns=schema.arrow_schema(version).names, use_threads=False
    ).to_pylist()
    return rows


def _record(name: str, row: Mapping[str, Any]) -> Record:
    for key in ("id", "title", "goal", "margin", "confidence", "reasons", "n", "attempt", "earlier"):
        if row[key] is None:
            raise SchemaError(f"column {key} must have a value in every row, received null")
    if row["verdict"] not in _VERDICTS:
        raise SchemaError(
            f"column verdict must be one of {', '.join(_VERDICTS)}, received {row['verdict']!r}"
        )
    return Record(file=name, **row)
