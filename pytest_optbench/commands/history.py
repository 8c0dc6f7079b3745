"""`optbench history`: list, show, draw and export what ``--optbench-history`` has kept."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from ..history.location import Location
    from ..history.read import History, Problem, Record


def add_parser(commands: Any) -> None:
    """Declare the subcommand and its actions."""
    parser = commands.add_parser("history", help="list, show, draw and export the decisions of many runs")
    actions = parser.add_subparsers(dest="action", required=True)
    listed = _action(actions, "list", "one line per decision")
    _filters(listed)
    shown = _action(actions, "show", "the newest decision on one subject and those before it")
    shown.add_argument("subject", help="an id, a title, or a part of either that names one subject")
    shown.add_argument("--run", help="the decision of this run instead of the newest")
    shown.add_argument(
        "--format", choices=("text", "markdown", "json"), default="text", help="markdown is the whole report"
    )
    drawn = _action(actions, "trend", "the decisions on each subject over time")
    _filters(drawn)
    drawn.add_argument("--plot", type=Path, metavar="FILE", help="also draw them; FILE ends in .svg or .png")
    drawn.add_argument(
        "--groups", action="store_true", help="the accepted gains of each group multiplied, by run"
    )
    exported = _action(actions, "export", "decisions for other programs")
    _filters(exported)
    exported.add_argument("--format", choices=("csv", "jsonl"), default="csv", help="jsonl holds everything")
    exported.add_argument("--pairs", action="store_true", help="csv: one line per pair of trials")
    exported.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")


def run(chosen: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Do what was asked; 1 when a file of the history could not be read, raises `StoreError`."""
    from ..history.location import locate
    from ..history.read import read
    from ..history.write import SUFFIX
    from ..store.errors import StoreError

    if chosen.action == "export" and chosen.pairs and chosen.format != "csv":
        raise StoreError("--pairs is for --format csv; a line of jsonl holds the pairs of its decision")
    location = locate(chosen.uri)
    since = chosen.since if chosen.action != "show" else None
    history = read(location, since)
    if not history.runs:
        raise StoreError(
            f"a history must hold a run, received {location.shown}, which holds none (no file in it ends in "
            f"{SUFFIX}); name what was given to --optbench-history, or measure with it first"
        )
    status = _report(history.problems, err)
    if chosen.action == "list":
        return max(status, _list(chosen, location, history, out))
    if chosen.action == "trend":
        return max(status, _trend(chosen, history, out))
    action = _show if chosen.action == "show" else _export
    return max(status, action(chosen, location, history, out, err))


def _action(actions: Any, name: str, text: str) -> Any:
    parser = actions.add_parser(name, help=text)
    parser.add_argument("uri", metavar="URI", help="the folder or URI given to --optbench-history")
    return parser


def _filters(parser: Any) -> None:
    parser.add_argument("--subject", help="an id, a title, or a part of either")
    parser.add_argument("--verdict", type=str.upper, choices=("ACCEPT", "REJECT", "INCONCLUSIVE"))
    parser.add_argument("--group", help="the group named in the marker")
    parser.add_argument("--since", type=_since, metavar="WHEN", help="a date, or 12h, 30d, 8w ago")


def _since(text: str) -> Any:
    from ..history.select import parse_since

    try:
        return parse_since(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _selected(chosen: argparse.Namespace, history: History) -> list[Record]:
    from ..history.select import Selection

    return Selection(chosen.subject, chosen.verdict, chosen.group, chosen.since).of(history.records)


def _list(chosen: argparse.Namespace, location: Location, history: History, out: TextIO) -> int:
    from ..history import listing

    records = _selected(chosen, history)
    _print(listing.decisions(records, _encoding(out)), out)
    runs = len({record.file for record in records})
    out.write(f"{_count(records)} of {runs} {'run' if runs == 1 else 'runs'} in {location.shown}\n")
    return 0


def _show(chosen: argparse.Namespace, location: Location, history: History, out: TextIO, err: TextIO) -> int:
    import json

    from ..history import listing
    from ..history.read import documents
    from ..history.select import one_subject
    from ..history.trail import before
    from ..report.escape import console
    from ..report.markdown import decision_markdown
    from ..store.errors import StoreError

    records = one_subject(history.records, chosen.subject)
    wanted = [r for r in records if chosen.run is None or chosen.run in (r.run, r.run.partition("-")[2])]
    if not wanted:
        raise StoreError(
            f"--run must name a run with a decision on {records[0].id!r}, received {chosen.run!r}"
        )
    record = wanted[-1]
    (found,) = documents(location, [record])
    if not isinstance(found, tuple):
        return _report([found], err)
    trail = before(history.trail()[record.id], record.entry)
    doc = {**found[1], "earlier": trail}
    if chosen.format == "json":
        out.write(json.dumps(doc, allow_nan=False) + "\n")
    elif chosen.format == "markdown":
        out.write(decision_markdown(doc))
    else:
        encoding = _encoding(out)
        known = {r.started: r.margin for r in records}
        out.write(console(doc["summary"], encoding) + "\n\n")
        margins = [known.get(each["started"]) for each in trail]
        _print(listing.entries([*trail, record.entry], [*margins, record.margin], encoding), out)
        out.write(f"\nrun {record.run}, reproduce with {console(doc['command'] or 'unknown', encoding)}\n")
    return 0


def _trend(chosen: argparse.Namespace, history: History, out: TextIO) -> int:
    from ..history import listing
    from ..history.plot import plot
    from ..history.trend import cumulative, series

    records = _selected(chosen, history)
    if chosen.groups:
        out.write(
            "Accepted gains multiplied: holds where each baseline is the version the one before left.\n"
        )
        _print(listing.groups(cumulative(records), _encoding(out)), out)
        return 0
    subjects = series(records)
    for subject in subjects:
        _print(listing.trend(subject, _encoding(out)), out)
        out.write("\n")
    if chosen.plot is not None:
        plot(subjects, chosen.plot)
        out.write(f"drawn in {chosen.plot}\n")
    return 0


def _export(
    chosen: argparse.Namespace, location: Location, history: History, out: TextIO, err: TextIO
) -> int:
    from ..store.errors import StoreError

    records = _selected(chosen, history)
    if chosen.output is None:
        return _write_export(chosen, location, records, out, err)
    try:
        with chosen.output.open("w", encoding="utf-8", newline="") as file:
            status = _write_export(chosen, location, records, file, err)
    except OSError as error:
        raise StoreError(f"{chosen.output} cannot be written: {error.strerror}; name another file") from error
    out.write(f"{_count(records)} written to {chosen.output}\n")
    return status


def _write_export(
    chosen: argparse.Namespace, location: Location, records: Sequence[Record], out: TextIO, err: TextIO
) -> int:
    from ..history import export
    from ..history.read import documents

    if chosen.format == "csv" and not chosen.pairs:
        export.write_csv(records, out)
        return 0
    problems: list[Problem] = []

    def whole() -> Iterator[tuple[Record, dict[str, Any]]]:
        for found in documents(location, records):
            if isinstance(found, tuple):
                yield found
            else:
                problems.append(found)

    if chosen.format == "csv":
        export.write_pairs_csv(whole(), out)
    else:
        out.writelines(export.json_lines(whole()))
    return _report(problems, err)


def _report(problems: Sequence[Problem], err: TextIO) -> int:
    for problem in problems:
        err.write(f"optbench: {'error' if problem.newer else 'warning'}: {problem}\n")
    return 1 if problems else 0


def _print(lines: Iterable[str], out: TextIO) -> None:
    out.writelines(f"{line}\n" for line in lines)


def _count(records: Sequence[Record]) -> str:
    return f"{len(records)} {'decision' if len(records) == 1 else 'decisions'}"


def _encoding(out: TextIO) -> str:
    return getattr(out, "encoding", None) or "utf-8"
