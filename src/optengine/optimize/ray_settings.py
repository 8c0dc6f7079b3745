"""Where the Ray cluster is and what workers ask of it, from arguments or the environment."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class RaySettings(BaseSettings):
    """Settings of the Ray backend; each can also be given as ``OPTENGINE_RAY_<NAME>``, arguments win.

    ``address``: of a running cluster (``"auto"`` finds it on a cluster machine); None starts one on this
    machine and stops it at the end. ``num_cpus``: CPUs of a cluster started here. ``cpus_per_worker``: CPUs
    reserved for each. ``runtime_env``: Ray's description of code and packages to install on the nodes (JSON
    in the environment). ``start_timeout_s``: how long to wait for a first worker when none can be placed.
    """

    model_config = SettingsConfigDict(env_prefix="OPTENGINE_RAY_", frozen=True, extra="forbid")

    address: str | None = None
    num_cpus: int | None = Field(default=None, ge=1)
    cpus_per_worker: float = Field(default=1.0, gt=0)
    runtime_env: dict[str, Any] | None = None
    start_timeout_s: float = Field(default=120.0, gt=0)
