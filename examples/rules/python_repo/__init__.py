"""Rules about a Python repository: layout, packaging, syntax trees, imports, docstrings, tests, licences,
workflows.

    optengine validate . --rules examples.rules.python_repo:RULES

Two inputs are shared: ``project`` (pyproject.toml and the packages, built once for all workers) and ``trees``
(parsed sources, built once per worker; every rule that needs them is in the group ``python-ast``).
"""

from __future__ import annotations

from examples.rules.python_repo import (
    docstrings,
    imports,
    layout,
    licences,
    packaging,
    syntax,
    tests,
    workflows,
)
from examples.rules.python_repo.inputs import SHARED
from optengine.rules import RuleSet

RULES = RuleSet()
for _part in (SHARED, layout.RULES, packaging.RULES, syntax.RULES, imports.RULES):
    RULES.update(_part)
for _part in (docstrings.RULES, tests.RULES, licences.RULES, workflows.RULES):
    RULES.update(_part)
