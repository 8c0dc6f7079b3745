"""The digest of a rule's code changes with everything its answer can depend on, and with nothing else."""

from __future__ import annotations

import functools
import importlib
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from optengine.rules import code
from optengine.rules.errors import Undigestable

BASE = '''
"""A module with a rule."""
import rule_parts
from rule_pack import inner
LIMIT = 3
TABLE = {"b": {2, 1}, "a": (1, None)}

def helper(value):
    return value < LIMIT

def rule(ctx, bound=5):
    return helper(len(ctx.fs.listdir())) and rule_parts.check(bound)

def late(ctx):
    import rule_late
    return rule_late.VALUE
'''


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[..., ModuleType]]:
    """Write modules below a temporary folder and import them afresh."""
    sys.path.insert(0, str(tmp_path))
    names = ["rule_main", "rule_parts", "rule_pack", "rule_pack.inner", "rule_pack.deep", "rule_late"]

    def write(**sources: str) -> ModuleType:
        texts = {
            "rule_main": BASE,
            "rule_parts": "def check(bound):\n    return bound > 1\n",
            "rule_pack/__init__": "",
            "rule_pack/inner": "from . import deep\nfrom .deep import VALUE\n",
            "rule_pack/deep": "VALUE = 1\n",
            "rule_late": "VALUE = 1\n",
            **{
                name.replace("__", "/", 1) if name.startswith("rule_pack__") else name: text
                for name, text in sources.items()
            },
        }
        for name, text in texts.items():
            file = tmp_path / f"{name}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        for name in names:
            sys.modules.pop(name, None)
        for stale in tmp_path.rglob("__pycache__"):
            for one in stale.iterdir():
                one.unlink()
        importlib.invalidate_caches()
        return importlib.import_module("rule_main")

    yield write
    sys.path.remove(str(tmp_path))
    for name in names:
        sys.modules.pop(name, None)


def test_the_same_code_has_the_same_digest(load: Callable[..., ModuleType]) -> None:
    """Loading the same sources again gives the same digest."""
    assert code.of_callable(load().rule) == code.of_callable(load().rule)


@pytest.mark.parametrize(
    "change",
    [
        {"rule_main": BASE.replace("LIMIT = 3", "LIMIT = 4")},
        {"rule_main": BASE.replace("value < LIMIT", "value <= LIMIT")},
        {"rule_main": BASE.replace("bound=5", "bound=6")},
        {"rule_main": BASE.replace("{2, 1}", "{2, 3}")},
        {"rule_parts": "def check(bound):\n    return bound > 2\n"},
        {"rule_pack__inner": "from . import deep\nfrom .deep import VALUE\nOTHER = 1\n"},
        {"rule_pack__deep": "VALUE = 2\n"},
        {"rule_late": "VALUE = 2\n"},
    ],
)
def test_every_change_of_code_is_noticed(load: Callable[..., ModuleType], change: dict[str, str]) -> None:
    """A change of the rule, its constants, defaults, helpers, or of any module it imports changes the
    digest."""
    before = code.of_callable(load().rule)
    assert code.of_callable(load(**change).rule) != before


def make(limit: object) -> Callable[[object], bool]:
    def check(ctx: object) -> bool:
        return ctx == limit

    return check


class Check:
    """A rule as an object."""

    def __init__(self, limit: object) -> None:
        self.limit = limit

    def __call__(self, ctx: object) -> bool:
        return ctx == self.limit

    def method(self, ctx: object) -> bool:
        return ctx == self.limit


class Slotted:
    """A rule with slots."""

    __slots__ = ("limit",)

    def __init__(self, limit: object) -> None:
        self.limit = limit

    def __call__(self, ctx: object) -> bool:
        return ctx == self.limit


@pytest.mark.parametrize(
    "wrap",
    [
        *(make, Check, Slotted, lambda x: Check(x).method, lambda x: functools.partial(make, x)),
        lambda x: [x].count,
    ],
)
def test_the_state_of_a_rule_is_part_of_it(wrap: Callable[[object], object]) -> None:
    """Values closed over, attributes, slots and bound arguments count by value."""
    assert code.of_callable(wrap(1)) == code.of_callable(wrap(1))
    assert code.of_callable(wrap(1)) != code.of_callable(wrap(2))
    assert code.of_callable(wrap([1, {"a": {3, 1}}])) == code.of_callable(wrap([1, {"a": {1, 3}}]))
    assert code.of_callable(wrap(re.compile("a"))) != code.of_callable(wrap(re.compile("b")))
    assert code.of_callable(wrap(Path("a"))) != code.of_callable(wrap("a"))
    assert code.of_callable(wrap(1)) != code.of_callable(wrap(True))


class Named(list[int]):
    """A container with an attribute of its own."""

    def __init__(self, name: str) -> None:
        super().__init__([1])
        self.name = name


def test_containers_count_with_their_attributes() -> None:
    """An attribute of a container's subclass is part of the state too."""
    assert code.of_callable(make(Named("a"))) != code.of_callable(make(Named("b")))


@pytest.mark.parametrize("state", [threading.Lock(), logging.getLogger("x"), iter([1]), sys.stdout])
def test_live_objects_have_no_digest(state: object) -> None:
    """A rule that holds a live object cannot be digested and says which object it is."""
    with pytest.raises(Undigestable, match="cannot be hashed"):
        code.of_callable(make(state))


def interactive(source: str) -> Any:
    """What *source* defines as ``rule`` in a module without a file, as at a prompt."""
    module = ModuleType("rule_prompt")
    sys.modules["rule_prompt"] = module
    try:
        exec(source, vars(module))
        return code.of_callable(module.rule)
    finally:
        del sys.modules["rule_prompt"]


def test_code_without_a_source_counts_by_its_value() -> None:
    """At a prompt a rule's digest changes with everything it names and with the form of its code."""
    helper = "def rule(ctx, {0}):\n    return sum([a, b])\n"
    assert interactive(helper.format("a, b")) == interactive(helper.format("a, b"))
    assert interactive(helper.format("a, b")) != interactive(helper.format("a, *, b"))
    table = "table = {0}\ndef rule(ctx):\n    return ctx in table\n"
    assert interactive(table.format([1])) != interactive(table.format([2]))


@pytest.mark.parametrize(
    "source",
    [
        "class Rule:\n    def __call__(self, ctx):\n        return True\nrule = Rule()\n",
        "class Helper:\n    most = 1\ndef rule(ctx):\n    return Helper.most\n",
        "import enum\nclass E(enum.Enum):\n    A = 1\none = E.A\ndef rule(ctx):\n    return one.value\n",
        "import types\nlimits = types.SimpleNamespace(most=1)\ndef rule(ctx):\n    return limits.most\n",
    ],
)
def test_classes_without_a_source_have_no_digest(source: str) -> None:
    """What a class does cannot be told when its module has no file, so rules that use it are never cached."""
    with pytest.raises(Undigestable, match="cannot be hashed"):
        interactive(source)


def test_a_function_without_a_module_is_digested() -> None:
    """A function made by exec in a bare namespace belongs to no module, and counts by its code."""
    made: dict[str, Any] = {}
    exec("def rule(ctx):\n    return True\n", made)
    assert made["rule"].__module__ in (None, "builtins")
    assert code.of_callable(made["rule"])


class Shy(str):
    """A text that hides what it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "shy"


def test_a_text_cannot_hide_what_it_is() -> None:
    """A subclass's own repr does not stand for its value."""
    assert code.of_callable(make(Shy("a"))) != code.of_callable(make(Shy("b")))


def test_circular_state_ends() -> None:
    """State that refers to itself is digested once."""
    circle: list[object] = []
    circle.append(circle)
    assert code.of_callable(make(circle)) == code.of_callable(make(circle))


def test_an_edit_after_loading_does_not_relabel_old_code(
    load: Callable[..., ModuleType], tmp_path: Path
) -> None:
    """While the old code is loaded its digest stays, even when the file has new text already."""
    module = load()
    before = code.of_callable(module.rule)
    (tmp_path / "rule_parts.py").write_text("def check(bound):\n    return False\n")
    assert code.of_callable(module.rule) == before


def test_modules_are_found_without_importing_them(load: Callable[..., ModuleType]) -> None:
    """Digesting a rule that imports a module later reads that module's source and does not run it."""
    module = load(rule_late="raise RuntimeError('must not run')\nVALUE = 1\n")
    assert code.of_callable(module.late)
    assert "rule_late" not in sys.modules
