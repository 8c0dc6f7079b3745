"""A parameter sweep: one strategy, one table of data, every point of a grid.

::

    CSV file -> DataFrame -> SharedFrame -+-> worker: strategy(frame, **point) -> row
    grid     -> points -------------------+-> worker: strategy(frame, **point) -> row

The sweep owns the shared frame and the workers; both are gone when it returns.
"""

from __future__ import annotations

from optengine.sweep.errors import SweepError
from optengine.sweep.grid import Axis, Point, parse_axes, parse_axis, points
from optengine.sweep.outcome import Outcome
from optengine.sweep.run import sweep

__all__ = ["Axis", "Outcome", "Point", "SweepError", "parse_axes", "parse_axis", "points", "sweep"]
