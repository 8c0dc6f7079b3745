"""All decisions of a report folder, read back from their JSON files.

What cannot be read is named and left as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from . import schema, slug
from .errors import SchemaError, StoreError
from .files import read

Decision = dict[str, Any]

INDEX_NAME: Final = "index.json"
NOT_DECISIONS: Final = frozenset({INDEX_NAME, "summary.json"})
"""What a run writes beside its decisions."""
WITHOUT: Final = frozenset({"runs"})
"""Keys of a pair that the index leaves out: the raw micro-pairs, by far the largest part of a decision."""


@dataclass
class Folder:
    """What a report folder holds: decisions by stem, and what was skipped, in words."""

    decisions: dict[str, Decision] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def ordered(self) -> list[Decision]:
        """Return the decisions in the order of the index: group, rank, title, id."""
        return sorted(self.decisions.values(), key=_order)

    def stem_of(self, identity: str) -> str | None:
        """Return the stem of the decision with id ``identity``, the newest when there are several."""
        stems = [stem for stem, doc in self.decisions.items() if doc["id"] == identity]
        return max(stems, key=lambda stem: (self.decisions[stem].get("started") or "", stem), default=None)


def stem_for(folder: Path, identity: str) -> str:
    """Return the stem for the decision ``identity``: the best one that nothing but that decision uses."""
    for stem in slug.candidates(identity):
        path = folder / f"{stem}.json"
        if not (path.exists() or path.is_symlink()) or _identity(path) == identity:
            return stem
    raise StoreError(f"every file name for {identity!r} is taken in {folder}; remove files from it")


def _identity(path: Path) -> str | None:
    """Return the id of the decision in ``path``; None when it is not one.

    Raises StoreError for a file that cannot be read: it may be that very decision, whose attempts have to count.
    """
    if path.is_symlink() or not path.is_file():
        return None
    try:
        doc = schema.loads(read(path).decode("utf-8"))
    except (SchemaError, UnicodeDecodeError):  # somebody else's file
        return None
    return str(doc["id"])


def read_folder(folder: Path) -> Folder:
    """Return every decision in ``folder`` with a warning for each JSON file that is not one.

    A file that is broken, foreign, of a newer version, a link, or a copy under another name is skipped and
    left as it is. A missing folder holds nothing.
    """
    found = Folder()
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    for path in paths:
        if path.name in NOT_DECISIONS:
            continue
        try:
            doc = schema.loads(read(path).decode("utf-8"))
            if not slug.is_valid(doc["slug"]) or doc["slug"] != path.stem:
                raise StoreError(f"it holds the decision of {doc['slug']}.json; it was copied or renamed")
        except (StoreError, UnicodeDecodeError) as error:
            found.warnings.append(f"{path.name} is not in the index: {error}")
            continue
        found.decisions[path.stem] = doc
    for stem in [stem for stem, doc in found.decisions.items() if found.stem_of(doc["id"]) != stem]:
        identity = found.decisions.pop(stem)["id"]
        found.warnings.append(f"{stem}.json is not in the index: an older decision on {identity}")
    return found


def index_text(decisions: list[Decision]) -> str:
    """Return ``index.json``: a JSON array of the decisions, without the raw micro-pairs (``runs``)."""
    elements = [json.dumps(_without_runs(doc), allow_nan=False) for doc in decisions]
    return "[\n" + ",\n".join(elements) + "\n]\n" if elements else "[]\n"


def _without_runs(doc: Mapping[str, Any]) -> Decision:
    pairs = [{key: value for key, value in pair.items() if key not in WITHOUT} for pair in doc["pairs"]]
    return {**doc, "pairs": pairs}


def _order(doc: Decision) -> tuple[str, float, str, str]:
    rank = doc["rank"] if doc["rank"] is not None else float("inf")
    return (doc["group"] or "", rank, doc["title"], doc["id"])
