"""A pytest plugin for one look ahead: it writes the ids of the collected tests to the file named for it.

Loaded with ``-p`` into a ``--collect-only`` run, so that a campaign finds a test that is missing, or an id
that stands for several tests, before hours of measuring rather than in the middle of them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import pytest

VARIABLE: Final = "OPTBENCH_CAMPAIGN_COLLECTED"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the ids of what would run."""
    ids = [item.nodeid for item in session.items]
    Path(os.environ[VARIABLE]).write_text(json.dumps(ids), encoding="utf-8")
