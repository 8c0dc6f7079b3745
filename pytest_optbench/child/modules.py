"""Which code this process runs: imported modules with their files and hashes, as evidence for the driver."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Collection
from pathlib import Path

from ..measure.channel import UNREADABLE

_hashes: dict[str, str] = {}


def imported(trees: Collection[Path], names: Collection[str]) -> dict[str, list[str]]:
    """Return file and SHA-256 of every module below one of ``trees``, or whose top-level name is in ``names``.

    Files are absolute, with links resolved. Modules without a file of their own are left out. A file that cannot be
    read any more, not even by whatever loaded the module (from an archive), has the hash `UNREADABLE`.
    """
    if not trees and not names:
        return {}
    found = {}
    roots = [f"{tree}{os.sep}" for tree in trees]
    for name, module in sorted(sys.modules.items()):
        given = getattr(module, "__file__", None)
        if not isinstance(given, str):
            continue
        file = os.path.realpath(given)
        if name.partition(".")[0] in names or any(file.startswith(root) for root in roots):
            found[name] = [file, _sha256(file, given, module)]
    return found


def _sha256(file: str, given: str, module: object) -> str:
    if file not in _hashes:
        try:
            data = Path(file).read_bytes()
        except OSError:
            try:
                data = module.__loader__.get_data(given)  # type: ignore[attr-defined]
            except (AttributeError, OSError):
                return UNREADABLE
        _hashes[file] = hashlib.sha256(data).hexdigest()
    return _hashes[file]
