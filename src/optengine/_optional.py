"""Optional dependencies: one way to ask for them, one message when they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from optengine.errors import EngineError

_ENGINE = frozenset(
    {"cloudpickle", "pandas", "pyarrow", "pydantic", "pydantic_settings", "scipy", "threadpoolctl", "tqdm"}
)
"""What the extra ``engine`` installs."""


class MissingExtraError(EngineError, ImportError):
    """A feature needs a package that is not installed; the message names the extra to install."""


def require(module: str, extra: str, feature: str) -> Any:
    """The imported module.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{feature} needs the package {module.partition('.')[0]!r}, which is not installed; "
            f"install it with: pip install 'pytest-optbench[{extra}]'"
        ) from error


def missing_engine(feature: str, error: ImportError) -> MissingExtraError | None:
    """The error to raise in place of *error* when it comes from a package of the extra ``engine``, else None."""
    package = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or package not in _ENGINE:
        return None
    return MissingExtraError(
        f"{feature} needs the package {package!r}, which is not installed; "
        "install it with: pip install 'pytest-optbench[engine]'"
    )
