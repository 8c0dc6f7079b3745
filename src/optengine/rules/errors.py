"""What can be wrong with a rule set or with a request to validate; every error keeps plain, picklable
fields."""

from __future__ import annotations

from collections.abc import Sequence

from optengine.errors import EngineError


class RuleSetError(EngineError):
    """The rule set cannot be run as it stands: the command line turns this into exit status 2."""


class DuplicateRule(RuleSetError):
    """Two rules were registered under one id."""

    def __init__(self, rule_id: str) -> None:
        super().__init__(rule_id)
        self.rule_id = rule_id

    def __str__(self) -> str:
        """The message: what must hold, what was received, the cure."""
        return (
            f"Each rule id must be registered once; received {self.rule_id!r} again. "
            "Rename one of the two rules."
        )


class UnknownDependency(RuleSetError):
    """A rule requires an id that no rule has."""

    def __init__(self, rule_id: str, missing: str, known: Sequence[str] = ()) -> None:
        super().__init__(rule_id, missing, tuple(known))
        self.rule_id = rule_id
        self.missing = missing
        self.known = tuple(known)

    def __str__(self) -> str:
        """The message, with the path from the rule to the missing id and the nearest known ids."""
        near = f" Did you mean {', '.join(map(repr, self.known))}?" if self.known else ""
        return (
            f"Every required rule must be in the rule set; {self.rule_id} -> {self.missing} ends at an id "
            f"that is not registered.{near} Register {self.missing!r} or remove it from requires."
        )


class DependencyCycle(RuleSetError):
    """Rules require each other in a circle."""

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__(tuple(path))
        self.path = tuple(path)

    def __str__(self) -> str:
        """The message, with the whole circle written as a path that ends where it began."""
        return (
            f"Dependencies between rules must not form a circle; found {' -> '.join(self.path)}. "
            "Remove one of these requirements."
        )


class UnknownSelection(RuleSetError):
    """A selection names a rule, group or tag that does not exist, so it would silently select nothing."""

    def __init__(self, what: str, name: str, known: Sequence[str] = ()) -> None:
        super().__init__(what, name, tuple(known))
        self.what = what
        self.name = name
        self.known = tuple(known)

    def __str__(self) -> str:
        """The message, with the names that exist."""
        known = ", ".join(self.known[:12]) or "none"
        return f"A selected {self.what} must exist in the rule set; received {self.name!r}. Known: {known}."


class RulesUsageError(RuleSetError):
    """A request that cannot be carried out: a bad argument, a missing folder, a module that does not load."""


class Undigestable(RuleSetError):
    """An object whose state cannot be hashed, so that results that depend on it are never cached."""
