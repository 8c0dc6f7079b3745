"""Spaces: validation by name, the unit cube, conditions, TOML."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optengine.search import Space, SpaceError

WRONG = [
    ({}, "at least one parameter name"),
    ({"x": 3}, "parameter 'x' must be a mapping with a 'type'"),
    ({"": {"type": "constant", "value": 1}}, "a parameter name must be a string"),
    ({"x": {"type": "normal"}}, "parameter 'x': 'type' must be one of uniform, log_uniform"),
    ({"x": {"low": 1}}, "parameter 'x': 'type' must be one of"),
    ({"x": {"type": "uniform", "low": 5, "high": 1}}, "low must be below high; received low=5.0, high=1.0"),
    ({"x": {"type": "uniform", "low": 0}}, "parameter 'x': high: Field required"),
    ({"x": {"type": "uniform", "low": 0, "high": math.inf}}, "high: Input should be a finite number"),
    ({"x": {"type": "uniform", "low": 0, "high": 1, "hgh": 2}}, "hgh: Extra inputs are not permitted"),
    ({"x": {"type": "log-uniform", "low": 0, "high": 1}}, "low must be above 0 on a logarithmic scale"),
    ({"n": {"type": "integer", "low": 1, "high": 8, "step": 3}}, "received high=8; use 7"),
    ({"n": {"type": "integer", "low": 0, "high": 8, "log": True}}, "log=True needs low >= 1 and step 1"),
    ({"n": {"type": "integer", "low": 4, "high": 4}}, "or use a constant"),
    ({"k": {"type": "categorical", "choices": []}}, "choices must hold at least one value"),
    ({"k": {"type": "categorical", "choices": ["a", "a"]}}, "choices must be distinct; received 'a' twice"),
    ({"k": {"type": "categorical", "choices": [object()]}}, "so that a journal can hold it"),
    ({"k": {"type": "constant", "value": math.nan}}, "a parameter value must be finite"),
    (
        {"x": {"type": "conditional", "when": {"k": 1}, "parameter": {"type": "constant", "value": 1}}},
        "'when' must name parameters of this space; received 'k'",
    ),
    (
        {"x": {"type": "conditional", "when": {}, "parameter": {"type": "constant", "value": 1}}},
        "when must name at least one other parameter",
    ),
    (
        {
            "k": {"type": "categorical", "choices": ["a", "b"]},
            "x": {"type": "conditional", "when": {"k": "c"}, "parameter": {"type": "constant", "value": 1}},
        },
        "'when' must use values that 'k' can have; received 'c'",
    ),
    (
        {
            "x": {"type": "conditional", "when": {"y": 1}, "parameter": {"type": "constant", "value": 1}},
            "y": {"type": "conditional", "when": {"x": 1}, "parameter": {"type": "constant", "value": 1}},
        },
        "conditions must not form a circle; received x -> y -> x",
    ),
]


@pytest.mark.parametrize(("description", "message"), WRONG)
def test_a_wrong_description_is_refused_by_name(description: dict[str, object], message: str) -> None:
    """Each mistake names the parameter, what must hold and what was received."""
    with pytest.raises(SpaceError) as caught:
        Space(description)
    assert message in str(caught.value)


PARAMETERS = st.one_of(
    st.tuples(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6)).map(
        lambda pair: {"type": "uniform", "low": pair[0], "high": pair[0] + pair[1]}
    ),
    st.tuples(st.floats(1e-6, 1e3), st.floats(1.5, 1e6)).map(
        lambda pair: {"type": "log_uniform", "low": pair[0], "high": pair[0] * pair[1]}
    ),
    st.tuples(st.integers(-100, 100), st.integers(1, 50), st.integers(1, 9)).map(
        lambda t: {"type": "integer", "low": t[0], "high": t[0] + t[1] * t[2], "step": t[2]}
    ),
    st.tuples(st.integers(1, 100), st.integers(1, 5000)).map(
        lambda t: {"type": "integer", "low": t[0], "high": t[0] + t[1], "log": True}
    ),
    st.lists(
        st.one_of(st.booleans(), st.integers(0, 3), st.text(max_size=3)), min_size=1, unique_by=repr
    ).map(lambda choices: {"type": "categorical", "choices": choices}),
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=4), PARAMETERS, min_size=1, max_size=4), st.data())
def test_coordinates_and_points_map_both_ways(description: dict[str, object], data: st.DataObject) -> None:
    """Any coordinate gives a point of the space, and encoding it and decoding again gives the point back."""
    space = Space(description)
    unit = data.draw(st.lists(st.floats(0, 1), min_size=len(space), max_size=len(space)))
    point = space.decode(unit)
    space.check(point)
    again = space.decode(space.encode(point))
    for name, value in point.items():
        if isinstance(value, float):
            spread = abs(value) + description[name]["high"] - description[name]["low"]  # type: ignore[index]
            assert math.isclose(again[name], value, rel_tol=1e-9, abs_tol=1e-9 * spread)
        else:
            assert again[name] == value
            assert type(again[name]) is type(value)


def test_a_uniform_coordinate_gives_the_named_distribution() -> None:
    """Integers and choices come equally often, logarithms are uniform: counts within five standard errors."""
    space = Space(
        {
            "n": {"type": "integer", "low": 0, "high": 9},
            "k": {"type": "categorical", "choices": ["a", "b", "c"]},
            "rate": {"type": "log_uniform", "low": 1e-4, "high": 1.0},
        }
    )
    rng = np.random.default_rng(0)
    points = [space.decode(rng.random(3).tolist()) for _ in range(6000)]
    for name, cells in (("n", 10), ("k", 3)):
        values, counts = np.unique([str(point[name]) for point in points], return_counts=True)
        assert len(values) == cells
        assert np.all(np.abs(counts - 6000 / cells) < 5 * np.sqrt(6000 / cells))
    assert abs(sum(point["rate"] < 1e-2 for point in points) - 3000) < 5 * np.sqrt(1500)


def test_conditional_parameters_exist_only_where_their_conditions_hold() -> None:
    """A chain of conditions adds parameters one by one, whatever the order of the declaration."""
    space = Space(
        {
            "slow": {
                "type": "conditional",
                "when": {"fast": [1, 2]},
                "parameter": {"type": "uniform", "low": 0, "high": 1},
            },
            "fast": {
                "type": "conditional",
                "when": {"kind": "cross"},
                "parameter": {"type": "int", "low": 1, "high": 4},
            },
            "kind": {"type": "categorical", "choices": ["cross", "break"]},
        }
    )
    assert space.names == ("slow", "fast", "kind")
    assert space.contains({"kind": "break"})
    assert space.contains({"kind": "cross", "fast": 3})
    assert space.contains({"kind": "cross", "fast": 1, "slow": 0.5})
    with pytest.raises(SpaceError, match="parameter 'fast' must be given"):
        space.check({"kind": "cross"})
    with pytest.raises(SpaceError, match=r"parameter 'slow' exists only when fast is one of \[1, 2\]"):
        space.check({"kind": "cross", "fast": 3, "slow": 0.5})
    with pytest.raises(SpaceError, match=r"received also \['other'\]"):
        space.check({"kind": "break", "other": 1})
    with pytest.raises(SpaceError, match=r"parameter 'fast' must be a value of .*; received 9"):
        space.check({"kind": "cross", "fast": 9})


def test_true_and_one_are_different_choices() -> None:
    """Booleans and numbers that compare equal in Python stay apart."""
    space = Space({"k": {"type": "categorical", "choices": [True, 1, 1.5]}})
    assert [type(space.decode([unit])["k"]) for unit in (0.1, 0.5, 0.9)] == [bool, int, float]
    assert space.encode({"k": 1}) == [0.5]


def test_a_space_survives_its_description() -> None:
    """Building from ``to_dict`` put through JSON gives an equal space with an equal fingerprint; a change shows."""
    description = {
        "k": {"type": "categorical", "choices": [("a", 1), None]},
        "x": {
            "type": "conditional",
            "when": {"k": None},
            "parameter": {"type": "uniform", "low": 0, "high": 1},
        },
    }
    space = Space(description)
    again = Space(json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert again.fingerprint == space.fingerprint
    assert hash(again) == hash(space)
    description["x"] = {"type": "uniform", "low": 0, "high": 1}
    assert Space(description).fingerprint != space.fingerprint


def test_a_space_is_read_from_toml(tmp_path: Path) -> None:
    """Parameters may stand at the top of the file or under [parameters]; a bad file is named."""
    file = tmp_path / "space.toml"
    body = 'type = "integer"\nlow = 1\nhigh = 9\n'
    file.write_text(f"[fast]\n{body}")
    top = Space.from_toml(file)
    file.write_text(f"[parameters.fast]\n{body}")
    assert Space.from_toml(file) == top
    file.write_text("[fast\n")
    with pytest.raises(SpaceError, match=r"the space file must be readable TOML; received '.*space.toml'"):
        Space.from_toml(file)
    with pytest.raises(SpaceError, match=r"missing\.toml"):
        Space.from_toml(tmp_path / "missing.toml")


def test_a_space_can_be_walked_as_a_grid() -> None:
    """Discrete parameters give their values, continuous ones ``points`` of them, conditional ones are refused."""
    space = Space(
        {
            "n": {"type": "integer", "low": 2, "high": 8, "step": 3},
            "x": {"type": "uniform", "low": 0, "high": 1, "points": 3},
            "k": {"type": "categorical", "choices": ["a", "b"]},
            "c": {"type": "constant", "value": 7},
        }
    )
    assert space.grid() == {"n": [2, 5, 8], "x": [0.0, 0.5, 1.0], "k": ["a", "b"], "c": [7]}
    with pytest.raises(SpaceError, match="parameter 'x': a continuous parameter needs points=N"):
        Space({"x": {"type": "uniform", "low": 0, "high": 1}}).grid()
    conditional = {"type": "conditional", "when": {"k": "a"}, "parameter": {"type": "constant", "value": 1}}
    with pytest.raises(SpaceError, match="give GridSearchAlgorithm a list of grids"):
        Space({"k": {"type": "categorical", "choices": ["a", "b"]}, "c": conditional}).grid()
