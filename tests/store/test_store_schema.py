"""The schema: what is written follows it, what is foreign, newer, broken or not finite is refused by name."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import samples

from pytest_optbench.store import SchemaError, schema

GOLDEN = Path(__file__).parents[1] / "golden"
SAMPLES = {
    "accept": samples.decision,
    "reject": samples.not_equivalent,
    "inconclusive": samples.inconclusive,
    "nasty": samples.nasty,
}


def validator() -> Any:
    return jsonschema.Draft202012Validator(schema.json_schema())


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_follow_the_shipped_schema(name: str) -> None:
    """A decision passes both the schema file, read by a schema library, and the check of this package."""
    doc = SAMPLES[name]()
    validator().validate(doc)
    schema.validate(doc)


def test_the_shipped_schema_is_a_valid_schema() -> None:
    """The file is a correct draft 2020-12 schema and demands the version this package writes."""
    jsonschema.Draft202012Validator.check_schema(schema.json_schema())
    assert schema.json_schema()["properties"]["schema"] == {"const": schema.SCHEMA}
    assert schema.VERSIONS[-1] == schema.SCHEMA


def test_the_check_knows_every_keyword_of_the_file() -> None:
    """A keyword the check does not interpret cannot slip into the schema file unnoticed."""
    known = {
        "$schema", "$id", "$defs", "$ref", "title", "description", "type", "const", "enum", "required",
        "properties", "additionalProperties", "items", "minimum", "exclusiveMinimum", "exclusiveMaximum",
        "minLength", "pattern",
    }  # fmt: skip

    def keywords(node: Any) -> Iterator[str]:
        yield from node
        for key in ("properties", "$defs"):
            for child in node.get(key, {}).values():
                yield from keywords(child)
        for key in ("items", "additionalProperties"):
            if isinstance(node.get(key), dict):
                yield from keywords(node[key])

    assert set(keywords(schema.json_schema())) <= known


def mutations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a decision with one thing wrong, for every key at the top and a choice of deeper places."""
    for key in samples.decision():
        for name, value in (("gone", None), ("object", {"x": 1}), ("text", "nonsense"), ("number", -7.5)):
            doc = samples.decision()
            if name == "gone":
                del doc[key]
            else:
                doc[key] = value
            yield f"{key}-{name}", doc
    deep: list[tuple[tuple[Any, ...], Any]] = [
        (("pairs", 0, "order"), 0), (("pairs", 0, "order"), True), (("pairs", 3, "baseline_s"), "1"),
        (("pairs", 0, "index"), 1.5), (("pairs", 0, "index"), 2.0), (("pairs", 0, "runs", 0, 1), "x"),
        (("looks", 0, "stopped"), 1), (("criteria", 0, "passed"), "yes"), (("criteria", 0, "actual"), 3),
        (("equivalence", "passed"), 0), (("tests", "margin"), []), (("tests", "margin", "t"), True),
        (("baseline", "name"), None), (("diagnostics", 0, "level"), "fatal"),
        (("overhead", "timed_s"), "1 s"),
        (("reasons",), [1]), (("risks",), [None]), (("earlier",), [{"verdict": "MAYBE"}]), (("attempt",), 0),
        (("confidence",), 1), (("margin",), 0), (("margin",), True), (("slug",), "../x"), (("slug",), "a\n"),
    ]  # fmt: skip
    for path, value in deep:
        doc = copy.deepcopy(samples.decision())
        target: Any = doc
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value
        yield ".".join(map(str, path)) + f"={value!r}", doc


@pytest.mark.parametrize("doc", [pytest.param(doc, id=name) for name, doc in mutations()])
def test_the_check_agrees_with_a_schema_library(doc: dict[str, Any]) -> None:
    """For every wrong or odd document the check refuses exactly when a schema library does."""
    # Python's "$" also matches before a final newline, which the schema language does not mean.
    if validator().is_valid(doc) and not str(doc.get("slug")).endswith("\n"):
        schema.validate(doc)
    else:
        with pytest.raises(SchemaError, match="must"):
            schema.validate(doc)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("path", [("margin",), ("config", "x"), ("pairs", 0, "log_ratio")])
def test_numbers_must_be_finite(path: tuple[Any, ...], value: float) -> None:
    """NaN and infinity are refused wherever they stand, naming the place and the cure."""
    doc: Any = samples.decision()
    target = doc
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    with pytest.raises(SchemaError, match=rf"{path[-1]} must be finite, received .*write None"):
        schema.validate(doc)
    with pytest.raises(SchemaError, match="must be finite"):
        schema.dumps(doc)


def test_only_plain_json_types_are_written() -> None:
    """A tuple, a set, a foreign number or a key that is no string would change on the way and is refused."""
    import numpy as np

    for value, word in (((1, 2), "tuple"), ({1}, "set"), (np.float64(1.5), "float64"), (b"x", "bytes")):
        with pytest.raises(SchemaError, match=f"plain JSON value, received {word}"):
            schema.validate(samples.decision(config={"x": value}))
    with pytest.raises(SchemaError, match="string keys, received 1"):
        schema.validate(samples.decision(config={1: "x"}))
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(SchemaError, match="nested more than 60 deep"):
        schema.validate(samples.decision(config={"x": deep}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": "optbench/decision/2"}', "written by a newer pytest-optbench; upgrade"),
        ('{"schema": "asv/3"}', "received schema 'asv/3': this is not a decision.*move it out"),
        ("{}", "received schema None"),
        ("[]", "received a JSON list"),
        ("3", "received a JSON int"),
        ("{", "must be JSON: .*restore the file"),
        ("", "must be JSON"),
        ('{"x": NaN}', "finite numbers, received NaN; write null"),
        ('{"x": -Infinity}', "finite numbers, received -Infinity"),
        ("[" * 200_000, "must be JSON"),
        ('{"schema": "optbench/decision/1"}', r"decision\.id must be present"),
    ],
)
def test_what_is_not_a_decision_is_refused_with_the_cure(text: str, message: str) -> None:
    """Reading names what was found and what to do about it."""
    with pytest.raises(SchemaError, match=message):
        schema.loads(text)


def test_a_number_too_large_for_a_float_is_refused() -> None:
    """1e999 reads as infinity, so it is refused although it is JSON."""
    text = schema.dumps(samples.decision()).replace('"margin": 1.0526', '"margin": 1e999, "m": 1.0526')
    with pytest.raises(SchemaError, match="margin must be finite"):
        schema.loads(text)


@pytest.mark.parametrize("name", SAMPLES)
def test_text_and_document_are_each_others_inverse(name: str) -> None:
    """Writing and reading gives the same document, reading and writing the same bytes, all ASCII."""
    doc = SAMPLES[name]()
    text = schema.dumps(doc)
    assert text.isascii()
    assert schema.loads(text) == doc
    assert schema.dumps(schema.loads(text)) == text
    assert json.loads(text) == doc


def test_the_empty_document_is_json() -> None:
    """Even an empty object is written as JSON."""
    assert json.loads(schema.dumps({})) == {}


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("decision_v*.json")), ids=lambda path: path.stem)
def test_every_old_sample_can_be_read(path: Path) -> None:
    """Decisions written by any earlier version stay readable; these files are never deleted."""
    doc = schema.loads(path.read_text(encoding="utf-8"))
    assert doc["schema"] in schema.VERSIONS


def test_every_version_has_an_old_sample() -> None:
    """Each version this package reads is covered by a stored file."""
    stored = {json.loads(path.read_text())["schema"] for path in GOLDEN.glob("decision_v*.json")}
    assert stored == set(schema.VERSIONS)
