"""A set of rules: registered by decorator or by call, checked, and narrowed by id, group, tag or severity."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, TypeVar

from optengine.rules import graph
from optengine.rules.errors import DuplicateRule, RuleSetError, RulesUsageError, UnknownSelection
from optengine.rules.evidence import error_text
from optengine.rules.model import Rule, Severity, SharedBuilder

Check = TypeVar("Check", bound=Callable[..., object])
_MARK = "__optengine_rules__"


def is_above_zero(value: object) -> bool:
    """Whether *value* can be a limit in seconds."""
    return isinstance(value, int | float) and value > 0


def is_at_least_one(value: object) -> bool:
    """Whether *value* can be a number of workers."""
    return isinstance(value, int) and value >= 1


def make_rule(
    rule_id: object,
    check: Callable[..., object],
    *,
    severity: str | Severity = Severity.MEDIUM,
    requires: Iterable[str] = (),
    group: str | None = None,
    timeout: float | None = None,
    tags: Iterable[str] = (),
    inputs: Iterable[str] = (),
    title: str | None = None,
    help: str | None = None,
) -> Rule:
    """A checked :class:`Rule`.

    Raises:
        RulesUsageError: an argument cannot be used; the message names it.
    """
    if not isinstance(rule_id, str) or not rule_id or any(letter.isspace() for letter in rule_id):
        raise RulesUsageError(f"A rule id must be a string without blanks; received {rule_id!r}.")
    if not callable(check):
        raise RulesUsageError(f"Rule {rule_id}: check must be callable with a context; received {check!r}.")
    if isinstance(requires, str):
        raise RulesUsageError(
            f"Rule {rule_id}: requires must be a sequence of ids; received the string {requires!r}."
        )
    if timeout is not None and not is_above_zero(timeout):
        raise RulesUsageError(
            f"Rule {rule_id}: timeout must be above 0 seconds or None; received {timeout!r}."
        )
    try:
        level = Severity.of(severity)
    except ValueError as error:
        raise RulesUsageError(f"Rule {rule_id}: {error}") from error
    text = inspect.getdoc(check) or "" if help is None else help
    return Rule(
        id=rule_id,
        check=check,
        severity=level,
        requires=tuple(dict.fromkeys(requires)),
        group=group,
        timeout=timeout,
        tags=frozenset((tags,) if isinstance(tags, str) else tags),
        inputs=tuple((inputs,) if isinstance(inputs, str) else inputs),
        title=title if title is not None else text.partition("\n")[0],
        help=text,
    )


def rule(rule_id: str, **options: Any) -> Callable[[Check], Check]:
    """A decorator that marks a function as a rule, to be picked up by :meth:`RuleSet.from_module`.

    Takes the options of :func:`make_rule`. The function itself is returned unchanged.
    """

    def mark(check: Check) -> Check:
        made = make_rule(rule_id, check, **options)
        setattr(check, _MARK, (*getattr(check, _MARK, ()), made))
        return check

    return mark


class RuleSet:
    """An ordered collection of rules with unique ids and the inputs they share."""

    def __init__(self, rules: Iterable[Rule] = (), shared: Iterable[SharedBuilder] = ()) -> None:
        self._rules: dict[str, Rule] = {}
        self._shared: dict[str, SharedBuilder] = {}
        for one in rules:
            self._register(one)
        for builder in shared:
            self._shared[builder.name] = builder

    @classmethod
    def from_module(cls, module: ModuleType | str) -> RuleSet:
        """The rules that *module* (or its import path) defines with :func:`rule`, in order of definition."""
        loaded = importlib.import_module(module) if isinstance(module, str) else module
        found: dict[int, Rule] = {}
        for value in vars(loaded).values():
            for one in getattr(value, _MARK, ()) if callable(value) else ():
                found[id(one)] = one
        return cls(found.values())

    def _register(self, one: Rule) -> None:
        if one.id in self._rules:
            raise DuplicateRule(one.id)
        self._rules[one.id] = one

    def rule(self, rule_id: str, **options: Any) -> Callable[[Check], Check]:
        """A decorator that registers a function; takes the options of :func:`make_rule`.

        The function is returned unchanged, so it stays importable by its own name and can be tested by
        itself.

        Raises:
            DuplicateRule: the id is taken.
        """

        def register(check: Check) -> Check:
            self._register(make_rule(rule_id, check, **options))
            return check

        return register

    def add(self, rule_id: str, check: Callable[..., object], **options: Any) -> Rule:
        """Register any callable that takes a context; takes the options of :func:`make_rule`.

        Raises:
            DuplicateRule: the id is taken.
        """
        made = make_rule(rule_id, check, **options)
        self._register(made)
        return made

    def shared(self, name: str, *, scope: str = "worker") -> Callable[[Check], Check]:
        """A decorator that registers the builder of an input that rules get with ``ctx.shared(name)``.

        Args:
            name: what rules ask for.
            scope: ``worker`` (any object, built at most once per worker) or ``run`` (bytes or JSON data, built once
                and read by worker processes from the shared segment).

        Raises:
            RulesUsageError: the name is taken or the scope unknown.
        """
        if scope not in ("worker", "run"):
            raise RulesUsageError(
                f"Shared input {name!r}: scope must be 'worker' or 'run'; received {scope!r}."
            )

        def register(build: Check) -> Check:
            if name in self._shared or name == "index":
                raise RulesUsageError(f"A shared input must be registered once; received {name!r} again.")
            self._shared[name] = SharedBuilder(name, build, scope)
            return build

        return register

    @property
    def builders(self) -> Mapping[str, SharedBuilder]:
        """Builders of shared inputs by name."""
        return self._shared

    @property
    def requires(self) -> dict[str, tuple[str, ...]]:
        """Required ids by rule id, in order of registration."""
        return {one.id: one.requires for one in self}

    def batches(self) -> list[list[Rule]]:
        """Rules in batches; see :func:`optengine.rules.graph.batches`, which also says what is raised."""
        return [[self._rules[name] for name in batch] for batch in graph.batches(self.requires)]

    def update(self, other: RuleSet) -> None:
        """Add every rule and builder of *other*.

        Raises:
            DuplicateRule: an id is in both.
            RulesUsageError: both have a shared input of one name, built in different ways.
        """
        for name, builder in other.builders.items():
            if self._shared.get(name, builder) != builder:
                raise RulesUsageError(
                    f"A shared input must be built in one way; both rule sets have their own {name!r}. "
                    "Rename one of the two."
                )
        for one in other:
            self._register(one)
        self._shared.update(other.builders)

    def select(
        self,
        *,
        ids: Sequence[str] = (),
        groups: Sequence[str] = (),
        tags: Sequence[str] = (),
        min_severity: str | Severity | None = None,
    ) -> RuleSet:
        """The rules that match any of *ids*, *groups*, *tags* (all when none is given) and the severity.

        Whatever a selected rule requires is kept too, since its verdict depends on it.

        Raises:
            UnknownSelection: a name matches no rule, so that a typing error cannot pass as "nothing to do".
        """
        all_groups = sorted({one.group for one in self if one.group is not None})
        all_tags = sorted({tag for one in self for tag in one.tags})
        for what, names, known in (
            ("rule", ids, list(self._rules)),
            ("group", groups, all_groups),
            ("tag", tags, all_tags),
        ):
            for name in names:
                if name not in known:
                    raise UnknownSelection(what, name, known)
        floor = Severity.of(min_severity).rank if min_severity is not None else 0
        everything = not (ids or groups or tags)
        chosen = [
            one.id
            for one in self
            if (everything or one.id in ids or one.group in groups or one.tags.intersection(tags))
            and one.severity.rank >= floor
        ]
        graph.check(self.requires)
        kept = graph.closure(self.requires, chosen)
        return RuleSet((self._rules[name] for name in kept), self._shared.values())

    def __getitem__(self, rule_id: str) -> Rule:
        """The rule with that id."""
        return self._rules[rule_id]

    def __contains__(self, rule_id: object) -> bool:
        """Whether a rule has that id."""
        return rule_id in self._rules

    def __iter__(self) -> Iterator[Rule]:
        """Rules in order of registration."""
        return iter(list(self._rules.values()))

    def __len__(self) -> int:
        """How many rules."""
        return len(self._rules)

    def __repr__(self) -> str:
        """Short form with the number of rules."""
        return f"<RuleSet of {len(self)} rules>"


def load(reference: str) -> RuleSet:
    """The rule set named by ``module:attribute``; a plain module gives its functions marked with
    :func:`rule`.

    Raises:
        RulesUsageError: the module does not import, has no such attribute, or that is not a rule set.
    """
    module_name, _, attribute = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a script without a __main__ guard may call sys.exit
        raise RulesUsageError(
            f"--rules must name an importable module as module:RULES; importing {module_name!r} raised "
            f"{error_text(error)}. Check the name, and that its folder is on PYTHONPATH."
        ) from error
    found = RuleSet.from_module(module) if not attribute else getattr(module, attribute, None)
    if callable(found) and not isinstance(found, RuleSet):
        try:
            found = found()
        except RuleSetError:
            raise
        except Exception as error:
            raise RulesUsageError(
                f"--rules must name a RuleSet or what makes one; calling {reference!r} raised {error_text(error)}."
            ) from error
    if not isinstance(found, RuleSet):
        names = ", ".join(name for name, value in vars(module).items() if isinstance(value, RuleSet))
        raise RulesUsageError(
            f"--rules must name a RuleSet as module:RULES; {reference!r} is {found!r}. "
            f"Rule sets in that module: {names or 'none'}."
        )
    return found
