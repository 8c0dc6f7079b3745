"""Rules about pyproject.toml."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from examples.rules.python_repo.inputs import all_trees, answer, packages, table
from optengine.rules import Context, Outcome, RuleSet

RULES = RuleSet()
_NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*([^;]*)")


def normal(name: str) -> str:
    """A distribution name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(ctx: Context) -> Iterator[tuple[str, str, str, str]]:
    """(extra or "", normal name, extras asked for, version specifier) of every declared requirement."""
    data = table(ctx)
    groups = {"": data.get("dependencies", ()), **data.get("optional-dependencies", {})}
    for extra, lines in groups.items():
        for line in lines:
            found = _NAME.match(line)
            if found:
                yield extra, normal(found[1]), (found[2] or "").strip("[]"), found[3].strip()


@RULES.rule("PKG001", severity="CRITICAL", requires=("LAY001",), tags={"packaging"})
def pyproject_is_valid(ctx: Context) -> Outcome:
    """pyproject.toml is valid TOML."""
    error = ctx.shared("project")["error"]
    return ctx.passed("valid") if error is None else ctx.failed(error, {"path": "pyproject.toml"})


@RULES.rule("PKG002", severity="CRITICAL", requires=("PKG001",), tags={"packaging"})
def project_is_named(ctx: Context) -> Outcome:
    """The [project] table names the distribution."""
    name = table(ctx).get("name")
    return ctx.passed(name) if name else ctx.failed("no project.name", {"path": "pyproject.toml"})


@RULES.rule("PKG003", severity="HIGH", requires=("PKG002",), tags={"packaging"})
def has_version(ctx: Context) -> bool:
    """A version is given, or declared dynamic."""
    return "version" in table(ctx) or "version" in table(ctx).get("dynamic", ())


@RULES.rule("PKG004", severity="LOW", requires=("PKG002",), tags={"packaging"})
def has_description(ctx: Context) -> bool:
    """The description is one line of text."""
    text = table(ctx).get("description", "")
    return bool(text.strip()) and "\n" not in text


@RULES.rule("PKG005", severity="HIGH", requires=("PKG002",), tags={"packaging"})
def has_python_bound(ctx: Context) -> str:
    """requires-python has a lower bound and no upper one."""
    bound = table(ctx).get("requires-python", "")
    if ">=" not in bound:
        return f"requires-python must have a lower bound; it is {bound!r}"
    return f"requires-python must not have an upper bound; it is {bound!r}" if "<" in bound else ""


@RULES.rule("PKG006", severity="MEDIUM", requires=("PKG002", "LAY002"), tags={"packaging"})
def readme_is_shown(ctx: Context) -> Outcome:
    """project.readme names a file that exists."""
    readme = table(ctx).get("readme")
    path = readme if isinstance(readme, str) else (readme or {}).get("file", "")
    good = bool(path) and ctx.fs.is_file(path)
    return ctx.passed(path) if good else ctx.failed(f"project.readme must name a file; it is {path!r}")


@RULES.rule("PKG007", severity="MEDIUM", requires=("PKG002", "LAY003"), tags={"packaging", "licence"})
def licence_is_declared(ctx: Context) -> Outcome:
    """project.license is an SPDX expression and license-files match something."""
    expression, files = table(ctx).get("license"), table(ctx).get("license-files", ())
    if not isinstance(expression, str):
        return ctx.failed(f"project.license must be an SPDX expression; it is {expression!r}")
    missing = [pattern for pattern in files if not ctx.fs.glob(pattern)]
    return ctx.failed(f"license-files match nothing: {missing}") if missing else ctx.passed(expression)


@RULES.rule("PKG008", severity="HIGH", requires=("PKG001",), tags={"packaging"})
def build_system(ctx: Context) -> bool:
    """The build back end and its requirements are declared."""
    system = table(ctx, "build-system")
    return bool(system.get("build-backend")) and bool(system.get("requires"))


@RULES.rule("PKG009", severity="LOW", requires=("PKG005",), tags={"packaging"})
def classifiers_agree(ctx: Context) -> Outcome:
    """Python versions in the classifiers are within requires-python, and there is at least one."""
    lowest = re.search(r">=\s*3\.(\d+)", table(ctx)["requires-python"])
    pattern = re.compile(r"Programming Language :: Python :: 3\.(\d+)$")
    minors = [int(found[1]) for one in table(ctx).get("classifiers", ()) if (found := pattern.match(one))]
    bad = [minor for minor in minors if lowest and minor < int(lowest[1])]
    if not minors or bad:
        return ctx.failed(
            f"classifiers list Python 3.{bad or minors} against {table(ctx)['requires-python']}"
        )
    return ctx.passed(f"Python 3.{minors}", evidence={"minors": minors})


@RULES.rule("PKG010", severity="MEDIUM", requires=("PKG002",), tags={"packaging"})
def dependencies_have_bounds(ctx: Context) -> Outcome:
    """Every dependency has a lower bound."""
    own = normal(table(ctx)["name"])
    bare = [
        name
        for _, name, _, bound in requirements(ctx)
        if ">" not in bound and "=" not in bound and name != own
    ]
    return answer(ctx, [("pyproject.toml", 1, name) for name in bare], "every dependency has a lower bound")


@RULES.rule("PKG011", severity="LOW", requires=("PKG002",), tags={"packaging"})
def dependencies_are_unique(ctx: Context) -> Outcome:
    """No dependency is listed twice in one place."""
    seen: set[tuple[str, str, str]] = set()
    twice = []
    for extra, name, extras, _ in requirements(ctx):
        if (extra, name, extras) in seen:
            twice.append(("pyproject.toml", 1, f"{name} twice in {extra or 'dependencies'}"))
        seen.add((extra, name, extras))
    return answer(ctx, twice, "no dependency twice")


@RULES.rule("PKG012", severity="HIGH", requires=("PKG002",), tags={"packaging"})
def own_extras_exist(ctx: Context) -> Outcome:
    """Extras that refer to the project's own extras name ones that exist."""
    own, known = normal(table(ctx)["name"]), set(table(ctx).get("optional-dependencies", {}))
    asked = {
        one.strip() for _, name, extras, _ in requirements(ctx) if name == own for one in extras.split(",")
    }
    bad = asked - known - {""}
    return answer(ctx, [("pyproject.toml", 1, f"no extra {one!r}") for one in bad], "own extras exist")


@RULES.rule("PKG013", severity="MEDIUM", requires=("PKG002",), tags={"packaging"})
def nothing_is_pinned(ctx: Context) -> Outcome:
    """A library pins no dependency to one version."""
    pinned = [name for _, name, _, bound in requirements(ctx) if "==" in bound and "*" not in bound]
    return answer(ctx, [("pyproject.toml", 1, f"{name} is pinned") for name in pinned], "nothing is pinned")


@RULES.rule(
    "PKG014", severity="HIGH", requires=("PKG002", "AST001", "LAY007"), group="python-ast", tags={"packaging"}
)
def scripts_exist(ctx: Context) -> Outcome:
    """Console scripts name a function that exists in a module that exists."""
    problems = []
    for script, target in table(ctx).get("scripts", {}).items():
        module, _, function = target.partition(":")
        tree = _module(ctx, module)
        names = (
            {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            if tree is not None
            else set()
        )
        if function not in names:
            problems.append(("pyproject.toml", 1, f"{script}: {target} does not exist"))
    return answer(ctx, problems, "every console script exists")


@RULES.rule(
    "PKG015", severity="HIGH", requires=("PKG002", "AST001", "LAY007"), group="python-ast", tags={"packaging"}
)
def entry_points_exist(ctx: Context) -> Outcome:
    """Entry points name a module that exists."""
    groups = table(ctx).get("entry-points", {})
    targets = [(name, target) for points in groups.values() for name, target in points.items()]
    bad = [
        ("pyproject.toml", 1, f"{name}: {target} does not exist")
        for name, target in targets
        if _module(ctx, target.partition(":")[0]) is None
    ]
    return answer(ctx, bad, f"{len(targets)} entry points exist")


def _module(ctx: Context, name: str) -> ast.Module | None:
    trees = all_trees(ctx)
    for top in packages(ctx):
        parent = top.rpartition("/")[0]
        base = "/".join(part for part in (parent, *name.split(".")) if part)
        for path in (f"{base}.py", f"{base}/__init__.py"):
            if path in trees:
                return trees[path]
    return None
