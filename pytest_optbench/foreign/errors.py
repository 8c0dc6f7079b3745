"""What can be wrong with a file: each message names the file, the place, what was expected and what was found."""

from __future__ import annotations

from ..store.errors import StoreError


class ForeignError(StoreError, ValueError):
    """A file is not one of those that can be read, or holds what its format does not allow."""
