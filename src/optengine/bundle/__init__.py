"""Sealed data bundles and how workers get them.

    Bundle.build(path, tables, assets)     SharedBundle.create(path)  ── pickle ──►  worker: get()
      markets.bundle/
        manifest.json                      fingerprint, SHA-256 per file     checked at every get()
        tables/bars-<sha12>.arrow          one uncompressed Arrow batch      memory-mapped, read-only
        tables/bars-<sha12>.parquet        the same values for other tools
        assets-<sha12>.sqlite              no journal, no log                own read-only handle

Ownership: the directory belongs to whoever built it; sharing never writes, and leaves nothing to clean up.
Lifetime: mapped tables stay valid after close() and after the bundle was replaced; SQLite handles belong to
the process that opened them and cannot cross a fork: the fork raises.
"""

from optengine.bundle.bundle import Bundle
from optengine.bundle.errors import (
    BundleClosed,
    BundleError,
    BundleExists,
    BundleFormatError,
    OpenHandle,
    SharingError,
    StaleBundle,
    TamperedBundle,
    UnknownTable,
)
from optengine.bundle.handles import open_handles, require_no_open_handles
from optengine.bundle.metadata import BundleMetadata
from optengine.bundle.shared import SharedBundle

__all__ = [
    "Bundle",
    "BundleClosed",
    "BundleError",
    "BundleExists",
    "BundleFormatError",
    "BundleMetadata",
    "OpenHandle",
    "SharedBundle",
    "SharingError",
    "StaleBundle",
    "TamperedBundle",
    "UnknownTable",
    "open_handles",
    "require_no_open_handles",
]
