"""The configuration of a run, validated as a whole; messages name the argument."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from optengine.optimize.errors import OptimizeError
from optengine.pool.memory import parse_limit

Positive = Field(default=None, gt=0, allow_inf_nan=False)
Count = Field(default=None, ge=1, strict=True)


class OptimizerSettings(BaseModel):
    """What ``ParallelOptimizer`` was told, checked and frozen. Times in seconds, memory in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    n_jobs: int | None = Count
    backend: Any = "local"
    max_eval_time: float | None = Positive
    memory_limit: int | str | None = None
    max_attempts: int = Field(default=2, ge=1, strict=True)
    direction: Literal["maximize", "minimize"] = "maximize"
    window: int | None = Count
    checkpoint: Path | None = None
    resume: bool = True
    progress: bool = True
    patience: int | None = Count
    target: float | None = Field(default=None, allow_inf_nan=False)
    max_seconds: float | None = Positive
    max_failures: int | float | None = 0.5
    code_version: str | None = None

    @field_validator("max_failures")
    @classmethod
    def _count_or_share(cls, limit: Any) -> Any:
        if limit is None:
            return None
        whole = isinstance(limit, int) and not isinstance(limit, bool) and limit >= 1
        share = isinstance(limit, float) and math.isfinite(limit) and 0 < limit <= 1
        if not (whole or share):
            raise ValueError("must be a whole number of at least 1, a share above 0 up to 1, or None")
        return limit

    @field_validator("memory_limit", mode="before")
    @classmethod
    def _bytes(cls, limit: Any) -> Any:
        parse_limit(limit)
        return limit

    @classmethod
    def checked(cls, **values: Any) -> Self:
        """The settings.

        Raises:
            OptimizeError: names the first argument that is wrong, what must hold and what was received.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            problem = error.errors()[0]
            name = str(problem["loc"][0])
            message = problem["msg"].removeprefix("Value error, ")
            raise OptimizeError(f"{name}: {message}; received {values.get(name)!r}") from error
