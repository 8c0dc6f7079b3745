"""Find what a command line names as ``module:attribute``."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from optengine.errors import EngineError


def named_callable(name: str, what: str, error: type[EngineError]) -> Callable[..., Any]:
    """The callable at ``module:attribute``; modules of the current folder are found too.

    ``what`` is named in messages ("strategy"). Raises ``error`` quoting the name and the cause.
    """
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise error(f"the {what} must be written module:function; received {name!r}")
    here = os.getcwd()  # noqa: PTH109 - sys.path holds text
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as cause:  # a module may raise anything while it is imported
        raise error(
            f"the {what} must be importable; received {name!r} ({type(cause).__name__}: {cause})"
        ) from cause
    if not callable(found):
        raise error(f"the {what} must be callable; received {name!r}, a {type(found).__name__}")
    loaded: Callable[..., Any] = found
    return loaded
