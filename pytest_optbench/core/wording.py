"""Numbers as readers see them: time saved in per cent and as a ratio, p-values, metrics; seconds never here."""

from __future__ import annotations

import math
from typing import Final

_BYTES: Final = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def percent(fraction: float, digits: int = 2) -> str:
    """Return a fraction as per cent: 0.0993 -> "9.93 %", never "-0.00 %"; "n/a" if it is not finite."""
    return f"{100.0 * fraction:z.{digits}f} %" if math.isfinite(fraction) else "n/a"


def short_percent(fraction: float) -> str:
    """Return a fraction as per cent without trailing zeros: 0.05 -> "5 %"."""
    return f"{100.0 * fraction:z.6g} %"


def change(fraction: float) -> str:
    """Return a change with its sign: 0.031 -> "+3.10 %", 41.5 -> "42.5x as much", 2712.3 -> "2713x as much"."""
    if fraction >= 10.0:
        return f"{1.0 + fraction:.{1 if fraction < 99.0 else 0}f}x as much"
    if 0.0 < abs(fraction) < 5e-5:
        return f"{100.0 * fraction:+.2g} %"  # two decimals would show no change at all
    return f"{'+' if fraction >= 0.0 else ''}{percent(fraction)}"


def times(ratio: float) -> str:
    """Return a ratio with its sign of multiplication: 1.1103 -> "1.110x", 0.000238 -> "0.000238x"."""
    if not math.isfinite(ratio):
        return "n/a"
    return f"{ratio:.3g}x" if 0.0 < ratio < 0.1 else f"{ratio:.3f}x"


def p_value(p: float) -> str:
    """Return a p-value with two digits, "<1e-6" below that."""
    if not math.isfinite(p):
        return "n/a"
    return "<1e-6" if p < 1e-6 else f"{p:.2g}"


def size(value: float) -> str:
    """Return bytes with the binary unit that fits: 52428800 is "50.00 MiB"."""
    for scale, unit in _BYTES:
        if abs(value) >= scale:
            return f"{value / scale:.2f} {unit}"
    return f"{value:.0f} B"


def quantity(value: float | None, unit: str | None) -> str:
    """Return a metric's value with its unit, "B" as the size that fits: 2791.213 rows/s -> "2791.21 rows/s"."""
    if value is None:
        return "n/a"
    if unit == "B":
        return size(value)
    text = str(value) if isinstance(value, int) else f"{value:.6g}"
    return f"{text} {unit}" if unit and unit != "1" else text
