"""Rules about the tests and the types."""

from __future__ import annotations

import ast

from examples.rules.python_repo.inputs import all_trees, answer, nodes, package_trees, table
from optengine.rules import Context, Outcome, RuleSet

RULES = RuleSet()
GROUP = "python-ast"
_NEEDS = ("AST001", "LAY004")


def test_trees(ctx: Context) -> dict[str, ast.Module]:
    """Trees of the test modules."""
    return {
        path: tree
        for path, tree in all_trees(ctx).items()
        if path.startswith("tests/") and path.rpartition("/")[2].startswith("test_")
    }


@RULES.rule("TST001", severity="HIGH", requires=_NEEDS, group=GROUP, tags={"tests"})
def modules_hold_tests(ctx: Context) -> Outcome:
    """Every test module holds a test, or a class that inherits some."""
    bad = []
    for path, tree in test_trees(ctx).items():
        names = [
            node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        classes = [
            node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test")
        ]
        if not classes and not any(name.startswith("test_") for name in names):
            bad.append((path, 1, "no test"))
    return answer(ctx, bad, "every test module holds tests")


@RULES.rule("TST002", severity="LOW", requires=("TST001",), group=GROUP, tags={"tests", "docs"})
def tests_state_what_they_expect(ctx: Context) -> Outcome:
    """Every test has a docstring."""
    bad = []
    for path, tree in test_trees(ctx).items():
        classes = [node.body for node in tree.body if isinstance(node, ast.ClassDef)]
        for one in (node for body in (tree.body, *classes) for node in body):
            function = isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name.startswith(
                "test_"
            )
            if function and not ast.get_docstring(one):
                bad.append((path, one.lineno, one.name))
    return answer(ctx, bad, "every test says what it expects")


@RULES.rule("TST003", severity="HIGH", requires=("TST001",), group=GROUP, tags={"tests"})
def no_mocks(ctx: Context) -> Outcome:
    """No test imports unittest.mock."""
    bad = []
    for path, node in nodes(test_trees(ctx), ast.Import, ast.ImportFrom):
        names = {one.name for one in node.names}
        module = getattr(node, "module", "") or ""
        if "unittest.mock" in {module, *names} or (module == "unittest" and "mock" in names):
            bad.append((path, node.lineno, "unittest.mock"))
    return answer(ctx, bad, "none")


@RULES.rule("TST004", severity="MEDIUM", requires=("TST001",), group=GROUP, tags={"tests"})
def skips_have_reasons(ctx: Context) -> Outcome:
    """Every skip says why."""
    bad = []
    for path, node in nodes(test_trees(ctx), ast.Call):
        name = ast.unparse(node.func)
        if (
            name.endswith(("mark.skip", "mark.skipif"))
            and not any(one.arg == "reason" for one in node.keywords)
        ) or (name == "pytest.skip" and not node.args and not node.keywords):
            bad.append((path, node.lineno, name))
    return answer(ctx, bad, "every skip says why")


@RULES.rule("TYP001", severity="MEDIUM", requires=("PKG001",), tags={"types"})
def mypy_is_strict(ctx: Context) -> bool:
    """mypy is set to strict in pyproject.toml."""
    return bool(table(ctx, "tool").get("mypy", {}).get("strict"))


@RULES.rule("TYP002", severity="LOW", requires=("TYP001", "AST001", "LAY009"), group=GROUP, tags={"types"})
def public_functions_are_annotated(ctx: Context) -> Outcome:
    """Public functions of typed packages annotate what they return."""
    bad = []
    for path, tree in package_trees(ctx).items():
        for one in tree.body:
            if (
                isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
                and not one.name.startswith("_")
                and one.returns is None
            ):
                bad.append((path, one.lineno, one.name))
    return answer(ctx, bad, "every public function is annotated")
