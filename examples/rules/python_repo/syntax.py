"""Rules about the syntax trees of the shipped packages."""

from __future__ import annotations

import ast
from collections import Counter

from examples.rules.python_repo.inputs import Place, answer, nodes, package_trees
from optengine.rules import Context, Outcome, RuleSet

RULES = RuleSet()
GROUP = "python-ast"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_MAX_LINES = 600
_MAX_FUNCTION_LINES = 120
_MAX_ARGUMENTS = 16


@RULES.rule("AST001", severity="CRITICAL", requires=("PKG001",), group=GROUP, tags={"syntax"})
def everything_parses(ctx: Context) -> Outcome:
    """Every Python file parses."""
    trees = ctx.shared("trees")
    bad = [(path, one.lineno or 1, one.msg) for path, one in trees.items() if isinstance(one, SyntaxError)]
    return answer(ctx, bad, f"{len(trees)} files parse")


@RULES.rule("AST002", severity="HIGH", requires=("AST001",), group=GROUP, tags={"syntax"})
def no_bare_except(ctx: Context) -> Outcome:
    """No handler catches everything without saying so."""
    found = nodes(package_trees(ctx), ast.ExceptHandler)
    return answer(
        ctx, [(path, node.lineno, "bare except") for path, node in found if node.type is None], "none"
    )


@RULES.rule("AST003", severity="HIGH", requires=("AST001",), group=GROUP, tags={"syntax"})
def no_mutable_defaults(ctx: Context) -> Outcome:
    """No argument has a list, dict or set as its default."""
    bad = []
    for path, node in nodes(package_trees(ctx), *_FUNCTIONS, ast.Lambda):
        defaults = [*node.args.defaults, *(one for one in node.args.kw_defaults if one is not None)]
        bad += [
            (path, one.lineno, "mutable default")
            for one in defaults
            if isinstance(one, ast.List | ast.Dict | ast.Set)
        ]
    return answer(ctx, bad, "none")


@RULES.rule("AST004", severity="CRITICAL", requires=("AST001",), group=GROUP, tags={"syntax", "security"})
def no_eval(ctx: Context) -> Outcome:
    """Nothing calls eval or exec."""
    return answer(ctx, _calls_of(ctx, {"eval", "exec"}), "none")


@RULES.rule("AST005", severity="MEDIUM", requires=("AST001",), group=GROUP, tags={"syntax"})
def no_star_imports(ctx: Context) -> Outcome:
    """No module imports everything of another."""
    found = nodes(package_trees(ctx), ast.ImportFrom)
    bad = [
        (path, node.lineno, "import *") for path, node in found if any(one.name == "*" for one in node.names)
    ]
    return answer(ctx, bad, "none")


@RULES.rule("AST006", severity="HIGH", requires=("AST001",), group=GROUP, tags={"syntax"})
def no_assert_on_tuple(ctx: Context) -> Outcome:
    """No assert tests a tuple, which is always true."""
    found = nodes(package_trees(ctx), ast.Assert)
    bad = [
        (path, one.lineno, "always true")
        for path, one in found
        if isinstance(one.test, ast.Tuple) and one.test.elts
    ]
    return answer(ctx, bad, "none")


@RULES.rule("AST007", severity="LOW", requires=("AST001",), group=GROUP, tags={"syntax"})
def no_print(ctx: Context) -> Outcome:
    """Library code does not print."""
    return answer(ctx, _calls_of(ctx, {"print", "breakpoint"}), "none")


@RULES.rule("AST008", severity="MEDIUM", requires=("AST001",), group=GROUP, tags={"syntax"})
def none_by_identity(ctx: Context) -> Outcome:
    """None is compared by identity."""
    bad = []
    for path, node in nodes(package_trees(ctx), ast.Compare):
        sides = [node.left, *node.comparators]
        equality = any(isinstance(one, ast.Eq | ast.NotEq) for one in node.ops)
        if equality and any(isinstance(one, ast.Constant) and one.value is None for one in sides):
            bad.append((path, node.lineno, "== None"))
    return answer(ctx, bad, "none")


@RULES.rule("AST009", severity="CRITICAL", requires=("AST001",), group=GROUP, tags={"syntax", "security"})
def no_shell(ctx: Context) -> Outcome:
    """No subprocess is started through a shell."""
    bad = []
    for path, node in nodes(package_trees(ctx), ast.Call):
        shell = any(
            one.arg == "shell" and isinstance(one.value, ast.Constant) and one.value.value is True
            for one in node.keywords
        )
        if shell or ast.unparse(node.func) in ("os.system", "os.popen"):
            bad.append((path, node.lineno, "shell"))
    return answer(ctx, bad, "none")


@RULES.rule("AST010", severity="HIGH", requires=("AST001",), group=GROUP, tags={"syntax"})
def no_duplicate_keys(ctx: Context) -> Outcome:
    """No dict display has a constant key twice."""
    bad = []
    for path, node in nodes(package_trees(ctx), ast.Dict):
        counts = Counter(repr(key.value) for key in node.keys if isinstance(key, ast.Constant))
        bad += [(path, node.lineno, f"key {key} twice") for key, count in counts.items() if count > 1]
    return answer(ctx, bad, "none")


@RULES.rule("AST011", severity="HIGH", requires=("AST001",), group=GROUP, tags={"syntax"})
def nothing_leaves_finally(ctx: Context) -> Outcome:
    """No finally block returns, which would swallow the exception."""
    bad = []
    for path, node in nodes(package_trees(ctx), ast.Try):
        inner = [one for part in node.finalbody for one in ast.walk(part)]
        bad += [(path, one.lineno, "return in finally") for one in inner if isinstance(one, ast.Return)]
    return answer(ctx, bad, "none")


@RULES.rule("AST012", severity="LOW", requires=("AST001",), group=GROUP, tags={"syntax", "size"})
def functions_fit(ctx: Context) -> Outcome:
    """No function is longer than 120 lines."""
    found = nodes(package_trees(ctx), *_FUNCTIONS)
    sizes = [
        (path, one.lineno, (one.end_lineno or one.lineno) - one.lineno + 1, one.name) for path, one in found
    ]
    bad = [
        (path, line, f"{name}: {size} lines")
        for path, line, size, name in sizes
        if size > _MAX_FUNCTION_LINES
    ]
    return answer(ctx, bad, f"{len(sizes)} functions within {_MAX_FUNCTION_LINES} lines")


@RULES.rule("AST013", severity="MEDIUM", requires=("AST001",), group=GROUP, tags={"syntax", "size"})
def modules_fit(ctx: Context) -> Outcome:
    """No module is longer than 600 lines."""
    sizes = {path: ctx.fs.read(path).count("\n") for path in package_trees(ctx)}
    bad = [(path, size, f"{size} lines") for path, size in sizes.items() if size > _MAX_LINES]
    return answer(ctx, bad, f"{len(sizes)} modules within {_MAX_LINES} lines")


@RULES.rule("AST014", severity="MEDIUM", requires=("AST001",), group=GROUP, tags={"syntax"})
def errors_are_not_swallowed(ctx: Context) -> Outcome:
    """No handler of Exception or BaseException only passes."""
    bad = []
    for path, node in nodes(package_trees(ctx), ast.ExceptHandler):
        broad = isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
        if broad and all(isinstance(one, ast.Pass) for one in node.body):
            bad.append((path, node.lineno, "swallows everything"))
    return answer(ctx, bad, "none")


@RULES.rule("AST015", severity="LOW", requires=("AST001",), group=GROUP, tags={"syntax"})
def fstrings_have_fields(ctx: Context) -> Outcome:
    """No f-string is without a field."""
    bad: list[Place] = []
    for path, tree in package_trees(ctx).items():
        inner = {
            id(one)
            for node in ast.walk(tree)
            if isinstance(node, ast.FormattedValue) and node.format_spec is not None
            for one in ast.walk(node.format_spec)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr) and id(node) not in inner:
                parts = [one for one in node.values if isinstance(one, ast.FormattedValue)]
                bad += [] if parts else [(path, node.lineno, "f-string without a field")]
    return answer(ctx, bad, "none")


@RULES.rule("AST016", severity="MEDIUM", requires=("AST001",), group=GROUP, tags={"syntax"})
def no_dead_code(ctx: Context) -> Outcome:
    """Nothing follows return, raise, break or continue in the same block."""
    bad = []
    for path, tree in package_trees(ctx).items():
        for node in ast.walk(tree):
            for name in ("body", "orelse", "finalbody"):
                block = getattr(node, name, None)
                for one in block[:-1] if isinstance(block, list) else ():
                    if isinstance(one, ast.Return | ast.Raise | ast.Break | ast.Continue):
                        bad.append((path, one.lineno, "code after it is never run"))
    return answer(ctx, bad, "none")


@RULES.rule("AST017", severity="LOW", requires=("AST001",), group=GROUP, tags={"syntax", "size"})
def few_arguments(ctx: Context) -> Outcome:
    """No function takes more than 16 arguments."""
    bad = []
    for path, node in nodes(package_trees(ctx), *_FUNCTIONS):
        count = len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)
        if count > _MAX_ARGUMENTS:
            bad.append((path, node.lineno, f"{node.name}: {count} arguments"))
    return answer(ctx, bad, "none")


@RULES.rule("AST018", severity="MEDIUM", requires=("AST001",), group=GROUP, tags={"syntax"})
def encodings_are_named(ctx: Context) -> Outcome:
    """No open() of a text file leaves the encoding to the machine."""
    bad = []
    for path, node in nodes(package_trees(ctx), ast.Call):
        if not (isinstance(node.func, ast.Name) and node.func.id == "open"):
            continue
        mode = node.args[1] if len(node.args) > 1 else None
        binary = isinstance(mode, ast.Constant) and "b" in str(mode.value)
        named = any(one.arg in ("encoding", "mode", None) for one in node.keywords)
        if not binary and not named:
            bad.append((path, node.lineno, "open() without encoding"))
    return answer(ctx, bad, "none")


def _calls_of(ctx: Context, names: set[str]) -> list[Place]:
    found = nodes(package_trees(ctx), ast.Call)
    return [
        (path, node.lineno, f"{node.func.id}()")
        for path, node in found
        if isinstance(node.func, ast.Name) and node.func.id in names
    ]
