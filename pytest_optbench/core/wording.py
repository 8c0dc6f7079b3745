"""Numbers as readers see them: time saved in per cent and as a ratio, p-values, seconds never here."""

from __future__ import annotations

import math


def percent(fraction: float, digits: int = 2) -> str:
    """Return a fraction as per cent: 0.0993 -> "9.93%"; "n/a" if it is not finite."""
    return f"{100.0 * fraction:.{digits}f}%" if math.isfinite(fraction) else "n/a"


def short_percent(fraction: float) -> str:
    """Return a fraction as per cent without trailing zeros: 0.05 -> "5%"."""
    return f"{100.0 * fraction:.6g}%"


def times(ratio: float) -> str:
    """Return a ratio with its sign of multiplication: 1.1103 -> "1.110x"."""
    return f"{ratio:.3f}x" if math.isfinite(ratio) else "n/a"


def p_value(p: float) -> str:
    """Return a p-value with two digits, "<1e-6" below that."""
    if not math.isfinite(p):
        return "n/a"
    return "<1e-6" if p < 1e-6 else f"{p:.2g}"
