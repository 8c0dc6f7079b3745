"""A pytest plugin for the runs under test: the processes they measure in are not traced for coverage.

A run starts a dozen of them or more, and being traced is a large part of what one costs. What runs in them is traced in
the tests of children and in those of their imports.
"""

from __future__ import annotations

import os

os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
