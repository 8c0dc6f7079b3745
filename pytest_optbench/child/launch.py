"""The program a child starts with: ``python launch.py cwd|- <pytest arguments>``.

It pins `pytest_optbench` to the installation this file belongs to, before the project under test can offer one of
its own (a worktree of this very repository does). With ``cwd`` imports start in the current folder, as with
``python -m pytest``; with ``-`` they do not, as with the ``pytest`` command.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> int:
    """Run pytest; return its exit status."""
    here = Path(__file__).resolve().parent
    mode = sys.argv[1]
    if sys.path and os.path.realpath(sys.path[0]) == os.path.realpath(here):
        del sys.path[0]  # the folder of this script, which holds modules with common names
    sys.path.insert(0, str(here.parents[1]))
    import pytest_optbench  # noqa: F401 - from now on its modules come from its own folder

    del sys.path[0]
    if mode == "cwd":
        sys.path.insert(0, str(Path.cwd()))
    import pytest

    sys.argv = [pytest.__file__, *sys.argv[2:]]
    return int(pytest.main())


if __name__ == "__main__":
    sys.exit(main())
