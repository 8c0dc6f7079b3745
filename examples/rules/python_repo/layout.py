"""Rules about which files and folders there are."""

from __future__ import annotations

import re

from examples.rules.python_repo.inputs import answer, packages
from optengine.rules import Context, Outcome, RuleSet

RULES = RuleSet()
_GRAB_BAGS = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
_MAX_BYTES = 2_000_000


@RULES.rule("LAY001", severity="CRITICAL", tags={"layout"})
def has_pyproject(ctx: Context) -> bool:
    """There is a pyproject.toml."""
    return ctx.fs.is_file("pyproject.toml")


@RULES.rule("LAY002", severity="HIGH", tags={"layout"})
def has_readme(ctx: Context) -> Outcome:
    """There is a README."""
    found = ctx.fs.glob("README.{md,rst,txt}")
    return (
        ctx.passed(f"{found[0]} found", {"path": found[0]})
        if found
        else ctx.failed("no README.md or README.rst")
    )


@RULES.rule("LAY003", severity="HIGH", tags={"layout", "licence"})
def has_licence(ctx: Context) -> Outcome:
    """There is a licence file."""
    found = ctx.fs.glob("{LICENSE,LICENCE,COPYING}*")
    return ctx.passed(f"{found[0]} found", {"path": found[0]}) if found else ctx.failed("no LICENSE file")


@RULES.rule("LAY004", severity="HIGH", tags={"layout", "tests"})
def has_tests(ctx: Context) -> Outcome:
    """There are test modules."""
    found = ctx.fs.glob("tests/**/test_*.py")
    return ctx.passed(f"{len(found)} test modules") if found else ctx.failed("no tests/**/test_*.py")


@RULES.rule("LAY005", severity="LOW", tags={"layout"})
def has_gitignore(ctx: Context) -> bool:
    """There is a .gitignore, so that build products are not committed."""
    return ctx.fs.is_file(".gitignore")


@RULES.rule("LAY006", severity="MEDIUM", tags={"layout"})
def no_compiled_files(ctx: Context) -> Outcome:
    """Sources hold no compiled Python or extension modules."""
    found = [path for one in packages(ctx) for path in ctx.fs.glob(f"{one}/**/*.{{pyc,pyo,so,pyd}}")]
    return answer(ctx, [(path, 1, "compiled file") for path in found], "no compiled files")


@RULES.rule("LAY007", severity="HIGH", requires=("PKG001",), tags={"layout"})
def has_packages(ctx: Context) -> Outcome:
    """At least one package is shipped, and it is where pyproject.toml says."""
    found = packages(ctx)
    return ctx.passed(", ".join(found)) if found else ctx.failed("no package found")


@RULES.rule("LAY008", severity="HIGH", requires=("LAY007",), tags={"layout"})
def packages_are_complete(ctx: Context) -> Outcome:
    """Every folder of a package that holds modules has an __init__.py."""
    problems = []
    for top in packages(ctx):
        folders = {path.rpartition("/")[0] for path in ctx.fs.glob(f"{top}/**/*.py")}
        problems += [
            (one, 1, "no __init__.py") for one in folders if not ctx.fs.is_file(f"{one}/__init__.py")
        ]
    return answer(ctx, problems, "every folder with modules is a package")


@RULES.rule("LAY009", severity="MEDIUM", requires=("LAY007",), tags={"layout", "types"})
def packages_are_typed(ctx: Context) -> Outcome:
    """Every shipped package has a py.typed marker."""
    missing = [(top, 1, "no py.typed") for top in packages(ctx) if not ctx.fs.is_file(f"{top}/py.typed")]
    return answer(ctx, missing, "every package has py.typed")


@RULES.rule("LAY010", severity="LOW", requires=("LAY007",), tags={"layout", "names"})
def no_grab_bags(ctx: Context) -> Outcome:
    """No module is named utils, helpers, common, misc or manager: names say what a module holds."""
    modules = [path for top in packages(ctx) for path in ctx.fs.glob(f"{top}/**/*.py")]
    bad = [
        (path, 1, "grab-bag name")
        for path in modules
        if path.rpartition("/")[2][:-3].strip("_") in _GRAB_BAGS
    ]
    return answer(ctx, bad, "every module is named for what it holds")


@RULES.rule("LAY011", severity="MEDIUM", requires=("LAY007",), tags={"layout", "names"})
def module_names(ctx: Context) -> Outcome:
    """Module names are lower case with underscores."""
    modules = [path for top in packages(ctx) for path in ctx.fs.glob(f"{top}/**/*.py")]
    bad = [
        (path, 1, "name") for path in modules if not re.fullmatch(r"[a-z0-9_]+\.py", path.rpartition("/")[2])
    ]
    return answer(ctx, bad, f"{len(modules)} modules named in lower case")


@RULES.rule("LAY012", severity="LOW", tags={"layout"})
def no_huge_files(ctx: Context) -> Outcome:
    """No committed text or image is above 2 MB."""
    paths = [path for path in ctx.fs.glob("**/*.{py,md,json,csv,svg,html,png}") if ctx.fs.is_file(path)]
    large = [(path, 1, f"{ctx.fs.size(path)} bytes") for path in paths if ctx.fs.size(path) > _MAX_BYTES]
    return answer(ctx, large, f"{len(paths)} files within 2 MB")


@RULES.rule("LAY013", severity="LOW", requires=("LAY007",), tags={"layout"})
def unix_newlines(ctx: Context) -> Outcome:
    """Sources use Unix newlines and end with one."""
    problems = []
    for top in packages(ctx):
        for path in ctx.fs.glob(f"{top}/**/*.py"):
            data = ctx.fs.read_bytes(path)
            if b"\r" in data:
                problems.append((path, 1, "carriage return"))
            elif data and not data.endswith(b"\n"):
                problems.append((path, data.count(b"\n") + 1, "no newline at the end"))
    return answer(ctx, problems, "Unix newlines everywhere")
