"""Numbers, text and other single values."""

from __future__ import annotations

import math
from typing import Any

from .difference import Differs, Path

RELATIVE = 1e-9
ABSOLUTE = 1e-12


def compare_numbers(path: Path, expected: Any, actual: Any, relative: float = RELATIVE) -> None:
    """Compare ints, floats and complex numbers by value; ints exactly, the others tolerantly."""
    if isinstance(expected, int) and isinstance(actual, int):
        if expected != actual:
            raise Differs(path, expected, actual, f"off by {_shown_number(actual - expected)}")
        return
    if isinstance(expected, complex) or isinstance(actual, complex):
        one, two = complex(expected), complex(actual)
        size = max(abs(one), abs(two))
        # A part that is tiny beside the other may be rounding noise of the whole, hence the shared size.
        slack = ABSOLUTE if math.isinf(size) or math.isnan(size) else max(ABSOLUTE, relative * size)
        close = _close(one.real, two.real, relative, slack) and _close(one.imag, two.imag, relative, slack)
    else:
        close = _close(expected, actual, relative, ABSOLUTE)
    if not close:
        raise Differs(path, expected, actual, _how_far(expected, actual))


def compare_text(path: Path, expected: Any, actual: Any) -> None:
    """Compare text with text, or bytes with bytes; the detail says where they part."""
    if expected == actual:
        return
    unit = "character" if isinstance(expected, str) else "byte"
    at = next(
        (i for i, (one, two) in enumerate(zip(expected, actual, strict=False)) if one != two),
        min(len(expected), len(actual)),
    )
    around = slice(max(0, at - 10), at + 20)
    raise Differs(
        path,
        expected,
        actual,
        f"first difference at {unit} {at}: {expected[around]!r} and {actual[around]!r}",
    )


def _close(expected: Any, actual: Any, relative: float, absolute: float) -> bool:
    if expected != expected and actual != actual:
        return True
    try:
        return math.isclose(expected, actual, rel_tol=relative, abs_tol=absolute)
    except OverflowError:  # an int too large for a float
        return bool(expected == actual)


def _how_far(expected: Any, actual: Any) -> str:
    try:
        off = abs(actual - expected)
        size = max(abs(expected), abs(actual))
        if not math.isfinite(off) or not size:
            return ""
        return f"off by {off:.3g}, {off / size:.2g} of the larger"
    except OverflowError:
        return ""


def _shown_number(number: int) -> str:
    return str(number) if abs(number) < 10**20 else "more than 1e20"
