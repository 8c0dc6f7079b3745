"""The nouns of validation: severities, statuses, a rule, what a rule answers, and the one result it gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Severity(StrEnum):
    """How much a finding of a rule matters; compare with :attr:`rank` (CRITICAL is the highest)."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    INFO = "INFO"

    @property
    def rank(self) -> int:
        """4 for CRITICAL down to 0 for INFO."""
        return 4 - list(Severity).index(self)

    @classmethod
    def of(cls, value: str | Severity) -> Severity:
        """The severity named *value*, in any case.

        Raises:
            ValueError: no severity has that name.
        """
        try:
            return cls(str(value).upper())
        except ValueError:
            names = ", ".join(cls)
            raise ValueError(f"A severity must be one of {names}; received {value!r}.") from None


class Status(StrEnum):
    """What became of a rule. Every rule gets exactly one."""

    PASS = "PASS"
    FAIL = "FAIL"
    SKIP = "SKIP"
    ERROR = "ERROR"
    TIMEOUT = "TIMEOUT"
    CRASH = "CRASH"

    @property
    def is_finding(self) -> bool:
        """True where a reader must act: the rule failed or could not be judged. A SKIP is not a finding."""
        return self not in (Status.PASS, Status.SKIP)


#: Only these say something about the tree rather than about this run, so only these are cached.
CACHEABLE: Final = frozenset({Status.PASS, Status.FAIL})


@dataclass(frozen=True)
class Outcome:
    """What a rule answers: made by ``ctx.passed``, ``ctx.failed`` and ``ctx.skipped``."""

    status: Status
    message: str = ""
    evidence: object = None


@dataclass(frozen=True)
class Rule:
    """One registered rule.

    Attributes:
        id: unique in its rule set.
        check: called with a :class:`~optengine.rules.context.Context`.
        severity: how much a finding matters.
        requires: ids that must PASS before this rule runs; otherwise it is SKIPped.
        group: name of an expensive input it shares with others; rules of one group run together.
        timeout: seconds one attempt may take; None means the validator's own limit.
        tags: free labels to select by.
        inputs: globs of the files it reads. A hint for what to share with workers, never trusted by the
        cache. title: one line for reports; the first line of the docstring unless given.
        help: longer text for reports; the docstring unless given.
    """

    id: str
    check: Callable[..., object]
    severity: Severity = Severity.MEDIUM
    requires: tuple[str, ...] = ()
    group: str | None = None
    timeout: float | None = None
    tags: frozenset[str] = frozenset()
    inputs: tuple[str, ...] = ()
    title: str = ""
    help: str = ""


@dataclass(frozen=True)
class RuleResult:
    """The one result of one rule.

    Attributes:
        rule_id: the rule.
        status: PASS, FAIL, SKIP, ERROR, TIMEOUT or CRASH.
        severity: severity of the rule, not of this result.
        message: what to tell the reader, one line where possible.
        evidence: plain JSON data; anything else was replaced by a note that names its original type.
        seconds: time of the attempt that gave this result, measured where it ran; 0.0 for SKIP and cached
        results. worker: who ran it: ``main``, ``thread-1``, ``child-1``, ``pid-1234``; None when nothing ran.
        cached: True when taken from the store.
        reason: why: the failed dependency of a SKIP, traceback of an ERROR, limit and stack of a TIMEOUT,
        exit of a CRASH. attempts: how often it was started in this run (0 for SKIP and cached results).
        title: the rule's title.
        mode: where it ran: ``sequential`` (in mode auto in a forked child), ``threads`` or ``processes``; None when
            nothing ran.
    """

    rule_id: str
    status: Status
    severity: Severity
    message: str = ""
    evidence: Any = None
    seconds: float = 0.0
    worker: str | None = None
    cached: bool = False
    reason: str | None = None
    attempts: int = 0
    title: str = ""
    mode: str | None = None

    @property
    def verdict(self) -> tuple[str, str, str, str]:
        """What must be equal in every mode: id, status, message and evidence (as canonical JSON)."""
        from optengine.rules.digest import canonical_json

        return (self.rule_id, self.status.value, self.message, canonical_json(self.evidence))


@dataclass(frozen=True)
class SharedBuilder:
    """An input that several rules share.

    Attributes:
        name: what rules pass to ``ctx.shared``.
        build: called with a context whose reads count for every rule that uses the object.
        scope: ``worker``: built at most once in each worker and kept as it is (parsed trees);
            ``run``: built once, must be bytes or JSON data, read by worker processes from the shared segment.
    """

    name: str
    build: Callable[..., object]
    scope: str = "worker"
