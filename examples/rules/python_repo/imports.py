"""Rules about imports: that they resolve, are declared, and do not run in circles."""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Iterator

from examples.rules.python_repo.inputs import answer, nodes, package_trees, packages, table
from examples.rules.python_repo.packaging import normal, requirements
from optengine.rules import Context, Outcome, RuleSet

RULES = RuleSet()
GROUP = "python-ast"
#: Import names that differ from the name of the distribution.
_DISTRIBUTIONS = {"yaml": "pyyaml", "sklearn": "scikit-learn", "PIL": "pillow", "dateutil": "python-dateutil"}


def modules(ctx: Context) -> dict[str, str]:
    """Path of every shipped module by its import name."""
    found = {}
    for top in packages(ctx):
        parent = top.rpartition("/")[0]
        for path in package_trees(ctx):
            if path.startswith(f"{top}/"):
                name = path[len(parent) + 1 if parent else 0 : -3].replace("/", ".")
                found[name.removesuffix(".__init__")] = path
    return found


def imported(name: str, path: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Absolute names that an import statement in the module *name* names."""
    if isinstance(node, ast.Import):
        yield from (one.name for one in node.names)
        return
    base = node.module or ""
    if node.level:
        package = name if path.endswith("/__init__.py") else name.rpartition(".")[0]
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
    yield from (f"{base}.{one.name}" for one in node.names)


@RULES.rule("IMP001", severity="HIGH", requires=("AST001", "LAY007"), group=GROUP, tags={"imports"})
def own_imports_resolve(ctx: Context) -> Outcome:
    """Imports of the project's own modules name modules that exist."""
    known = modules(ctx)
    tops = {name.partition(".")[0] for name in known}
    bad = []
    for name, path in known.items():
        for _, node in nodes({path: package_trees(ctx)[path]}, ast.Import, ast.ImportFrom):
            for target in imported(name, path, node):
                parent = target.rpartition(".")[0]
                if target.partition(".")[0] in tops and target not in known and parent not in known:
                    bad.append((path, node.lineno, f"{target} does not exist"))
    return answer(ctx, bad, f"imports of {len(known)} modules resolve")


@RULES.rule("IMP002", severity="HIGH", requires=("IMP001",), group=GROUP, tags={"imports"})
def no_import_cycles(ctx: Context) -> Outcome:
    """Imports at the top of modules do not run in a circle."""
    known = modules(ctx)
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        needed = set()
        for node in package_trees(ctx)[path].body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for target in imported(name, path, node):
                    # "from package import module" needs the module, "from module import name" the module
                    # itself.
                    needed.add(target if target in known else target.rpartition(".")[0])
        graph[name] = {
            one for one in needed if one in known and one != name and not name.startswith(f"{one}.")
        }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return ctx.failed(" -> ".join(error.args[1]), evidence={"cycle": error.args[1]})
    return ctx.passed(f"{len(graph)} modules without a circle")


@RULES.rule(
    "IMP003", severity="HIGH", requires=("AST001", "PKG002"), group=GROUP, tags={"imports", "packaging"}
)
def imports_are_declared(ctx: Context) -> Outcome:
    """Every third-party package that is imported is a declared dependency or in an extra."""
    declared = {name for _, name, _, _ in requirements(ctx)} | {normal(table(ctx)["name"])}
    own = {one.rpartition("/")[2] for one in packages(ctx)}
    bad = []
    for path, node in nodes(package_trees(ctx), ast.Import, ast.ImportFrom):
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        for top in {name.partition(".")[0] for name in names if not getattr(node, "level", 0)}:
            if (
                top in sys.stdlib_module_names
                or top in own
                or normal(_DISTRIBUTIONS.get(top, top)) in declared
            ):
                continue
            bad.append((path, node.lineno, f"{top} is not declared"))
    return answer(ctx, bad, "every import is declared")


@RULES.rule("IMP004", severity="HIGH", requires=("AST001",), group=GROUP, tags={"imports"})
def public_names_exist(ctx: Context) -> Outcome:
    """Names in __all__ are defined, unless the module answers for them with __getattr__."""
    bad = []
    for path, tree in package_trees(ctx).items():
        defined = {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                defined.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                defined.update((one.asname or one.name).partition(".")[0] for one in node.names)
        if "__getattr__" not in defined:
            bad += [
                (path, line, f"{name} is not defined") for name, line in _public(tree) if name not in defined
            ]
    return answer(ctx, bad, "every name in __all__ is defined")


@RULES.rule("IMP005", severity="HIGH", requires=("AST001", "LAY004"), group=GROUP, tags={"imports", "tests"})
def packages_do_not_import_tests(ctx: Context) -> Outcome:
    """Shipped code imports nothing from tests, benchmarks or examples."""
    bad = []
    for path, node in nodes(package_trees(ctx), ast.Import, ast.ImportFrom):
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        tops = {name.partition(".")[0] for name in names if not getattr(node, "level", 0)}
        bad += [(path, node.lineno, f"imports {top}") for top in tops & {"tests", "benchmarks", "examples"}]
    return answer(ctx, bad, "none")


@RULES.rule("IMP006", severity="MEDIUM", requires=("LAY007",), tags={"imports", "names"})
def no_shadowed_modules(ctx: Context) -> Outcome:
    """No shipped top-level package has the name of a standard module."""
    bad = [
        (one, 1, "shadows the standard library")
        for one in packages(ctx)
        if one.rpartition("/")[2] in sys.stdlib_module_names
    ]
    return answer(ctx, bad, "none")


def _public(tree: ast.Module) -> list[tuple[str, int]]:
    found = []
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        named = any(isinstance(one, ast.Name) and one.id == "__all__" for one in targets)
        if named and isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.Tuple):
            found += [(one.value, one.lineno) for one in node.value.elts if isinstance(one, ast.Constant)]
    return found
