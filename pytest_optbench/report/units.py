"""Numbers as people read them. ``None`` is unknown and reads ``n/a``; nothing here knows a layout.

A gain is always shown twice, as time saved and as a ratio ("74.97 % = 3.995x"): "75 % faster" means
something else to half of its readers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, Final

from ..core import wording

UNKNOWN: Final = "n/a"
LONGEST_VALUE: Final = 200
"""Characters shown of one configuration or environment value; the JSON twin holds all of it."""

_SECONDS: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def percent(fraction: float | None, digits: int = 2, sign: bool = False) -> str:
    """Return ``fraction`` in percent: 0.7497 is ``74.97 %``; ``sign`` shows a plus as well.

    Digits are added rather than rounding a part up to the whole: 0.99999 is ``99.999 %``, not ``100.00 %``.
    From ten thousand per cent on there are no decimals.
    """
    if fraction is None:
        return UNKNOWN
    value = 100.0 * fraction
    digits = digits if abs(value) < 1e4 else 0
    while fraction < 1.0 and digits < 12 and round(value, digits) >= 100.0:
        digits += 1
    text = f"{value:{'+' if sign else ''}.{digits}f}" if abs(value) < 1e7 else f"{value:.3g}"
    return f"{_no_negative_zero(text)} %"


def ratio(value: float | None) -> str:
    """Return a ratio baseline time / optimized time: 3.9952 is ``3.995x``, 322.19 is ``322.2x``."""
    return UNKNOWN if value is None else f"{_significant(value)}x"


def time_saved(ratio_value: float | None) -> float | None:
    """Return the time saved, as a fraction, of a ratio baseline time / optimized time: 1 - 1/ratio."""
    return None if not ratio_value else 1.0 - 1.0 / ratio_value


def both(ratio_value: float | None) -> str:
    """Return a ratio both ways: 3.9952 is ``74.97 % = 3.995x``."""
    if ratio_value is None:
        return UNKNOWN
    return f"{percent(time_saved(ratio_value))} = {ratio(ratio_value)}"


def both_interval(low: float | None, high: float | None) -> str:
    """Return an interval of ratios both ways: ``74.32 % to 75.63 % = 3.894x to 4.103x``."""
    if low is None or high is None:
        return UNKNOWN
    return f"{saved_interval(low, high)} = {_apart(low, high, range(4, 9), lambda *each: f'{_significant(*each)}x')}"


def saved_interval(low: float | None, high: float | None) -> str:
    """Return an interval of ratios as time saved: ``74.32 % to 75.63 %``."""
    one, other = time_saved(low), time_saved(high)
    return UNKNOWN if one is None or other is None else percents(one, other)


def percents(low: float, high: float) -> str:
    """Return two fractions as ``74.32 % to 75.63 %``."""
    return _apart(low, high, range(2, 7), percent)


def _apart(low: float, high: float, digits: range, show: Callable[[float, int], str]) -> str:
    """Return ``low to high`` with the fewest digits that tell them apart, the fewest of all where none do."""
    shown = [(show(low, each), show(high, each)) for each in digits]
    return " to ".join(next((ends for ends in shown if ends[0] != ends[1]), shown[0]))


def seconds(value: float | None) -> str:
    """Return a duration with the unit that fits: 0.009122 is ``9.122 ms``, 90.5 is ``90.50 s``."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0 s"
    for scale, unit in _SECONDS:
        if abs(value) >= scale * 0.99995:
            return f"{_significant(value / scale)} {unit}"
    return f"{value * 1e9:.3g} ns"


def seconds_and_spread(mean: float | None, deviation: float | None) -> str:
    """Return a mean with its standard deviation in the same unit: ``14.69 s ± 0.0854 s (sd)``."""
    if mean is None or deviation is None:
        return seconds(mean)
    for scale, unit in _SECONDS:
        if abs(mean) >= scale * 0.99995:
            return f"{seconds(mean)} ± {deviation / scale:.3g} {unit} (sd)"
    return f"{seconds(mean)} ± {seconds(deviation)} (sd)"


def p_value(value: float | None) -> str:
    """Return a p-value: ``0.0124``, ``2.0e-05``, ``<1e-6``."""
    if value is None:
        return UNKNOWN
    if value < 1e-6:
        return "<1e-6"
    return f"{value:.1e}" if value < 1e-3 else f"{value:.4f}"


def number(value: float | None, digits: int = 3) -> str:
    """Return a bare number: whole ones without a point, others with ``digits`` decimals."""
    if value is None:
        return UNKNOWN
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.3g}" if abs(value) >= 1e6 or abs(value) < 10**-digits else f"{value:.{digits}f}"


def size(value: float | None) -> str:
    """Return bytes with the binary unit that fits: 52428800 is ``50.00 MiB``."""
    return UNKNOWN if value is None else wording.size(value)


def shortened(value: Any) -> str:
    """Return text as it is and anything else as compact JSON, cut to `LONGEST_VALUE` characters."""
    if value is None:
        return UNKNOWN
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _significant(value: float, figures: int = 4) -> str:
    """Return ``value`` with that many significant digits, at least three decimals below 10, never an exponent."""
    if value == 0 or not 1e-9 < abs(value) < 1e12:
        return f"{value:.{figures}g}"
    decimals = figures - 1 - math.floor(math.log10(abs(value)))
    if round(abs(value), decimals) >= 10.0 ** (figures - decimals):  # 9.9999 rounds up to 10.000
        decimals -= 1
    return f"{value:.{max(decimals, 0)}f}"


def _no_negative_zero(text: str) -> str:
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text
