"""Rules about GitHub workflow files, read as text so that no YAML library is needed."""

from __future__ import annotations

import re

from examples.rules.python_repo.inputs import answer
from optengine.rules import Context, Outcome, RuleSet

RULES = RuleSet()
_FILES = ".github/workflows/*.{yml,yaml}"


def lines(ctx: Context) -> list[tuple[str, int, str]]:
    """(path, number, text) of every line of every workflow."""
    return [
        (path, number, text)
        for path in ctx.fs.glob(_FILES)
        for number, text in enumerate(ctx.fs.read(path).split("\n"), start=1)
    ]


@RULES.rule("WFL001", severity="MEDIUM", tags={"workflow"})
def has_workflows(ctx: Context) -> Outcome:
    """There is at least one workflow."""
    found = ctx.fs.glob(_FILES)
    return ctx.passed(f"{len(found)} workflows") if found else ctx.failed("no workflow file")


@RULES.rule("WFL002", severity="MEDIUM", requires=("WFL001",), tags={"workflow", "security"})
def actions_have_versions(ctx: Context) -> Outcome:
    """Every action is used at a version, never at a branch."""
    bad = []
    for path, number, text in lines(ctx):
        found = re.search(r"uses:\s*([^\s#]+)", text)
        if (
            found
            and not found[1].startswith("./")
            and not re.search(r"@(v\d|[0-9a-f]{40}|release/)", found[1])
        ):
            bad.append((path, number, found[1]))
    return answer(ctx, bad, "every action has a version")


@RULES.rule("WFL003", severity="HIGH", requires=("WFL001",), tags={"workflow", "security"})
def permissions_are_set(ctx: Context) -> Outcome:
    """Every workflow limits the permissions of its token."""
    bad = [
        (path, 1, "no permissions") for path in ctx.fs.glob(_FILES) if "permissions:" not in ctx.fs.read(path)
    ]
    return answer(ctx, bad, "permissions are set everywhere")


@RULES.rule("WFL004", severity="CRITICAL", requires=("WFL001",), tags={"workflow", "security"})
def no_privileged_pull_requests(ctx: Context) -> Outcome:
    """No workflow runs on pull_request_target, where foreign code meets secrets."""
    bad = [(path, number, text.strip()) for path, number, text in lines(ctx) if "pull_request_target" in text]
    return answer(ctx, bad, "none")


@RULES.rule("WFL005", severity="LOW", requires=("WFL001",), tags={"workflow"})
def jobs_have_time_limits(ctx: Context) -> Outcome:
    """Every workflow limits the time of its jobs."""
    bad = [
        (path, 1, "no timeout-minutes")
        for path in ctx.fs.glob(_FILES)
        if "timeout-minutes" not in ctx.fs.read(path)
    ]
    return answer(ctx, bad, "time limits everywhere")


@RULES.rule("WFL006", severity="MEDIUM", requires=("WFL001", "PKG009"), tags={"workflow", "packaging"})
def python_versions_are_tested(ctx: Context) -> Outcome:
    """Every Python version of the classifiers appears in a workflow or in tox.ini."""
    texts = [ctx.fs.read(path) for path in ctx.fs.glob(_FILES)]
    if ctx.fs.is_file("tox.ini"):
        texts.append(ctx.fs.read("tox.ini"))
    minors = ctx.result("PKG009").evidence["minors"]
    missing = [minor for minor in minors if not any(re.search(rf"\b3\.?{minor}\b", text) for text in texts)]
    return answer(ctx, [("tox.ini", 1, f"Python 3.{minor} is not tested") for minor in missing], "all tested")


@RULES.rule("WFL007", severity="HIGH", requires=("WFL001",), tags={"workflow", "security"})
def no_untrusted_text_in_scripts(ctx: Context) -> Outcome:
    """No script line is built from the title or body of an issue or pull request."""
    pattern = re.compile(r"\$\{\{\s*github\.event\.(issue|pull_request|comment|review)\.(title|body)")
    bad = [(path, number, text.strip()) for path, number, text in lines(ctx) if pattern.search(text)]
    return answer(ctx, bad, "none")
