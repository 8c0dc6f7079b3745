"""Whether two arms return the same, as a value; how results are compared is not this package's concern.

Standard library only: a plain test run, which measures nothing, checks results too.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_optbench.core.findings import Finding


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Whether the arms returned equivalent results.

    ``checked`` False: nothing was compared, which does not block a verdict but is shown. ``checked`` True with
    ``passed`` None: the comparison itself failed, which can never end in ACCEPT. ``how`` names the comparison;
    ``message`` says where the results differ, or is None.
    """

    checked: bool = False
    passed: bool | None = None
    how: str = "not checked"
    message: str | None = None
    findings: tuple[Finding, ...] = ()
