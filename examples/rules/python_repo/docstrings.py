"""Rules about docstrings and the README."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from examples.rules.python_repo.inputs import answer, package_trees
from optengine.rules import Context, Outcome, RuleSet
from optengine.rules.parsing import parse_python

RULES = RuleSet()
GROUP = "python-ast"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def public(tree: ast.Module, kinds: tuple[type[ast.AST], ...]) -> Iterator[Any]:
    """Public definitions at the top of a module."""
    for node in tree.body:
        if isinstance(node, kinds) and not node.name.startswith("_"):  # type: ignore[attr-defined]
            yield node


@RULES.rule("DOC001", severity="MEDIUM", requires=("AST001",), group=GROUP, tags={"docs"})
def modules_are_documented(ctx: Context) -> Outcome:
    """Every module with code says what it holds."""
    trees = package_trees(ctx)
    bad = [
        (path, 1, "no docstring") for path, tree in trees.items() if tree.body and not ast.get_docstring(tree)
    ]
    return answer(ctx, bad, f"{len(trees)} modules documented")


@RULES.rule("DOC002", severity="MEDIUM", requires=("DOC001",), group=GROUP, tags={"docs"})
def classes_are_documented(ctx: Context) -> Outcome:
    """Every public class says what it is."""
    bad = []
    for path, tree in package_trees(ctx).items():
        found = public(tree, (ast.ClassDef,))
        bad += [(path, one.lineno, one.name) for one in found if not ast.get_docstring(one)]
    return answer(ctx, bad, "every public class is documented")


@RULES.rule("DOC003", severity="MEDIUM", requires=("DOC001",), group=GROUP, tags={"docs"})
def functions_are_documented(ctx: Context) -> Outcome:
    """Every public function says what it returns or does; overload variants need not."""
    bad = []
    for path, tree in package_trees(ctx).items():
        for one in public(tree, _FUNCTIONS):
            overload = any(ast.unparse(mark).endswith("overload") for mark in one.decorator_list)
            if not overload and not ast.get_docstring(one):
                bad.append((path, one.lineno, one.name))
    return answer(ctx, bad, "every public function is documented")


@RULES.rule("DOC004", severity="LOW", requires=("DOC002", "DOC003"), group=GROUP, tags={"docs"})
def docstrings_begin_with_a_line(ctx: Context) -> Outcome:
    """Docstrings begin with text on their first line."""
    bad = []
    for path, tree in package_trees(ctx).items():
        for one in public(tree, (*_FUNCTIONS, ast.ClassDef)):
            text = ast.get_docstring(one, clean=False)
            if text is not None and not text.partition("\n")[0].strip():
                bad.append((path, one.lineno, one.name))
    return answer(ctx, bad, "every docstring begins with a line")


@RULES.rule("DOC005", severity="LOW", requires=("LAY002",), tags={"docs"})
def readme_tells_how_to_install(ctx: Context) -> bool:
    """The README says how to install."""
    return "install" in ctx.fs.read(ctx.result("LAY002").evidence["path"]).lower()


@RULES.rule("DOC006", severity="MEDIUM", requires=("LAY002",), tags={"docs"})
def readme_links_resolve(ctx: Context) -> Outcome:
    """Links of the README to files of the repository name files that exist."""
    path = ctx.result("LAY002").evidence["path"]
    lines = list(enumerate(ctx.fs.read(path).split("\n"), start=1))
    links = [
        (number, link) for number, line in lines for link in _LINK.findall(line) if not link.startswith("/")
    ]
    bad = [(path, number, f"{link} does not exist") for number, link in links if not ctx.fs.exists(link)]
    return answer(ctx, bad, f"{len(links)} links resolve")


@RULES.rule("DOC007", severity="MEDIUM", requires=("LAY002",), tags={"docs"})
def readme_examples_parse(ctx: Context) -> Outcome:
    """Python examples in the README parse."""
    path = ctx.result("LAY002").evidence["path"]
    blocks = re.findall(r"^```python\n(.*?)^```", ctx.fs.read(path), re.DOTALL | re.MULTILINE)
    bad = []
    for number, block in enumerate(blocks, start=1):
        try:
            parse_python(block)
        except SyntaxError as error:
            bad.append((path, 1, f"example {number}: {error.msg}"))
    return answer(ctx, bad, f"{len(blocks)} examples parse")
