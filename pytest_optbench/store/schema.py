"""The versioned shape of a decision document, and the check every document passes on its way in and out.

``decision.schema.json`` beside this file is the one description of the shape (JSON Schema, draft 2020-12).
The check here interprets the keywords that file uses, so no schema library is needed at run time.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from .errors import SchemaError

SCHEMA: Final = "optbench/decision/1"
"""The version this package writes."""

VERSIONS: Final = ("optbench/decision/1",)
"""Every version this package reads, oldest first; a new version is appended, none is ever removed."""

FAMILY: Final = "optbench/decision/"

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
}


@cache
def json_schema() -> dict[str, Any]:
    """Return the shipped JSON Schema of the version this package writes."""
    text = files(__package__).joinpath("decision.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def check_version(doc: object) -> None:
    """Return when ``doc`` says it is a decision of a version this package reads.

    Raises SchemaError naming what was received and the cure.
    """
    version = doc.get("schema") if isinstance(doc, Mapping) else None
    if version in VERSIONS:
        return
    if isinstance(version, str) and version.startswith(FAMILY):
        raise SchemaError(
            f"a decision's schema must be one of {', '.join(VERSIONS)}, received {version!r}: "
            "it was written by a newer pytest-optbench; upgrade pytest-optbench to read it"
        )
    what = f"schema {version!r}" if isinstance(doc, Mapping) else f"a JSON {type(doc).__name__}"
    raise SchemaError(
        f"a decision's schema must be one of {', '.join(VERSIONS)}, received {what}: "
        "this is not a decision of pytest-optbench; move it out of the report folder"
    )


def validate(doc: object) -> None:
    """Return when ``doc`` is a decision document: known version, every key, plain finite JSON values.

    Raises SchemaError naming the first place that is wrong. Unknown keys are allowed.
    """
    check_version(doc)
    for problem in _plain(doc, "decision"):
        raise SchemaError(f"a decision must hold plain JSON only: {problem}")
    for problem in _problems(doc, json_schema(), "decision"):
        raise SchemaError(f"a decision must follow {SCHEMA}: {problem}")


def loads(text: str) -> dict[str, Any]:
    """Return the decision document held by JSON ``text``, validated.

    Raises SchemaError when it is not JSON, holds NaN or infinity, or is not a decision.
    """
    try:
        doc = json.loads(text, parse_constant=_refuse_constant)
    except SchemaError:
        raise
    except (ValueError, RecursionError) as error:
        raise SchemaError(
            f"a decision must be JSON: {error}; restore the file from version control"
        ) from error
    validate(doc)
    result: dict[str, Any] = doc
    return result


def dumps(doc: Mapping[str, Any]) -> str:
    """Return ``doc`` as ASCII JSON text: one key a line, one element of a list a line, ending in a newline.

    The same document gives the same bytes, and `loads` gives the same document back. Raises SchemaError for
    a value JSON cannot hold.
    """
    for problem in _plain(doc, "decision"):
        raise SchemaError(f"a decision must hold plain JSON only: {problem}")
    lines = [f"{_flat(key)}: {_spread(value)}" for key, value in doc.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n" if lines else "{}\n"


def _flat(value: object) -> str:
    return json.dumps(value, allow_nan=False)


def _spread(value: object) -> str:
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "[\n " + ",\n ".join(_flat(item) for item in value) + "\n]"
    return _flat(value)


def _refuse_constant(name: str) -> None:
    raise SchemaError(
        f"a decision must hold finite numbers, received {name}; write null for an unknown value"
    )


def _plain(value: object, where: str, depth: int = 0) -> Iterator[str]:
    """Yield what keeps ``value`` from surviving JSON unchanged."""
    if value is None or (
        isinstance(value, bool | str | int | float) and type(value).__module__ == "builtins"
    ):
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{where} must be finite, received {value!r}; write None for an unknown value"
    elif depth > 60:
        yield f"{where} is nested more than 60 deep"
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                yield f"{where} must have string keys, received {key!r}"
            yield from _plain(item, f"{where}.{key}", depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _plain(item, f"{where}[{index}]", depth + 1)
    else:
        yield f"{where} must be a plain JSON value, received {type(value).__name__} {value!r:.80}"


def _problems(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    """Yield every place where ``value`` breaks ``schema``; the keywords are those the shipped file uses."""
    if "$ref" in schema:
        yield from _problems(value, json_schema()["$defs"][schema["$ref"].removeprefix("#/$defs/")], where)
    if "const" in schema and value != schema["const"]:
        yield f"{where} must be {schema['const']!r}, received {value!r:.80}"
    if "enum" in schema and not any(type(value) is type(each) and value == each for each in schema["enum"]):
        yield f"{where} must be one of {schema['enum']}, received {value!r:.80}"
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(_is_type(value, name) for name in names):
            yield f"{where} must be {' or '.join(names)}, received {value!r:.80}"
            return
    if isinstance(value, str):
        yield from _text_problems(value, schema, where)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number_problems(value, schema, where)
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _problems(item, schema["items"], f"{where}[{index}]")
    elif isinstance(value, dict):
        for key in schema.get("required", ()):
            if key not in value:
                yield f"{where}.{key} must be present (null when unknown)"
        known = schema.get("properties", {})
        for key, item in value.items():
            rule = known.get(key, schema.get("additionalProperties"))
            if rule is not None:
                yield from _problems(item, rule, f"{where}.{key}")


def _text_problems(value: str, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    if len(value) < schema.get("minLength", 0):
        yield f"{where} must not be empty"
    if "pattern" in schema and not re.search(schema["pattern"].replace("$", r"\Z"), value):
        yield f"{where} must match {schema['pattern']}, received {value!r:.80}"


def _number_problems(value: float, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{where} must be at least {schema['minimum']}, received {value!r}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield f"{where} must be above {schema['exclusiveMinimum']}, received {value!r}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        yield f"{where} must be below {schema['exclusiveMaximum']}, received {value!r}"


def _is_type(value: object, name: str) -> bool:
    if name in ("number", "integer"):
        whole = name == "integer"
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and (not whole or float(value).is_integer())
        )
    return isinstance(value, _TYPES[name])
