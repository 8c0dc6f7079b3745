"""What every way of running rules must do: subclass :class:`RuleModeCases`, give it a mode, inherit the
tests.

    class TestThreads(RuleModeCases):
        mode = "threads"

The rules are functions of this module, so workers can import them. ``contains_crashes`` says whether a rule
that ends its process is contained for certain; only other processes can do that.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from optengine.rules import Context, Outcome, ProcessPoolValidator, Report, RuleSet, Status


def passes(ctx: Context) -> Outcome:
    """Look at a file and pass."""
    return ctx.passed("seen", evidence={"present": ctx.fs.exists("data/a.txt")})


def fails(ctx: Context) -> Outcome:
    """Fail at a place."""
    return ctx.failed("bad", evidence={"path": "data/a.txt", "line": 2})


def raises(ctx: Context) -> Outcome:
    """Raise an error with a text no encoder likes."""
    raise ValueError(f"broken \udc80 on {len(ctx.fs.listdir('data'))} files")


def leaves(_: Context) -> Outcome:
    """Try to end the program politely."""
    raise SystemExit(3)


def answers_nonsense(_: Context) -> Outcome:
    """Return something that is no answer."""
    return 42  # type: ignore[return-value]


def hangs(ctx: Context) -> Outcome:
    """Wait for something that never comes."""
    ctx.fs.exists("data")
    threading.Event().wait(30)
    return ctx.passed()


def exits(_: Context) -> Outcome:
    """End the process without a word."""
    os._exit(3)


def is_killed(ctx: Context) -> Outcome:
    """End the process by a signal."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(10)
    return ctx.passed()


class Unfriendly:
    """Evidence that cannot be pickled and hides its text."""

    def __reduce__(self) -> Any:
        """Refuse to be pickled."""
        raise TypeError("not to be pickled")

    def __repr__(self) -> str:
        """Refuse to be shown."""
        raise RuntimeError("not to be shown")


def gives_unfriendly_evidence(ctx: Context) -> Outcome:
    """Pass with evidence that no process boundary lets through."""
    evidence = {
        "lock": threading.Lock(),
        "call": lambda: 1,
        "set": {3, 1, 2},
        "nan": float("nan"),
        7: Unfriendly(),
    }
    return ctx.passed("odd", evidence=evidence)


def build_total(ctx: Context) -> dict[str, int]:
    """A shared input: bytes per file of the data folder."""
    return {path: len(ctx.fs.read_bytes(path)) for path in ctx.fs.glob("data/*.txt")}


def build_broken(_: Context) -> object:
    """A shared input that cannot be built."""
    raise LookupError("nothing to build from")


def uses_shared(ctx: Context) -> Outcome:
    """Use both kinds of shared input and the index."""
    sizes, listed = dict(ctx.shared("sizes")), dict(ctx.shared("listed"))
    return ctx.passed(evidence={"sizes": sizes, "same": sizes == listed, "index": list(ctx.shared("index"))})


def uses_broken(ctx: Context) -> Outcome:
    """Use a shared input whose builder raises."""
    return ctx.passed(ctx.shared("broken"))


def uses_result(ctx: Context) -> Outcome:
    """Hand on what the required rule found."""
    return ctx.passed(evidence=ctx.result("passes").evidence)


def returns_true(_: Context) -> bool:
    """Say yes."""
    return True


def returns_false(_: Context) -> bool:
    """Say no."""
    return False


def returns_none(_: Context) -> None:
    """Say nothing."""


def returns_empty(_: Context) -> str:
    """Complain about nothing."""
    return ""


def returns_text(_: Context) -> str:
    """Complain."""
    return "too long"


def make_tree(root: Path) -> Path:
    """A small folder for the rules of this module."""
    (root / "data").mkdir(parents=True, exist_ok=True)
    (root / "data" / "a.txt").write_text("one\ntwo\n")
    (root / "data" / "b.txt").write_text("three\n")
    return root


def make_rules() -> RuleSet:
    """The rules that every mode must judge alike; none of them hangs or ends its process."""
    rules = RuleSet()
    rules.shared("sizes", scope="run")(build_total)
    rules.shared("listed")(build_total)
    rules.shared("broken")(build_broken)
    for check in (passes, fails, raises, leaves, answers_nonsense, gives_unfriendly_evidence):
        rules.add(check.__name__, check)
    plain: Callable[[Context], object]
    for plain in (returns_true, returns_false, returns_none, returns_empty, returns_text):
        rules.add(plain.__name__, plain)
    rules.add("uses_shared", uses_shared, group="files")
    rules.add("uses_broken", uses_broken, group="files")
    rules.add("uses_result", uses_result, requires=["passes"])
    rules.add("after_pass", passes, requires=["passes", "returns_true"])
    rules.add("after_fail", passes, requires=["passes", "fails"])
    rules.add("after_error", passes, requires=["raises"])
    rules.add("after_none", passes, requires=["returns_none"])
    rules.add("after_skip", passes, requires=["after_fail"])
    return rules


EXPECTED: dict[str, Status] = {
    **dict.fromkeys(("passes", "gives_unfriendly_evidence", "returns_true", "returns_empty"), Status.PASS),
    **dict.fromkeys(("uses_shared", "uses_result", "after_pass"), Status.PASS),
    **dict.fromkeys(("fails", "returns_false", "returns_text"), Status.FAIL),
    **dict.fromkeys(("raises", "leaves", "answers_nonsense", "uses_broken"), Status.ERROR),
    **dict.fromkeys(("returns_none", "after_fail", "after_error", "after_none", "after_skip"), Status.SKIP),
}


class RuleModeCases:
    """The tests. Subclasses set ``mode`` and may give more ``options`` of the validator."""

    mode: ClassVar[str]
    contains_crashes: ClassVar[bool] = False

    def options(self) -> dict[str, Any]:
        """Further arguments for the validator."""
        return {}

    def validate(self, root: Path, rules: RuleSet, **more: Any) -> Report:
        """Run *rules* on *root* in the mode under test."""
        options: dict[str, Any] = {
            "mode": self.mode,
            "max_workers": 2,
            "timeout": 20,
            **self.options(),
            **more,
        }
        return ProcessPoolValidator(root, rules, **options).validate()

    def test_every_rule_gets_its_status(self, tmp_path: Path) -> None:
        """Each rule of the common set has exactly one result, in order, with the expected status."""
        rules = make_rules()
        report = self.validate(make_tree(tmp_path), rules)
        assert [one.rule_id for one in report.results] == [rule.id for rule in rules]
        assert {one.rule_id: one.status for one in report.results} == EXPECTED
        assert sum(report.counts.values()) == len(rules)

    def test_verdicts_equal_the_sequential_ones(self, tmp_path: Path) -> None:
        """Status, message and evidence are those of the sequential mode."""
        tree = make_tree(tmp_path)
        reference = ProcessPoolValidator(tree, make_rules(), mode="sequential").validate()
        assert self.validate(tree, make_rules()).verdicts == reference.verdicts

    def test_grouping_changes_no_verdict(self, tmp_path: Path) -> None:
        """One rule per unit gives the same verdicts as grouped units."""
        tree = make_tree(tmp_path)
        alone = self.validate(tree, make_rules(), grouping=False)
        assert alone.verdicts == self.validate(tree, make_rules()).verdicts

    def test_skips_name_what_failed(self, tmp_path: Path) -> None:
        """A skipped rule says which requirement did not pass, and how that ended."""
        report = self.validate(make_tree(tmp_path), make_rules())
        assert report.result("after_fail").reason == "skipped: fails failed"
        assert report.result("after_error").reason == "skipped: raises had an error"
        assert report.result("after_skip").reason == "skipped: after_fail was skipped"

    def test_errors_carry_their_traceback(self, tmp_path: Path) -> None:
        """An ERROR names the exception in its message and shows the rule's line in its reason."""
        report = self.validate(make_tree(tmp_path), make_rules())
        assert report.result("raises").message == "raises raised ValueError: broken \\udc80 on 2 files"
        assert "in raises" in (report.result("raises").reason or "")
        assert "leaves raised SystemExit" in report.result("leaves").message
        assert "LookupError: nothing to build from" in report.result("uses_broken").message

    def test_evidence_names_original_types(self, tmp_path: Path) -> None:
        """Evidence that JSON cannot hold is replaced by notes that name its type."""
        evidence = (
            self.validate(make_tree(tmp_path), make_rules()).result("gives_unfriendly_evidence").evidence
        )
        assert evidence["__type__"] == "dict"
        assert evidence["value"]["set"] == {"__type__": "set", "value": [1, 2, 3]}
        assert evidence["value"]["nan"] == {"__type__": "float", "repr": "nan"}
        assert evidence["value"]["lock"]["__type__"] == "_thread.lock"
        assert "raised RuntimeError" in evidence["value"]["7"]["repr"]

    def test_a_rule_over_its_limit_times_out_alone(self, tmp_path: Path) -> None:
        """A hanging rule is a TIMEOUT that names its limit; rules of its group and its dependents get
        results."""
        rules = RuleSet()
        rules.add("before", passes, group="g")
        rules.add("hangs", hangs, group="g", timeout=0.5)
        rules.add("behind", passes, group="g")
        rules.add("dependent", passes, requires=["hangs"])
        began = time.monotonic()
        report = self.validate(make_tree(tmp_path), rules)
        assert time.monotonic() - began < 25
        assert [one.status for one in report.results] == ["PASS", "TIMEOUT", "PASS", "SKIP"]
        assert report.result("hangs").message == "hangs did not finish within 0.5 s"
        assert "in hangs" in (report.result("hangs").reason or "")
        assert report.result("dependent").reason == "skipped: hangs ended as TIMEOUT"
        assert report.stats.timeouts == 1

    def test_rules_that_end_their_process_cost_only_themselves(self, tmp_path: Path) -> None:
        """Where crashes are contained, a rule that exits or is killed is a CRASH and all others keep their
        results."""
        if not self.contains_crashes:
            return
        rules = RuleSet()
        for number in range(6):
            rules.add(f"good{number}", passes, group="g")
        rules.add("exits", exits, group="g")
        rules.add("is_killed", is_killed, group="g")
        rules.add("dependent", passes, requires=["exits"])
        report = self.validate(make_tree(tmp_path), rules)
        assert [one.status for one in report.results] == ["PASS"] * 6 + ["CRASH", "CRASH", "SKIP"]
        assert report.stats.crashes == 2
        assert report.result("exits").attempts == 2
        assert report.result("dependent").reason == "skipped: exits ended as CRASH"
