"""Charts inside the HTML report: a decision document becomes inline SVG that fits every width.

    series (numbers) -> one chart per file -> labels (which fit) -> svg (elements)   html.py puts them into the page

Horizontal positions are percentages and vertical ones pixels, so a chart is as wide as its column while text
and marks keep their size, without any script. Colours come from the page's classes and follow its scheme;
everything is said by shape or in words as well. A chart is a `Chart`: markup and the legend's entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from .control import control_chart
from .distributions import distributions_chart
from .drift import drift_chart
from .forest import Forest
from .interval import interval_chart
from .looks import looks_chart
from .pairs import pairs_chart
from .svg import Chart

CHARTS: Final[Mapping[str, Callable[[Mapping[str, Any]], Chart | None]]] = {
    "interval": interval_chart,
    "pairs": pairs_chart,
    "distributions": distributions_chart,
    "drift": drift_chart,
    "control": control_chart,
    "looks": looks_chart,
}
"""Every chart of one decision by name; None stands for one with nothing to draw."""

__all__ = ["CHARTS", "Chart", "Forest"]
