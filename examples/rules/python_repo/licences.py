"""Rules about licences."""

from __future__ import annotations

import re

from examples.rules.python_repo.inputs import answer, packages, table
from optengine.rules import Context, Outcome, RuleSet

RULES = RuleSet()
#: Words that a licence file must hold when the project declares the SPDX identifier.
_WORDS = {
    "MIT": "Permission is hereby granted, free of charge",
    "Apache-2.0": "Apache License",
    "BSD-3-Clause": "Redistribution and use in source and binary forms",
    "BSD-2-Clause": "Redistribution and use in source and binary forms",
}
_FOREIGN = re.compile(
    rb"GNU (Lesser |Affero )?General Public " rb"License|All rights " rb"reserved", re.IGNORECASE
)


@RULES.rule("LIC001", severity="HIGH", requires=("PKG007",), tags={"licence"})
def licence_text_fits(ctx: Context) -> Outcome:
    """The licence file is the licence that pyproject.toml declares."""
    expression = table(ctx)["license"]
    words = _WORDS.get(expression)
    if words is None:
        return ctx.skipped(f"no words known for {expression}")
    texts = {path: " ".join(ctx.fs.read(path).split()) for path in ctx.fs.glob("{LICENSE,LICENCE,COPYING}*")}
    fits = [path for path, text in texts.items() if words in text]
    return (
        ctx.passed(f"{fits[0]} is {expression}")
        if fits
        else ctx.failed(f"no file holds the text of {expression}")
    )


@RULES.rule("LIC002", severity="MEDIUM", requires=("LAY003",), tags={"licence"})
def licence_names_a_year(ctx: Context) -> Outcome:
    """The licence file names a year and a holder."""
    path = ctx.result("LAY003").evidence["path"]
    found = re.search(
        r"copyright\s+(\(c\)|©)?\s*(\d{4})[\s,-]*\d*\s+(\S.*)", ctx.fs.read(path), re.IGNORECASE
    )
    return (
        ctx.passed(found[0].strip())
        if found
        else ctx.failed("no line 'Copyright YEAR HOLDER'", {"path": path})
    )


@RULES.rule("LIC003", severity="HIGH", requires=("LAY007", "LAY003"), tags={"licence"})
def no_foreign_headers(ctx: Context) -> Outcome:
    """No source file carries the header of another licence."""
    bad = []
    for top in packages(ctx):
        for path in ctx.fs.glob(f"{top}/**/*.py"):
            found = _FOREIGN.search(ctx.fs.read_bytes(path)[:2000])
            if found:
                bad.append((path, 1, found[0].decode("ascii")))
    return answer(ctx, bad, "none")
