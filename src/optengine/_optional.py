"""Optional dependencies: one way to ask for them, one message when they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from optengine.errors import EngineError


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
