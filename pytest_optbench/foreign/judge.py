"""From two paths to documents in a report folder: the shell around reading, comparing and describing."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.unpaired import ALLOWANCE
from ..core.wording import short_percent
from ..history.schema import text_key
from ..history.trail import Entry, merge
from ..options import Settings
from ..report import write_decision
from ..report.templating import check_templates
from ..store import check_writable, earlier, schema
from ..subject import goal_of
from .compare import Comparison, compare_files
from .document import document
from .load import read_file

_ORDER = "only ACCEPT passes the strict gate, and what was not measured side by side is never accepted"


@dataclass(frozen=True)
class Judged:
    """The documents as written, and what else a reader must be told."""

    documents: tuple[dict[str, Any], ...]
    folder: Path
    templates: Path | None
    notes: tuple[str, ...]
    missing: tuple[str, ...]


def judge_files(
    old: Path,
    new: Path,
    settings: Settings,
    *,
    root: Path,
    drift: float | None = None,
    select: Sequence[str] = (),
    named: Sequence[tuple[str, str]] = (),
    held: Mapping[str, Sequence[Entry]] | None = None,
) -> Judged:
    """Compare two files and write a document per benchmark; ``drift`` is the allowance as extra time.

    ``held`` are earlier decisions by id, of the history; those of the report folder are added.

    Raises `StoreError`: a file cannot be read or compared, the report folder not written.
    """
    began = time.perf_counter()
    comparison = compare_files(
        read_file(old),
        read_file(new),
        goal_of(settings),
        alpha=settings.alpha,
        allowance=ALLOWANCE if drift is None else drift,
        select=select,
        named=named,
    )
    folder = Path(root, settings.report_dir)
    templates = Path(root, settings.templates) if settings.templates else None
    check_writable(folder)
    check_templates(templates)
    command = _command(old, new, settings, drift, select, named)
    written = []
    for compared in comparison.compared:
        taken = time.perf_counter() - began
        identity = f"compare::{compared.name}"
        before = merge(earlier(folder, identity), (held or {}).get(text_key(identity), ()))
        text = document(comparison, compared, command=command, earlier=before, seconds=taken)
        path = write_decision(folder, text, templates).json
        written.append(schema.loads(path.read_text(encoding="utf-8")))
    return Judged(tuple(written), folder, templates, _notes(comparison, settings), _missing(comparison))


def _notes(comparison: Comparison, settings: Settings) -> tuple[str, ...]:
    old, new = comparison.old, comparison.new
    notes = [f"unpaired: {old.name} ({old.label}) against {new.name} ({new.label})"]
    notes += [f"left out of {file.name}: {words}" for file in (old, new) for words in file.skipped]
    if settings.gate == "strict":
        notes.append(f"{_ORDER}; --gate=lenient fails on REJECT alone, --gate=off never")
    return tuple(notes)


def _missing(comparison: Comparison) -> tuple[str, ...]:
    return (
        *(f"only in {comparison.old.name}: {name}" for name in comparison.only_old),
        *(f"only in {comparison.new.name}: {name}" for name in comparison.only_new),
    )


def _command(
    old: Path,
    new: Path,
    settings: Settings,
    drift: float | None,
    select: Sequence[str],
    named: Sequence[tuple[str, str]],
) -> str:
    words = ["optbench", "compare", old.name, new.name, f"--goal={settings.goal}"]
    margin = "min_speedup" if settings.goal == "speedup" else "max_slowdown"
    words.append(f"--{margin.replace('_', '-')}={short_percent(getattr(settings, margin)).replace(' ', '')}")
    words.append(f"--alpha={settings.alpha:g}")
    if drift is not None:
        words.append(f"--drift={short_percent(drift).replace(' ', '')}")
    words += [f"--select={text}" for text in select]
    for pair in named:
        words += ["--match", *pair]
    return shlex.join(words)
