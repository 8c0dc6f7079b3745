"""Write the tables of the pages that come from the code, between their markers.

    python docs/tables.py            # writes what is out of date, names the pages changed
    python docs/tables.py --check    # writes nothing; exit status 1 when a page is out of date

A page holds a table between `<!-- NAME: begin ... -->` and `<!-- NAME: end -->`; any page may hold any
table of `TABLES`. A test runs the check, so the pages cannot fall behind the code.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def options_table() -> str:
    """Return every option of the plugin with its ini key."""
    from pytest_optbench import options

    rows = [
        (
            f"`{option.flag}{f' {option.metavar}' if option.metavar else ''}`",
            f"`{option.ini}`",
            option.help.replace("%%", "%"),
        )
        for option in options._OPTIONS
    ]
    return _table(("option", "ini key", "what it does"), rows)


def marker_table() -> str:
    """Return the keys of the marker, which are those `optbench.compare` takes too."""
    from pytest_optbench import options

    described = {
        "title": "name of the benchmark in documents and tables",
        "group": "heading it is listed under",
        "rank": "place among planned optimizations, a whole number",
        "expected": "the gain you forecast: `5%`, `0.05` or `1.05x`",
        "notes": "your words on it, printed in the report",
        "risks": "what could go wrong, a list of texts, printed in the report",
    }
    rows = [(f"`{key}`", described[key]) for key in options.DESCRIPTION_KEYS]
    rows += [(f"`{key}`", f"as `{options._BY_NAME[key].flag}`") for key in options.TEST_KEYS]
    return _table(("key", "what it says"), rows)


def reasons_table() -> str:
    """Return every reason code a decision can end with."""
    from pytest_optbench.report.reasons import REASONS

    rows = [(f"`{code}`", text) for code, text in REASONS.items() if code != "continue"]
    return _table(("code", "meaning"), rows)


def commands_table() -> str:
    """Return `optbench` and its subcommands with their arguments."""
    from pytest_optbench.commands import COMMANDS

    # Not the text of --help: that differs between versions of Python.
    parser = argparse.ArgumentParser(prog="optbench")
    commands = parser.add_subparsers()
    for command in COMMANDS.values():
        command.add_parser(commands)
    return "\n\n".join(_subcommands(commands, "optbench"))


def _subcommands(group: Any, prefix: str) -> Iterator[str]:
    summaries = {entry.dest: entry.help for entry in group._choices_actions}
    for name, parser in group.choices.items():
        rows, nested = [], []
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                nested.append(action)
            elif not isinstance(action, argparse._HelpAction):
                rows.append((f"`{_argument(action)}`", (action.help or "") % vars(action)))
        summary = summaries.get(name) or parser.description or ""
        yield f"## `{prefix} {name}`\n\n{summary[:1].upper()}{summary[1:].rstrip('.')}."
        if rows:
            yield _table(("argument", "meaning"), rows)
        for action in nested:
            yield from (text.replace("## ", "### ", 1) for text in _subcommands(action, f"{prefix} {name}"))


def _argument(action: argparse.Action) -> str:
    value = action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else None)
    if isinstance(value, tuple):  # one name per value
        value = " ".join(value)
    value = (
        value if isinstance(value, str) else (action.dest.upper() if action.option_strings else action.dest)
    )
    if action.nargs == 0:
        value = ""
    elif action.nargs in ("*", "+"):
        value = f"{value} ..."
    return f"{', '.join(action.option_strings)} {value}".strip()


def fixture_methods() -> str:
    """Return the methods of the `optbench` fixture with signature and docstring."""
    from pytest_optbench.fixture import Optbench

    found = []
    for name, method in vars(Optbench).items():
        text = inspect.getdoc(method) or ""
        if name.startswith("_") or not inspect.isfunction(method) or "for the plugin's hook" in text:
            continue
        found.append(
            f"## `optbench.{name}`\n\n```python\n{_call(name, method)}\n```\n\n{text.replace('``', '`')}"
        )
    return "\n\n".join(found)


def _call(name: str, method: Callable[..., Any]) -> str:
    """Return the call as a test writes it: one argument a line, annotations as in the source."""
    shown, starred = [], False
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            shown, starred = [*shown, "*"], True
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        shown.append(f"{stars}{parameter.name}: {parameter.annotation}{default}")
    return f"optbench.{name}({', '.join(shown)})" if len(shown) < 3 else (
        f"optbench.{name}(\n" + "".join(f"    {part},\n" for part in shown) + ")"
    )  # fmt: skip


def decision_fields() -> str:
    """Return every field of a decision document, nested ones with dots, lists with []."""
    path = FOLDER.parent / "pytest_optbench" / "store" / "decision.schema.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    rows = [(f"`{name}`", kind, text) for name, kind, text in _fields(schema, schema["$defs"], "")]
    return _table(("field", "type", "meaning"), rows)


def rules_scaling_table() -> str:
    """Return the published speed-up of the rule validator by number of workers, or how to publish it."""
    path = FOLDER.parent / "reports" / "figures" / "engine" / "rules_scaling.json"
    if not path.exists():
        return "Not published: `python -m benchmarks.engine.publish rules_scaling`, then `python docs/tables.py`."
    found = json.loads(path.read_text(encoding="utf-8"))
    cpus = found["machine"]["usable_cpus"]
    rows = [("one process", f"{found['sequential_s']:.2f} s", "1.00x", "", "", "")]
    for row in found["rows"]:
        beyond = f", more than the {cpus} CPUs" if row["workers"] > cpus else ""
        rows.append(
            (
                f"{row['workers']}{beyond}",
                f"{row['median_s']:.2f} s",
                f"{row['speedup']:.2f}x",
                f"{row['efficiency']:.0%}",
                f"{row['overhead']:.1%}",
                f"{row['peak_memory'] / 1e6:.0f} MB",
            )
        )
    head = ("workers", "time", "against one process", "per worker", "overhead", "peak memory")
    return f"{_table(head, rows)}\n\n([page](../reports/figures/engine/rules_scaling.md))"


def _fields(
    schema: Mapping[str, Any], shared: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, str, str]]:
    for name, field in schema.get("properties", {}).items():
        target = _resolved(field, shared)
        yield f"{prefix}{name}", _kind(target), field.get("description", target.get("description", ""))
        yield from _fields(target, shared, f"{prefix}{name}.")
        if "items" in target:
            yield from _fields(_resolved(target["items"], shared), shared, f"{prefix}{name}[].")


def _resolved(field: Mapping[str, Any], shared: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = field.get("$ref", "")
    return shared[reference.rpartition("/")[2]] if reference else field


def _kind(field: Mapping[str, Any]) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    kinds = field.get("type", "any")
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    made = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines]
    made[1] = "|---" * len(header) + "|"
    return "\n".join(made)


TABLES: Mapping[str, Callable[[], str]] = {
    "options": options_table,
    "marker": marker_table,
    "reasons": reasons_table,
    "command": commands_table,
    "fixture": fixture_methods,
    "decision": decision_fields,
    "rules-scaling": rules_scaling_table,
}


def filled(text: str) -> str:
    """Return a page with every table in it as the code says."""
    for name, table in TABLES.items():
        pattern = rf"(<!-- {name}: begin[^>]*-->\n)(?:.*?\n)?(<!-- {name}: end -->)"
        if found := re.search(pattern, text, re.DOTALL):
            text = f"{text[: found.end(1)]}{table()}\n{text[found.start(2) :]}"
    return text


def outdated() -> dict[Path, str]:
    """Return the pages whose tables differ from the code, with the text they should have."""
    pages = {path: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
    return {path: new for path, old in pages.items() if (new := filled(old)) != old}


def main() -> int:
    """Write or check; return 1 when the check finds a page out of date."""
    parser = argparse.ArgumentParser(description="Write the tables that come from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing, say what is out of date")
    check = parser.parse_args().check
    found = outdated()
    for path, text in found.items():
        if not check:
            path.write_text(text, encoding="utf-8")
        print(f"{path.name}: {'out of date, run python docs/tables.py' if check else 'written'}")
    return int(check and bool(found))


if __name__ == "__main__":
    sys.exit(main())
