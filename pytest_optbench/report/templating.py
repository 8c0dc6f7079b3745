"""Jinja2 as reports use it: sandboxed, every value escaped for its format, shipped templates replaceable.

A folder given by the user is looked in first. A template there can replace a shipped one of the same name, or
extend it: ``{% extends "default/decision.md.j2" %}`` and override its blocks. Names ending in ``.html.j2`` are
HTML, all others markdown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_optbench.store.errors import StoreError

from . import escape

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

DECISION: Final = "decision.md.j2"
INDEX: Final = "index.md.j2"
PAGE: Final = "index.html.j2"
PAGE_DECISION: Final = "decision.html.j2"
STYLE: Final = "report.css"
SCRIPT: Final = "report.js"
NAMES: Final = (DECISION, INDEX, PAGE, PAGE_DECISION, STYLE, SCRIPT)
"""Every file of a template folder that is used."""

_HTML: Final = ".html.j2"
_CURE: Final = "correct the template, or leave the setting out to use the shipped one"
_OPTION: Final = "--templates (in pytest --optbench-templates or ini key optbench_templates)"


class TemplateError(StoreError):
    """A report template cannot be read or rendered."""


def render(name: str, context: Mapping[str, Any], templates: Path | None) -> str:
    """Return the markdown of template ``name`` with ``context``: one newline at the end, no trailing blanks.

    Raises TemplateError naming the template and the place.
    """
    lines = [line.rstrip() for line in _rendered(name, context, templates).splitlines()]
    return "\n".join(_single_blanks(lines)).strip("\n") + "\n"


def render_html(name: str, context: Mapping[str, Any], templates: Path | None) -> str:
    """Return the HTML of template ``name`` with ``context``. Raises TemplateError."""
    return _rendered(name, context, templates)


def source(name: str, templates: Path | None) -> str:
    """Return the file ``name`` of the templates as it is. Raises TemplateError."""
    import jinja2

    environment = _environment(templates, name.endswith(_HTML))
    try:
        text: str = environment.loader.get_source(environment, name)[0]  # type: ignore[union-attr]
    except jinja2.TemplateError as error:
        raise TemplateError(_message(name, error)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"the report template {name} cannot be read: {error!r}; {_CURE}") from error
    return text


def _rendered(name: str, context: Mapping[str, Any], templates: Path | None) -> str:
    import jinja2

    try:
        return _environment(templates, name.endswith(_HTML)).get_template(name).render(context)
    except jinja2.TemplateError as error:
        raise TemplateError(_message(name, error)) from error
    except (
        OSError,
        UnicodeDecodeError,
        RecursionError,
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise TemplateError(f"the report template {name} cannot be rendered: {error!r}; {_CURE}") from error


def check_templates(templates: Path | None) -> None:
    """Return when the templates in folder ``templates`` can be parsed; to be called before measuring.

    Raises TemplateError when the folder is missing, holds no template of a known name, or a broken one.
    """
    import jinja2

    if templates is None:
        return
    if not templates.is_dir():
        raise TemplateError(f"{_OPTION} must name a folder, received {str(templates)!r}; create it")
    if not any((templates / name).is_file() for name in NAMES):
        raise TemplateError(
            f"{_OPTION} must name a folder holding {', '.join(NAMES[:-1])} or {NAMES[-1]}, "
            f"received {str(templates)!r}; put one there or leave the setting out"
        )
    for name in NAMES:
        source(name, templates)
        if name in (STYLE, SCRIPT):
            continue
        try:
            _environment(templates, name.endswith(_HTML)).get_template(name)
        except jinja2.TemplateError as error:
            raise TemplateError(_message(name, error)) from error


@cache
def _environment(templates: Path | None, html: bool) -> SandboxedEnvironment:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from markupsafe import Markup

    shipped = jinja2.PackageLoader(__package__)
    loaders: list[jinja2.BaseLoader] = [shipped, jinja2.PrefixLoader({"default": shipped})]
    if templates is not None:
        loaders.insert(0, jinja2.FileSystemLoader(templates))

    def safe(function: Any) -> Any:
        return lambda value: Markup(function(value))

    def finalize(value: Any) -> Any:
        """Escape whatever a template prints, unless a filter here or ``safe`` made it markup already."""
        if hasattr(value, "__html__") or isinstance(value, jinja2.Undefined):
            return value
        return Markup(escape.xml(value) if html else escape.markdown(value))

    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    if html:
        environment.filters["block"] = safe(escape.html_block)
        environment.filters["paragraphs"] = safe(escape.html_paragraphs)
        return environment
    environment.filters["code"] = safe(escape.markdown_code)
    environment.filters["block"] = safe(escape.markdown_block)
    environment.filters["paragraphs"] = safe(escape.markdown_paragraphs)
    environment.globals["table"] = lambda headers, rows, code=(): Markup(table(headers, rows, code))
    return environment


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], code: Sequence[int] = ()) -> str:
    """Return a markdown table, escaped; the columns numbered in ``code`` are shown as code."""
    lines = ["| " + " | ".join(escape.markdown(header) for header in headers) + " |"]
    lines.append("|" + " --- |" * len(headers))
    for row in rows:
        cells = [
            escape.markdown_code(cell) if column in code else escape.markdown(cell)
            for column, cell in enumerate(row)
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _single_blanks(lines: Sequence[str]) -> list[str]:
    """Drop the second of two blank lines, outside fenced blocks."""
    kept: list[str] = []
    fence = ""
    for line in lines:
        if fence:
            fence = "" if line == fence else fence
        elif line.startswith("```"):
            fence = line[: len(line) - len(line.lstrip("`"))]
        elif not line and kept and not kept[-1]:
            continue
        kept.append(line)
    return kept


def _message(name: str, error: Any) -> str:
    place = f" line {error.lineno}" if getattr(error, "lineno", None) else ""
    where = getattr(error, "name", None) or name
    return f"the report template {where}{place} cannot be rendered: {error.message or error}; {_CURE}"
