"""The kinds of search parameter: each is a closed set of values and a map to and from the unit interval.

Every algorithm of this package that draws points itself works on the unit cube, one coordinate per parameter
that can vary. ``decode`` maps a coordinate in [0, 1] to a value so that a uniform coordinate gives the
distribution named by the kind; ``encode`` is its inverse (the middle of the cell for discrete kinds).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Value = None | bool | int | float | str | tuple["Value", ...]


def plain_value(value: Any) -> Value:
    """The value as plain Python (numpy scalars unwrapped, lists as tuples), so that it survives JSON exactly.

    Raises:
        ValueError: the value is not a finite number, string, boolean, None or a sequence of those.
    """
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a parameter value must be finite; received {value!r}")
        return value
    if isinstance(value, (list, tuple)):
        return tuple(plain_value(part) for part in value)
    raise ValueError(
        "a parameter value must be a number, string, boolean, None or a sequence of those, so that a journal "
        f"can hold it; received {value!r} of type {type(value).__name__}; use a name and look the object up "
        "in the objective"
    )


def same_value(left: Value, right: Value) -> bool:
    """Whether two parameter values are the same: True and 1 are not, 1 and 1.0 are."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


class Parameter(BaseModel):
    """Base of all kinds. Frozen; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def decode(self, unit: float) -> Value:
        """The value at coordinate ``unit`` in [0, 1]."""
        raise NotImplementedError

    def encode(self, value: Any) -> float:
        """The coordinate in [0, 1] of a value of this parameter."""
        raise NotImplementedError

    def contains(self, value: Any) -> bool:
        """Whether the value belongs to this parameter."""
        raise NotImplementedError

    def grid(self) -> Sequence[Value]:
        """Every value, for a grid. Raises ValueError when there are infinitely many and ``points`` is not given."""
        raise NotImplementedError

    @property
    def varies(self) -> bool:
        """Whether the parameter has a coordinate in the unit cube."""
        return True

    @property
    def ordered(self) -> bool:
        """Whether neighbouring coordinates hold neighbouring values."""
        return True

    @property
    def cells(self) -> int | None:
        """Number of distinct values; None for a continuous parameter."""
        return None


class _Interval(Parameter):
    low: float
    high: float
    points: int | None = Field(default=None, ge=2, description="number of values when used in a grid")

    @model_validator(mode="after")
    def _ordered_bounds(self) -> Self:
        if not self.low < self.high:
            raise ValueError(
                f"low must be below high; received low={self.low!r}, high={self.high!r}; swap them, or use a "
                "constant"
            )
        return self

    def contains(self, value: Any) -> bool:
        return (
            isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high
        )

    def grid(self) -> Sequence[Value]:
        if self.points is None:
            raise ValueError("a continuous parameter needs points=N to be part of a grid; received no points")
        return [self.decode(index / (self.points - 1)) for index in range(self.points)]


class Uniform(_Interval):
    """A real number, uniform between ``low`` and ``high``, both included."""

    type: Literal["uniform"] = "uniform"

    def decode(self, unit: float) -> float:
        """See the base class."""
        return min(self.high, max(self.low, self.low + unit * (self.high - self.low)))

    def encode(self, value: Any) -> float:
        """See the base class."""
        return min(1.0, max(0.0, (float(value) - self.low) / (self.high - self.low)))


class LogUniform(_Interval):
    """A positive real number whose logarithm is uniform between the logarithms of ``low`` and ``high``."""

    type: Literal["log_uniform"] = "log_uniform"

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if self.low <= 0:
            raise ValueError(f"low must be above 0 on a logarithmic scale; received low={self.low!r}")
        return self

    def decode(self, unit: float) -> float:
        """See the base class."""
        low, high = math.log(self.low), math.log(self.high)
        return min(self.high, max(self.low, math.exp(low + unit * (high - low))))

    def encode(self, value: Any) -> float:
        """See the base class."""
        low, high = math.log(self.low), math.log(self.high)
        return min(1.0, max(0.0, (math.log(float(value)) - low) / (high - low)))


class Integer(Parameter):
    """A whole number from ``low`` to ``high``, both included, in steps; ``log`` spreads it over the logarithm."""

    type: Literal["integer"] = "integer"
    low: int
    high: int
    step: int = Field(default=1, ge=1)
    log: bool = False

    @model_validator(mode="after")
    def _ordered_bounds(self) -> Self:
        if not self.low < self.high:
            raise ValueError(
                f"low must be below high; received low={self.low!r}, high={self.high!r}; swap them, or use a "
                "constant"
            )
        if (self.high - self.low) % self.step:
            last = self.low + (self.high - self.low) // self.step * self.step
            raise ValueError(
                f"high must be reached from low in steps of {self.step}; received high={self.high}; use "
                f"{last}"
            )
        if self.log and (self.low < 1 or self.step != 1):
            raise ValueError(
                f"log=True needs low >= 1 and step 1; received low={self.low!r}, step={self.step!r}"
            )
        return self

    @property
    def cells(self) -> int:
        """See the base class."""
        return (self.high - self.low) // self.step + 1

    def decode(self, unit: float) -> int:
        """See the base class."""
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return min(self.high, max(self.low, round(math.exp(low + unit * (high - low)))))
        return self.low + self.step * min(self.cells - 1, int(unit * self.cells))

    def encode(self, value: Any) -> float:
        """See the base class."""
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return (math.log(value) - low) / (high - low)
        return float(((value - self.low) // self.step + 0.5) / self.cells)

    def contains(self, value: Any) -> bool:
        """See the base class."""
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
            and (value - self.low) % self.step == 0
        )

    def grid(self) -> Sequence[Value]:
        """See the base class."""
        return range(self.low, self.high + 1, self.step)


class Categorical(Parameter):
    """One of ``choices``, without an order."""

    type: Literal["categorical"] = "categorical"
    choices: tuple[Any, ...]

    @field_validator("choices")
    @classmethod
    def _plain_and_distinct(cls, choices: tuple[Any, ...]) -> tuple[Value, ...]:
        plain = tuple(plain_value(choice) for choice in choices)
        if not plain:
            raise ValueError("choices must hold at least one value; received ()")
        for index, choice in enumerate(plain):
            if any(same_value(choice, earlier) for earlier in plain[:index]):
                raise ValueError(f"choices must be distinct; received {choice!r} twice")
        return plain

    @property
    def varies(self) -> bool:
        """See the base class."""
        return len(self.choices) > 1

    @property
    def ordered(self) -> bool:
        """See the base class."""
        return False

    @property
    def cells(self) -> int:
        """See the base class."""
        return len(self.choices)

    def decode(self, unit: float) -> Value:
        """See the base class."""
        chosen: Value = self.choices[min(len(self.choices) - 1, int(unit * len(self.choices)))]
        return chosen

    def encode(self, value: Any) -> float:
        """See the base class."""
        return (self.index(value) + 0.5) / len(self.choices)

    def index(self, value: Any) -> int:
        """Position of the value among the choices. Raises ValueError when it is not one of them."""
        for index, choice in enumerate(self.choices):
            if same_value(choice, value):
                return index
        raise ValueError(f"value must be one of {list(self.choices)!r}; received {value!r}")

    def contains(self, value: Any) -> bool:
        """See the base class."""
        return any(same_value(choice, value) for choice in self.choices)

    def grid(self) -> Sequence[Value]:
        """See the base class."""
        return self.choices


class Constant(Parameter):
    """Always ``value``; handed to the objective with the others."""

    type: Literal["constant"] = "constant"
    value: Any

    @field_validator("value")
    @classmethod
    def _plain(cls, value: Any) -> Value:
        return plain_value(value)

    @property
    def varies(self) -> bool:
        """See the base class."""
        return False

    @property
    def cells(self) -> int:
        """See the base class."""
        return 1

    def decode(self, unit: float) -> Value:  # noqa: ARG002 - same signature for every kind
        """See the base class."""
        constant: Value = self.value
        return constant

    def encode(self, value: Any) -> float:  # noqa: ARG002 - same signature for every kind
        """See the base class."""
        return 0.5

    def contains(self, value: Any) -> bool:
        """See the base class."""
        return same_value(self.value, value)

    def grid(self) -> Sequence[Value]:
        """See the base class."""
        return [self.value]


Basic = Annotated[Uniform | LogUniform | Integer | Categorical | Constant, Field(discriminator="type")]


class Conditional(BaseModel):
    """A parameter that exists only where other parameters have given values.

    ``when`` maps the name of another parameter to the value, or list of values, it must have; all must hold.
    Where they do not, the parameter is absent from the point.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    type: Literal["conditional"] = "conditional"
    when: dict[str, Any]
    parameter: Basic

    @field_validator("when")
    @classmethod
    def _lists(cls, when: dict[str, Any]) -> dict[str, tuple[Value, ...]]:
        if not when:
            raise ValueError("when must name at least one other parameter; received {}")
        return {
            name: tuple(
                plain_value(part) for part in (wanted if isinstance(wanted, (list, tuple)) else [wanted])
            )
            for name, wanted in when.items()
        }


AnyParameter = Annotated[
    Uniform | LogUniform | Integer | Categorical | Constant | Conditional, Field(discriminator="type")
]
