"""Evidence made fit to cross a process boundary and a report: plain JSON data, original types named. Pure.

``None``, ``bool``, ``int``, ``str``, finite ``float``, lists, tuples and mappings with string keys stay what
they are (a tuple becomes a list). Everything else becomes ``{"__type__": "module.Name", ...}`` with its value
or its ``repr``. Nothing is ever called but ``repr``, and a ``repr`` that raises is reported instead of
raised.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from optengine.rules.digest import canonical_json

TYPE_KEY = "__type__"
MAX_DEPTH = 20
MAX_ITEMS = 10_000
MAX_TEXT = 100_000
MAX_REPR = 500
#: Characters of all texts together, so that many long ones cannot add up to gigabytes.
MAX_ALL_TEXT = 20_000_000
#: Longer integers have no decimal form under the strictest limit an interpreter can be given (640 digits).
MAX_INT_BITS = 2048
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


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


def error_text(error: BaseException, limit: int = MAX_TEXT) -> str:
    """Type and message of *error*; a note in the message's place when showing it raises."""
    name = type(error).__name__
    try:
        said = clean_text(str(error), limit)
    except BaseException:  # noqa: BLE001 - an exception's __str__ may itself raise anything
        said = "(its message cannot be shown)"
    return f"{name}: {said}".rstrip(": ")


def sanitise(value: object) -> Any:
    """*value* as plain JSON data; what JSON cannot hold is replaced by a note that names the original type.

    Cyclic, deeper than 20 levels, longer than 10,000 items or 20 million characters in all: cut, with a note in
    the place of what is missing.
    """
    return _Sanitiser().convert(value, 0)


class _Sanitiser:
    def __init__(self) -> None:
        self.items_left = MAX_ITEMS
        self.text_left = MAX_ALL_TEXT
        self.open: set[int] = set()

    def text(self, text: str, least: int = 0) -> str:
        """*text* cleaned, cut to *least* characters when texts before it have used up what all may take."""
        clean = clean_text(text, max(min(MAX_TEXT, self.text_left), least))
        self.text_left -= len(clean)
        return clean

    def convert(self, value: object, depth: int) -> Any:
        self.items_left -= 1
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return _integer(value)  # type: ignore[arg-type]
        if kind is str:
            return self.text(value)  # type: ignore[arg-type]
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
                name = self.text(key, MAX_REPR)
                body[name] = self.convert(item, depth)
            return {TYPE_KEY: type_name(value), "value": body} if named or TYPE_KEY in body else body
        note: dict[str, Any] = {TYPE_KEY: type_name(value)}
        # The base class's own methods: those of a subclass may give anything.
        if isinstance(value, int):
            return note | {"value": _integer(int.__int__(value))}
        if isinstance(value, float):
            plain_float = float.__float__(value)
            return note | (
                {"value": plain_float} if math.isfinite(plain_float) else {"repr": safe_repr(value)}
            )
        if isinstance(value, str):
            return note | {"value": self.text(str.__str__(value))}
        if isinstance(value, PurePath):
            return note | {"value": self.text(str(value))}
        if isinstance(value, bytes | bytearray):
            kept = bytes(value[: max(min(MAX_TEXT, self.text_left), 0)])
            self.text_left -= len(kept)
            return note | {"base64": base64.b64encode(kept).decode("ascii"), "length": len(value)}
        if isinstance(value, set | frozenset):
            # The order of a set differs between processes: sorted before it may be cut, and again as shown.
            items = sorted(value, key=stable_repr) if len(value) > self.items_left else value
            return note | {"value": sorted(self._many(items, depth), key=canonical_json)}
        if isinstance(value, list | tuple):
            return note | {"value": self._many(value, depth)}
        return note | {"repr": stable_repr(value)}

    def _many(self, values: Any, depth: int) -> list[Any]:
        result: list[Any] = []
        for place, item in enumerate(values):
            if self.items_left <= 0:
                result.append({TYPE_KEY: type_name(values), "cut": f"{len(values) - place} more"})
                break
            result.append(self.convert(item, depth))
        return result


def _integer(value: int) -> Any:
    """*value*, or the first digits of its hexadecimal form when it is too long to be written as a decimal."""
    if value.bit_length() <= MAX_INT_BITS:
        return value
    return {TYPE_KEY: "int", "hex": clean_text(hex(value), MAX_REPR), "bits": value.bit_length()}


def stable_repr(value: object) -> str:
    """``repr`` without memory addresses, so that the same evidence reads the same in every process."""
    text = safe_repr(value)
    text = text.replace(hex(id(value)), "0x...").replace(f"0x{id(value):016x}", "0x...")
    return _ADDRESS.sub(" at 0x...", text)
