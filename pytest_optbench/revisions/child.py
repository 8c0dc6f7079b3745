"""A pytest plugin that does one thing when it is imported: turn the child's imports to its own tree.

Given with ``-p`` in front of everything else, so that it runs before plugins, conftest files and tests are
imported.
"""

from __future__ import annotations

import os
from pathlib import Path

from .reroot import OTHER_TREE, TREE, reroot

if os.environ.get(TREE) and os.environ.get(OTHER_TREE):
    reroot(Path(os.environ[TREE]), Path(os.environ[OTHER_TREE]))
