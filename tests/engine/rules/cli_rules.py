"""Rule sets for the tests of the command line."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from optengine.rules import Context, Outcome, RuleSet

CLEAN = RuleSet()
MIXED = RuleSet()
CYCLE = RuleSet()
MISSING = RuleSet()
EMPTY = RuleSet()
FORGOTTEN = RuleSet()


@CLEAN.rule("OK", severity="HIGH", group="g", tags={"t"})
@MIXED.rule("OK", severity="HIGH")
def is_there(ctx: Context) -> Outcome:
    """The file a.txt is there."""
    return (
        ctx.passed("found") if ctx.fs.exists("a.txt") else ctx.failed("a.txt is missing", {"path": "a.txt"})
    )


@MIXED.rule("BAD", severity="MEDIUM")
def is_empty(ctx: Context) -> Outcome:
    """There is nothing."""
    return ctx.failed("something is there", {"path": ctx.fs.listdir()[0]})


@FORGOTTEN.rule("GONE", severity="HIGH")
def forgets(ctx: Context) -> None:
    """The file a.txt is there."""
    ctx.fs.exists("a.txt")


HANGS = RuleSet()


@HANGS.rule("HANGS")
def hangs(ctx: Context) -> bool:
    """Says that it has begun, and waits for a minute."""
    Path(os.environ["OPTENGINE_TEST_BEGUN"]).touch()
    time.sleep(60)
    return True


LETTERS = RuleSet()


@LETTERS.rule("LETTERS")
def has_letters(ctx: Context) -> str:
    """Complains in letters that not every stream can hold."""
    return "\xe9\u2026 \udcff"


CYCLE.add("A", is_there, requires=["B"])
CYCLE.add("B", is_there, requires=["A"])
MISSING.add("A", is_there, requires=["NONE"])


def leave() -> RuleSet:
    """Ends the program instead of giving a rule set."""
    sys.exit(0)


def twice() -> RuleSet:
    """A rule set with an id used twice."""
    rules = RuleSet()
    rules.add("A", is_there)
    rules.add("A", is_there)
    return rules


EXITS = RuleSet()


@EXITS.shared("leaves", scope="run")
def leaves(ctx: Context) -> object:
    """Ends the program instead of building."""
    sys.exit(0)


@EXITS.rule("USES", severity="HIGH", group="g")
def uses(ctx: Context) -> Outcome:
    """Uses what cannot be built."""
    return ctx.passed(str(ctx.shared("leaves")))
