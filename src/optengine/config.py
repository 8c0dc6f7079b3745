"""Engine settings from environment variables ``OPTENGINE_*``; arguments given in code are stronger."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from optengine.errors import ConfigurationError
from optengine.pool.memory import parse_bytes
from optengine.pool.start import METHODS, StartMethod

PREFIX = "OPTENGINE_"


def _names(value: Any) -> Any:
    return (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )


class EngineSettings(BaseSettings):
    """Defaults of every pool of this process. Each field is also the variable ``OPTENGINE_<FIELD>``.

    ``EngineSettings.model_fields`` holds each field's default, range and meaning; times are seconds. Raises
    ``ValidationError`` for a value out of range; ``load_settings`` names the variable it came from.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True, extra="forbid")

    persistent_pool: bool = Field(default=True, description="shared_pool() keeps its pools between uses")
    max_workers: int | None = Field(default=None, ge=1, description="workers per pool; unset: CPUs granted")
    start_method: StartMethod | None = Field(default=None, description=f"one of {', '.join(METHODS)}")
    start_timeout: float | None = Field(
        default=300.0, gt=0, description="seconds a worker may take until its initializer has returned"
    )
    task_timeout: float | None = Field(default=None, gt=0, description="seconds a task may run")
    memory_limit: Annotated[
        int | None, BeforeValidator(lambda value: None if value is None else parse_bytes(value))
    ] = Field(default=None, description="unshared memory per worker: bytes, or a text such as 512MB")
    host_reserve: float = Field(
        default=0.03,
        ge=0,
        lt=1,
        description="share of the machine's memory below which the largest worker is killed; 0: off",
    )
    max_attempts: int = Field(default=2, ge=1, description="how often a task may be started")
    max_tasks_per_worker: int | None = Field(
        default=None, ge=1, description="replace a worker after so many tasks"
    )
    threads_per_worker: int | None = Field(
        default=None, ge=1, description="cap for BLAS and OpenMP threads in a worker"
    )
    preload: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = Field(
        default=(), description="modules, separated by commas, imported once in the fork server"
    )
    interrupt_grace: float = Field(
        default=10.0, ge=0, description="seconds running tasks get to end after Ctrl-C"
    )


def load_settings() -> EngineSettings:
    """The settings in force now.

    Raises ``ConfigurationError`` naming the variable that cannot be used, or that is a setting's name misspelt.
    """
    known = {f"{PREFIX}{name.upper()}" for name in EngineSettings.model_fields}
    for name in sorted(set(os.environ) - known):
        meant = get_close_matches(name, known, n=1, cutoff=0.9) if name.startswith(PREFIX) else []
        if meant:
            raise ConfigurationError(
                f"{name} is no setting and would be ignored; {meant[0]} is one: correct or unset it"
            )
    try:
        return EngineSettings()
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            field = str(problem["loc"][0]) if problem["loc"] else ""
            meaning = (
                EngineSettings.model_fields[field].description
                if field in EngineSettings.model_fields
                else None
            )
            problems.append(
                f"{PREFIX}{field.upper()} ({meaning}) cannot be {problem.get('input')!r}: {problem['msg']}; "
                "correct or unset it"
            )
        raise ConfigurationError("; ".join(problems)) from error
