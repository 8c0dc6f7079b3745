"""Registering, selecting and loading rules."""

from __future__ import annotations

from types import ModuleType

import pytest

from optengine.rules import Context, RuleSet, Severity, load, rule
from optengine.rules.errors import DuplicateRule, RulesUsageError, UnknownSelection


@rule("M001", severity="low", tags={"x"})
def marked(ctx: Context) -> bool:
    """A rule found in its module.

    With a longer text.
    """
    return True


@rule("M002", requires=["M001"])
@rule("M003")
def marked_twice(ctx: Context) -> bool:
    """One function under two ids."""
    return True


def always(ctx: Context) -> bool:
    """Pass."""
    return True


RULES = RuleSet()
RULES.add("A", always, severity="INFO", group="g", tags={"fast"})
RULES.add("B", always, severity="CRITICAL", requires=["A"])
RULES.add("C", always, severity="LOW", tags={"slow"})


def make() -> RuleSet:
    """A rule set made on demand."""
    return RULES


def test_decorators_return_the_function() -> None:
    """A registered function stays itself, with title and help taken from its docstring."""
    rules = RuleSet()
    assert rules.rule("X")(always) is always
    assert rules["X"].title == "Pass."
    found = RuleSet.from_module("test_rules_set")
    assert [one.id for one in found] == ["M001", "M003", "M002"]
    assert found["M001"].severity is Severity.LOW
    assert found["M001"].help == "A rule found in its module.\n\nWith a longer text."


def test_an_id_is_registered_once() -> None:
    """A second rule under an id is refused by name."""
    rules = RuleSet()
    rules.add("X", always)
    with pytest.raises(DuplicateRule, match="received 'X' again"):
        rules.add("X", always)
    with pytest.raises(DuplicateRule, match="received 'X' again"):
        rules.update(rules)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule_id": "has blank"}, "without blanks; received 'has blank'"),
        ({"rule_id": ""}, "without blanks; received ''"),
        ({"rule_id": 3}, "without blanks; received 3"),
        ({"check": 3}, "must be callable with a context; received 3"),
        ({"requires": "AB"}, "requires must be a sequence of ids; received the string 'AB'"),
        ({"timeout": 0}, "timeout must be above 0 seconds or None; received 0"),
        ({"timeout": float("nan")}, "timeout must be above 0 seconds or None; received nan"),
        ({"severity": "URGENT"}, "must be one of CRITICAL, HIGH, MEDIUM, LOW, INFO; received 'URGENT'"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    """Every bad argument is refused with what must hold and what was received."""
    with pytest.raises(RulesUsageError, match=message):
        RuleSet().add(**{"rule_id": "X", "check": always, **arguments})  # type: ignore[arg-type]


def test_selection_keeps_what_is_required() -> None:
    """Selecting by id, group, tag or severity keeps the requirements of what is selected."""
    assert [one.id for one in RULES.select(ids=["B"])] == ["A", "B"]
    assert [one.id for one in RULES.select(groups=["g"])] == ["A"]
    assert [one.id for one in RULES.select(tags=["slow", "fast"])] == ["A", "C"]
    assert [one.id for one in RULES.select(min_severity="low")] == ["A", "B", "C"]
    assert [one.id for one in RULES.select(min_severity="LOW", tags=["slow"])] == ["C"]
    assert len(RULES.select()) == 3


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"ids": ["Z"]}, "A selected rule must exist in the rule set; received 'Z'. Known: A, B, C"),
        ({"groups": ["h"]}, "A selected group must exist in the rule set; received 'h'. Known: g"),
        ({"tags": ["t"]}, "A selected tag must exist in the rule set; received 't'. Known: fast, slow"),
    ],
)
def test_unknown_selections_are_errors(selection: dict[str, list[str]], message: str) -> None:
    """A typing error in a selection is an error and never an empty run."""
    with pytest.raises(UnknownSelection, match=message):
        RULES.select(**selection)  # type: ignore[arg-type]


def test_shared_inputs_are_checked() -> None:
    """A shared input needs a free name and a known scope."""
    rules = RuleSet()
    rules.shared("trees")(always)
    with pytest.raises(RulesUsageError, match="must be registered once; received 'trees' again"):
        rules.shared("trees")(always)
    with pytest.raises(RulesUsageError, match="received 'index' again"):
        rules.shared("index")(always)
    with pytest.raises(RulesUsageError, match="scope must be 'worker' or 'run'; received 'forever'"):
        rules.shared("x", scope="forever")


def test_sets_that_build_an_input_differently_do_not_mix() -> None:
    """Two sets with an input of one name are joined only when they build it in the same way."""
    one, same, other = RuleSet(), RuleSet(), RuleSet()
    one.shared("trees")(always)
    same.shared("trees")(always)
    other.shared("trees")(marked)
    other.add("X", always)
    one.update(same)
    with pytest.raises(RulesUsageError, match="built in one way; both rule sets have their own 'trees'"):
        one.update(other)
    assert len(one) == 0


def breaks() -> RuleSet:
    """A rule set that cannot be made."""
    raise LookupError("no rules today")


def test_rule_sets_are_loaded_by_name() -> None:
    """``module:NAME`` names a rule set, a function that makes one, or nothing, which means the marked
    functions."""
    assert load("test_rules_set:RULES") is RULES
    assert load("test_rules_set:make") is RULES
    assert len(load("test_rules_set")) == 3
    assert isinstance(RuleSet.from_module(ModuleType("empty")), RuleSet)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:R", "importing 'no_such_module' raised ModuleNotFoundError"),
        ("test_rules_set:NONE", "'test_rules_set:NONE' is None. Rule sets in that module: RULES"),
        ("test_rules_set:pytest", "must name a RuleSet as module:RULES"),
        ("test_rules_set:breaks", "calling 'test_rules_set:breaks' raised LookupError: no rules today"),
    ],
)
def test_names_that_load_nothing_are_errors(name: str, message: str) -> None:
    """A reference that gives no rule set says what it gave instead."""
    with pytest.raises(RulesUsageError, match=message):
        load(name)
