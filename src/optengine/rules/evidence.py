"""Evidence made fit to cross a process boundary and a report: plain JSON data, original types named. Pure.

``None``, ``bool``, ``int``, ``str``, finite ``float``, lists, tuples and mappings with string keys stay what
they are (a tuple becomes a list). Everything else becomes ``{"__type__": "module.Name", ...}`` with its value
or its ``repr``. Nothing is ever called but ``repr``, and a ``repr`` that raises is reported instead of
raised.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

TYPE_KEY = "__type__"
MAX_DEPTH = 20
MAX_ITEMS = 10_000
MAX_TEXT = 100_000
MAX_REPR = 500


def type_name(value: object) -> str:
    """``module.QualifiedName`` of the type of *value*; no module for builtins."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """*text* that every encoder accepts: lone surrogates escaped, cut at *limit* characters with a note."""
    if len(text) > limit:
        text = f"{text[:limit]}... ({len(text) - limit} more characters)"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def safe_repr(value: object, limit: int = MAX_REPR) -> str:
    """``repr(value)`` cut at *limit* characters; a note when ``repr`` itself raises."""
    try:
        return clean_text(repr(value), limit)
    except Exception as error:  # noqa: BLE001 - evidence belongs to the user; its repr may raise anything
        return f"<repr of {type_name(value)} raised {type(error).__name__}>"


def sanitise(value: object) -> Any:
    """*value* as plain JSON data; what JSON cannot hold is replaced by a note that names the original type.

    Cyclic, deeper than 20 levels or longer than 10,000 items: cut, with a note in the place of what is
    missing.
    """
    return _Sanitiser().convert(value, 0)


class _Sanitiser:
    def __init__(self) -> None:
        self.items_left = MAX_ITEMS
        self.open: set[int] = set()

    def convert(self, value: object, depth: int) -> Any:
        self.items_left -= 1
        kind = type(value)
        if value is None or kind is bool or kind is int:
            return value
        if kind is str:
            return clean_text(value)  # type: ignore[arg-type]
        if kind is float:
            return value if math.isfinite(value) else {TYPE_KEY: "float", "repr": repr(value)}  # type: ignore[arg-type]
        if depth >= MAX_DEPTH or self.items_left < 0 or id(value) in self.open:
            why = "circular" if id(value) in self.open else "too deep or too long"
            return {TYPE_KEY: type_name(value), "cut": why}
        self.open.add(id(value))
        try:
            return self._compound(value, depth + 1)
        except Exception as error:  # noqa: BLE001 - a user's container may raise anything while it is read
            return {TYPE_KEY: type_name(value), "unreadable": f"{type(error).__name__}: {safe_repr(error)}"}
        finally:
            self.open.discard(id(value))

    def _compound(self, value: object, depth: int) -> Any:
        if type(value) in (list, tuple):
            return self._many(value, depth)
        if isinstance(value, Mapping):
            plain = {str(k) if type(k) is str else safe_repr(k): v for k, v in value.items()}
            named = (
                type(value) is not dict or any(type(k) is not str for k in value) or len(plain) != len(value)
            )
            body: dict[str, Any] = {}
            for key, item in plain.items():
                if self.items_left <= 0:
                    body["..."] = f"{len(plain) - len(body)} more"
                    break
                body[clean_text(key)] = self.convert(item, depth)
            return {TYPE_KEY: type_name(value), "value": body} if named or TYPE_KEY in body else body
        note: dict[str, Any] = {TYPE_KEY: type_name(value)}
        if isinstance(value, bool | int):
            return note | {"value": int(value)}
        if isinstance(value, float):
            return note | ({"value": float(value)} if math.isfinite(value) else {"repr": safe_repr(value)})
        if isinstance(value, str):
            return note | {"value": clean_text(str.__str__(value))}
        if isinstance(value, PurePath):
            return note | {"value": clean_text(str(value))}
        if isinstance(value, bytes | bytearray):
            return note | {
                "base64": base64.b64encode(bytes(value[:MAX_TEXT])).decode("ascii"),
                "length": len(value),
            }
        if isinstance(value, set | frozenset):
            return note | {"value": sorted(self._many(value, depth), key=safe_repr)}
        if isinstance(value, list | tuple):
            return note | {"value": self._many(value, depth)}
        return note | {"repr": _stable_repr(value)}

    def _many(self, values: Any, depth: int) -> list[Any]:
        result: list[Any] = []
        for place, item in enumerate(values):
            if self.items_left <= 0:
                result.append({TYPE_KEY: type_name(values), "cut": f"{len(values) - place} more"})
                break
            result.append(self.convert(item, depth))
        return result


def _stable_repr(value: object) -> str:
    """``repr`` without the memory address, so that the same evidence reads the same in every process."""
    text = safe_repr(value)
    return text.replace(hex(id(value)), "0x...").replace(f"0x{id(value):016x}", "0x...")
