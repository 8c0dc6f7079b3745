"""What can go wrong when revisions are compared, before any verdict."""

from __future__ import annotations


class RevisionError(Exception):
    """The revisions cannot be compared as asked; the message says what must hold and the cure."""


class IdentityError(RevisionError):
    """A child did not run the code it stands for, or both sides ran the same code."""
