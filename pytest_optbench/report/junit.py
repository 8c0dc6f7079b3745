"""The verdict as properties of a test case, for JUnit XML and whatever else reads ``user_properties``.

They are fixed when the test ends. A verdict that is only settled at the end of the run is therefore corrected in
the file, once it is written: pytest has no other way to a test case that is over.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from ..store.errors import StoreError
from .escape import plain
from .figures import Doc, part

PREFIX: Final = "optbench_"


def properties(doc: Doc) -> list[tuple[str, str]]:
    """Return (name, value) pairs of decision ``doc``, plain text both; values that are unknown are left out.

    Ratios and p-values keep all their digits: machines read them.
    """
    values: list[tuple[str, Any]] = [
        ("verdict", doc["verdict"]),
        ("reasons", ",".join(doc["reasons"])),
        ("title", doc["title"]),
        ("goal", doc["goal"]),
        ("margin", doc["margin"]),
        ("ratio", part(doc, "ratio", "estimate")),
        ("ci_low", part(doc, "ratio", "ci_low")),
        ("ci_high", part(doc, "ratio", "ci_high")),
        ("time_saved", part(doc, "time_saved", "estimate")),
        ("p", part(doc, "tests", "margin", "p")),
        ("pairs", len(doc["pairs"])),
        ("noise_floor", part(doc, "control", "noise_floor")),
        ("equivalent", part(doc, "equivalence", "passed")),
        ("attempt", doc["attempt"]),
        ("seed", doc["seed"]),
        ("report", f"{doc['slug']}.md"),
    ]
    values += _metrics(doc)
    return [(PREFIX + name, _text(value)) for name, value in values if value is not None]


def corrected(xml: bytes, docs: Sequence[Doc], *, failed: bool) -> bytes:
    """Return a JUnit file that says of decisions ``docs`` what they came to after their tests had ended.

    With ``failed`` their test cases count as failures, for they fail the run. Raises `StoreError` when ``xml`` is
    no XML.
    """
    final = {f"{doc['slug']}.md": doc for doc in docs}
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise StoreError(f"a JUnit file must be XML: {error}") from error
    for suite in root.iter("testsuite"):
        for case in suite.iter("testcase"):
            lines = _correct_properties(case, final)
            if lines and failed and case.find("failure") is None:
                failure = ElementTree.Element("failure", message=lines[0])
                failure.text = "\n".join(lines)
                case.insert(1, failure)  # after the properties
                suite.set("failures", str(int(suite.get("failures", "0")) + 1))
    found: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return found


def replace(path: Path, xml: bytes) -> None:
    """Put ``xml`` in the place of the file ``path``, whole or not at all, with the file's mode; raises `OSError`.

    A link stays one: what it leads to is replaced.
    """
    target = path.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(xml)
            os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))
            file.flush()
            os.fsync(descriptor)
        os.replace(name, target)  # noqa: PTH105 - both are names already
    except BaseException:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        raise


def _correct_properties(case: ElementTree.Element, final: Mapping[str, Doc]) -> list[str]:
    """Give the properties of the decisions in ``final``, by report, their final values; return their lines.

    A test case holds one group of properties for each of its decisions, in a row and from the verdict on.
    """
    groups: list[dict[str, ElementTree.Element]] = []
    for each in case.iter("property"):
        name = each.get("name", "")
        if name == f"{PREFIX}verdict":
            groups.append({})
        if groups and name.startswith(PREFIX):
            groups[-1][name] = each
    lines = []
    for group in groups:
        report = group.get(f"{PREFIX}report")
        doc = None if report is None else final.get(report.get("value", ""))
        if doc is not None:
            for name, value in properties(doc):
                if name in group:
                    group[name].set("value", value)
            lines.append(plain(doc["summary"]))
    return lines


def _metrics(doc: Doc) -> list[tuple[str, Any]]:
    """Return what a metric came to, and whether it kept its margin: ``metric:rows`` and ``metric:rows:ratio``."""
    found: list[tuple[str, Any]] = []
    for name, value in (doc["metrics"] or {}).items():
        if isinstance(value, Mapping) and value.get("verdict") is not None:
            found += [
                (f"metric:{plain(name)}", value["verdict"]),
                (f"metric:{plain(name)}:ratio", value.get("ratio")),
            ]
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else plain(value)
