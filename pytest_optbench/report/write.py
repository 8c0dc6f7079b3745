"""Files of a report folder: JSON first, then what is rendered from it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_optbench.private import scrub
from pytest_optbench.store import schema
from pytest_optbench.store.files import folder_lock, replace
from pytest_optbench.store.folder import INDEX_NAME, Folder, index_text, read_folder, stem_for

from .html import html_report
from .markdown import decision_markdown, index_markdown
from .plots import pairs_svg


@dataclass(frozen=True)
class Paths:
    """The files of one decision."""

    json: Path
    md: Path
    svg: Path


@dataclass(frozen=True)
class Index:
    """The files of the index, and what could not be put into it, in words."""

    json: Path
    md: Path
    html: Path
    warnings: tuple[str, ...]


def write_decision(
    folder: Path, doc: Mapping[str, Any], templates: Path | None = None, root: Path | None = None
) -> Paths:
    """Write decision ``doc`` to ``folder`` as ``<slug>.json``, ``.svg`` and ``.md``; return their paths.

    The JSON file is written first: whatever fails after it, the decision is kept and can be rendered again.
    A decision already there under the same id is replaced; a file that is anything else keeps its name and
    the decision gets another ``slug``, so read the name off the result. Texts are written without home folders
    and names of machines, paths below ``root`` relative to it. Raises SchemaError (nothing was written) or
    StoreError.
    """
    folder = Path(folder)
    schema.validate({**doc, "slug": "_"})
    with folder_lock(folder):
        named = {**scrub(doc, root=root), "slug": stem_for(folder, doc["id"])}
        return _write(folder, named, templates)


def write_index(
    folder: Path,
    templates: Path | None = None,
    session_ids: Collection[str] = (),
    holm: Callable[[Sequence[float]], Sequence[float]] | None = None,
) -> Index:
    """Write ``index.json``, ``index.md`` and ``index.html`` over every decision in ``folder``; return their paths.

    ``index.json`` is an array of the decision documents without ``pairs[].runs``; ``index.html`` holds every
    decision with its charts in one file. The folder is read again
    under its lock, so two runs that write at once both end up in the index. With ``holm`` the ``p_adjusted``
    of the decisions named by ``session_ids`` is computed and written first: ``holm`` takes p-values and
    returns adjusted ones in the same order. The family is every decision of the goal "speedup" among them;
    one without a p counts as p = 1. Raises StoreError.
    """
    folder = Path(folder)
    with folder_lock(folder):
        found = read_folder(folder)
        if holm is not None:
            _adjust(folder, found, session_ids, holm, templates)
        docs = found.ordered()
        json_path = replace(folder, INDEX_NAME, index_text(docs).encode())
        text = index_markdown(docs, found.warnings, templates)
        md_path = replace(folder, "index.md", text.encode())
        page = html_report(docs, found.warnings, templates)
        html_path = replace(folder, "index.html", page.encode())
    return Index(json_path, md_path, html_path, tuple(found.warnings))


def write_pictures(folder: Path, docs: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Write ``<slug>.png`` for each of ``docs`` and ``index.png`` over all of them; return their paths.

    Raises StoreError when matplotlib is not installed (extra ``report``) or a file cannot be written.
    """
    from .pictures import decision_png, overview_png

    with folder_lock(folder):
        paths = [replace(folder, f"{doc['slug']}.png", decision_png(doc)) for doc in docs]
        return [*paths, replace(folder, "index.png", overview_png(docs))]


def _write(folder: Path, doc: Mapping[str, Any], templates: Path | None) -> Paths:
    stem = doc["slug"]
    json_path = replace(folder, f"{stem}.json", schema.dumps(doc).encode())
    svg_path = replace(folder, f"{stem}.svg", pairs_svg(doc).encode())
    md_path = replace(folder, f"{stem}.md", decision_markdown(doc, templates).encode())
    return Paths(json_path, md_path, svg_path)


def _adjust(
    folder: Path,
    found: Folder,
    session_ids: Collection[str],
    holm: Callable[[Sequence[float]], Sequence[float]],
    templates: Path | None,
) -> None:
    family = [doc for doc in found.ordered() if doc["id"] in session_ids and doc["goal"] == "speedup"]
    if not family:
        return
    known = [doc["p_sequential"] for doc in family]
    adjusted = holm([1.0 if p is None else p for p in known])
    for doc, p, value in zip(family, known, adjusted, strict=True):
        doc["p_adjusted"] = None if p is None else float(value)
        _write(folder, doc, templates)
