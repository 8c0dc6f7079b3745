"""What goes wrong with files: each message names the file, what was received and the cure."""

from __future__ import annotations


class StoreError(Exception):
    """A report folder or one of its files cannot be read or written."""


class SchemaError(StoreError, ValueError):
    """A document is not a decision this version can read or write."""
