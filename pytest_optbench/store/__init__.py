"""Decisions on disk: their versioned schema, safe file names, atomic files and the ledger of earlier ones.

    decision (dict) -> schema.validate -> slug.choose -> files.replace      <folder>/<slug>.json
    <folder>/*.json -> folder.read_folder -> index, ledger

The JSON files are the truth; everything else in a report folder is rendered from them and can be rendered
again. One writer at a time works on a folder (`files.folder_lock`); a reader never sees half a file.
This package knows nothing of how a decision is laid out (`pytest_optbench.report`) or reached.
"""

from __future__ import annotations

from .errors import SchemaError, StoreError
from .files import check_writable
from .ledger import attempt_number, earlier

__all__ = ["SchemaError", "StoreError", "attempt_number", "check_writable", "earlier"]
