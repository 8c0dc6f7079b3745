"""A search space: named parameters, some of which exist only where others have given values.

    Space({
        "rule": {"type": "categorical", "choices": ["cross", "breakout"]},
        "fast": {"type": "conditional", "when": {"rule": "cross"},
                 "parameter": {"type": "integer", "low": 5, "high": 50}},
        "cost": {"type": "constant", "value": 0.0005},
    })

A point is a plain dict of the parameters that exist there. On the unit cube (shape ``(dimensions,)``, values
in [0, 1]) there is one coordinate per parameter that can vary, whether it exists at that point or not.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from optengine.search.errors import SpaceError
from optengine.search.parameters import AnyParameter, Conditional, Parameter, Value, plain_value, same_value

KINDS = ("uniform", "log_uniform", "integer", "categorical", "constant", "conditional")
_OTHER_SPELLINGS = {"log-uniform": "log_uniform", "loguniform": "log_uniform", "int": "integer"}
_PARAMETER: TypeAdapter[Any] = TypeAdapter(AnyParameter)

Params = dict[str, Any]


@dataclass(frozen=True)
class Dimension:
    """One named parameter and the conditions under which it exists."""

    name: str
    parameter: Parameter
    when: Mapping[str, tuple[Value, ...]]

    def active(self, params: Mapping[str, Any]) -> bool:
        """Whether the parameter exists beside these (already chosen) values."""
        return all(
            name in params and any(same_value(params[name], wanted) for wanted in values)
            for name, values in self.when.items()
        )


class Space:
    """Named parameters, validated; see the module's text for the form.

    Args:
        parameters: name -> parameter, each a mapping with a ``type`` or a parameter object.

    Raises:
        SpaceError: names the parameter, what must hold and what was received.
    """

    def __init__(self, parameters: Any) -> None:
        if not isinstance(parameters, Mapping) or not parameters:
            raise SpaceError(
                "a search space must be a mapping of at least one parameter name to its description; "
                f"received {parameters!r}"
            )
        declared = {name: _parse(name, spec) for name, spec in parameters.items()}
        self._declared = declared
        self.dimensions: tuple[Dimension, ...] = tuple(_in_order(declared))
        self.varying: tuple[Dimension, ...] = tuple(d for d in self.dimensions if d.parameter.varies)
        self._by_name = {dimension.name: dimension for dimension in self.dimensions}

    @classmethod
    def of(cls, space: Space | Mapping[str, Any]) -> Space:
        """The argument itself when it is a space already, else a new space of that description."""
        return space if isinstance(space, cls) else cls(space)

    @classmethod
    def from_toml(cls, path: str | Path) -> Space:
        """A space from a TOML file with one table per parameter, at the top or under ``[parameters]``.

        Raises:
            SpaceError: the file cannot be read, is not TOML or does not describe a space.
        """
        try:
            content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SpaceError(
                f"the space file must be readable TOML; received {str(path)!r}: {error}"
            ) from error
        inner = content.get("parameters")
        if set(content) == {"parameters"} and isinstance(inner, dict) and "type" not in inner:
            content = inner
        return cls(content)

    def __len__(self) -> int:
        """Number of coordinates of the unit cube."""
        return len(self.varying)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"Space({self.to_dict()!r})"

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of the declaration."""
        return tuple(self._declared)

    def to_dict(self) -> dict[str, Any]:
        """The description this space can be built from again, as plain JSON-ready values."""
        return {name: spec.model_dump(mode="json") for name, spec in self._declared.items()}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the description: equal spaces have equal fingerprints, in any process."""
        return hashlib.sha256(json.dumps(self.to_dict()).encode()).hexdigest()

    def decode(self, unit: Sequence[float]) -> Params:
        """The point at these coordinates (shape ``(len(self),)``, values in [0, 1])."""
        params: Params = {}
        column = 0
        for dimension in self.dimensions:
            coordinate = 0.5
            if dimension.parameter.varies:
                coordinate = float(unit[column])
                column += 1
            if not dimension.when or dimension.active(params):
                params[dimension.name] = dimension.parameter.decode(coordinate)
        return params

    def encode(self, params: Mapping[str, Any], absent: float = 0.5) -> list[float]:
        """Coordinates of a point, shape ``(len(self),)``; ``absent`` stands where a parameter does not exist."""
        return [
            dimension.parameter.encode(params[dimension.name]) if dimension.name in params else absent
            for dimension in self.varying
        ]

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise SpaceError unless the point belongs to the space; the message names the parameter."""
        unknown = [name for name in params if name not in self._by_name]
        if unknown:
            raise SpaceError(
                f"a point may only hold the parameters {list(self.names)!r}; received also {unknown!r}"
            )
        for dimension in self.dimensions:
            exists = dimension.active(params)
            if exists != (dimension.name in params):
                rule = "must be given" if exists else f"exists only when {_words(dimension.when)}"
                raise SpaceError(f"parameter {dimension.name!r} {rule}; received {dict(params)!r}")
            if exists and not dimension.parameter.contains(params[dimension.name]):
                raise SpaceError(
                    f"parameter {dimension.name!r} must be a value of {dimension.parameter!r}; received "
                    f"{params[dimension.name]!r}"
                )

    def contains(self, params: Mapping[str, Any]) -> bool:
        """Whether the point belongs to the space."""
        try:
            self.check(params)
        except SpaceError:
            return False
        return True

    def grid(self) -> dict[str, list[Value]]:
        """Every value of every parameter, ready for a grid search.

        Raises:
            SpaceError: a parameter is continuous without ``points``, or conditional.
        """
        grid = {}
        for dimension in self.dimensions:
            if dimension.when:
                raise SpaceError(
                    "a grid needs parameters that always exist; received the conditional parameter "
                    f"{dimension.name!r}; give GridSearchAlgorithm a list of grids, one per case"
                )
            try:
                grid[dimension.name] = list(dimension.parameter.grid())
            except ValueError as error:
                raise SpaceError(f"parameter {dimension.name!r}: {error}") from error
        return grid


def _words(when: Mapping[str, tuple[Value, ...]]) -> str:
    return " and ".join(f"{name} is one of {list(values)!r}" for name, values in when.items())


def _parse(name: Any, spec: Any) -> Parameter | Conditional:
    if not isinstance(name, str) or not name:
        raise SpaceError(f"a parameter name must be a string with at least one character; received {name!r}")
    if isinstance(spec, (Parameter, Conditional)):
        return spec
    if not isinstance(spec, Mapping):
        raise SpaceError(
            f"parameter {name!r} must be a mapping with a 'type' ({', '.join(KINDS)}); received {spec!r}"
        )
    try:
        parsed: Parameter | Conditional = _PARAMETER.validate_python(_spelled(spec))
    except ValidationError as error:
        raise SpaceError(f"parameter {name!r}: {_first_problem(error)}; received {dict(spec)!r}") from error
    return parsed


def _spelled(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The description with other spellings of the kinds made equal, inside a conditional one too."""
    kind = spec.get("type")
    spelled = dict(spec) | ({"type": _OTHER_SPELLINGS.get(kind, kind)} if isinstance(kind, str) else {})
    if isinstance(spelled.get("parameter"), Mapping):
        spelled["parameter"] = _spelled(spelled["parameter"])
    return spelled


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return f"'type' must be one of {', '.join(KINDS)}"
    message = problem["msg"].removeprefix("Value error, ")
    place = [str(part) for part in problem["loc"] if str(part) not in KINDS]
    return f"{'.'.join(place)}: {message}" if place else message


def _in_order(declared: Mapping[str, Parameter | Conditional]) -> list[Dimension]:
    """Dimensions in declaration order, except that a parameter follows those it depends on."""
    done: dict[str, Dimension] = {}

    def place(name: str, path: tuple[str, ...]) -> None:
        if name in done:
            return
        if name in path:
            raise SpaceError(
                "conditions must not form a circle; received "
                f"{' -> '.join((*path[path.index(name) :], name))}"
            )
        spec = declared[name]
        when: Mapping[str, tuple[Value, ...]] = {}
        parameter = spec
        if isinstance(spec, Conditional):
            when, parameter = spec.when, spec.parameter
            for parent, values in when.items():
                if parent not in declared:
                    raise SpaceError(
                        f"parameter {name!r}: 'when' must name parameters of this space; received "
                        f"{parent!r}; there are {sorted(declared)!r}"
                    )
                place(parent, (*path, name))
                for value in values:
                    if not done[parent].parameter.contains(value):
                        raise SpaceError(
                            f"parameter {name!r}: 'when' must use values that {parent!r} can have; received "
                            f"{value!r}"
                        )
        assert isinstance(parameter, Parameter)
        done[name] = Dimension(name, parameter, when)

    for name in declared:
        place(name, ())
    return list(done.values())


def grid_values(name: str, values: Any) -> list[Value]:
    """The values of one grid parameter as plain values. Raises SpaceError for anything but a non-empty list."""
    if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__iter__"):
        raise SpaceError(f"grid parameter {name!r} must be a list of values; received {values!r}")
    try:
        plain = [plain_value(value) for value in values]
    except ValueError as error:
        raise SpaceError(f"grid parameter {name!r}: {error}") from error
    if not plain:
        raise SpaceError(f"grid parameter {name!r} must have at least one value; received {values!r}")
    return plain
