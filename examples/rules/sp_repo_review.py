"""The checks of sp-repo-review (Scientific Python) as rules, with their own ``requires`` graph and fixtures.

    optengine validate . --rules examples.rules.sp_repo_review:rules

Needs the packages ``repo-review`` and ``sp-repo-review``. Their fixtures become one shared input and are
computed once per worker; ``root`` and ``package`` are the recorded tree, so results can be cached although
the checks know nothing of it. The outcome is theirs too: True passes, False fails with the check's text, None
means it does not apply.
"""

from __future__ import annotations

import copy
import importlib.metadata
import inspect
import textwrap
from dataclasses import dataclass
from typing import Any

from repo_review.fixtures import apply_fixtures, collect_fixtures, compute_fixtures
from repo_review.ghpath import EmptyTraversable

from optengine.rules import Context, Outcome, RuleSet

_TREE_FIXTURES = ("root", "package")
# Loaded while this module is imported, so that a running rule looks at nothing but its tree.
_FIXTURES = collect_fixtures()
_COLLECTORS = [point.load() for point in importlib.metadata.entry_points(group="repo_review.checks")]


def build_fixtures(ctx: Context) -> dict[str, Any]:
    """The shared input: fixtures of the validated tree, and the names of the checks offered for it."""
    computed = compute_fixtures(ctx.tree, ctx.tree, _FIXTURES)
    offered = {name for collect in _COLLECTORS for name in apply_fixtures(computed, collect)}
    values = {name: value for name, value in computed.items() if name not in _TREE_FIXTURES}
    return {"offered": offered, "values": values}


@dataclass(frozen=True)
class AdaptedCheck:
    """One check as a rule. ``wanted`` are the fixtures it takes by name."""

    name: str
    check: Any
    wanted: tuple[str, ...]

    def __call__(self, ctx: Context) -> Outcome:
        """Run the check with the fixtures it asks for."""
        shared = ctx.shared("fixtures")
        if self.name not in shared["offered"]:
            return ctx.skipped("not offered for this tree")
        values = {"name": self.name, "root": ctx.tree, "package": ctx.tree}
        for name in self.wanted:
            if name not in values:
                # A check may change what it is given; what is shared must stay as it is.
                values[name] = copy.deepcopy(shared["values"][name])
        result = self.check.check(**{name: values[name] for name in self.wanted})
        if result is None:
            return ctx.skipped("does not apply")
        text = result if isinstance(result, str) else "" if result else self._text()
        return ctx.failed(text.strip()) if text else ctx.passed()

    def _text(self) -> str:
        text = inspect.getdoc(self.check.check) or self.name
        return textwrap.dedent(text.format(self=self.check, name=self.name))


def rules() -> RuleSet:
    """Every installed check, with the requirements among those that are installed."""
    empty = EmptyTraversable()
    listed = compute_fixtures(empty, empty, _FIXTURES)
    checks = {name: one for collect in _COLLECTORS for name, one in apply_fixtures(listed, collect).items()}
    found = RuleSet()
    found.shared("fixtures")(build_fixtures)
    for name, check in checks.items():
        found.add(
            name,
            AdaptedCheck(name, check, tuple(inspect.signature(check.check).parameters)),
            requires=sorted(set(getattr(check, "requires", ())) & checks.keys()),
            severity="MEDIUM",
            group="fixtures",
            tags={str(check.family)},
            title=(check.__doc__ or name).strip(),
        )
    return found
