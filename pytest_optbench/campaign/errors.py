"""What goes wrong with a campaign before anything is measured."""

from __future__ import annotations


class CampaignError(ValueError):
    """A campaign file, or what it names, cannot be used; the message says what must hold and the cure."""
