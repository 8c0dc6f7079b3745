"""Rows: every numerical function of this package takes arrays of shape (R, n).

R is the number of independent sessions, n the number of pairs in each. A single measurement is the
case R = 1, so a simulation with thousands of rows runs exactly the code that judges one benchmark.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]


def as_rows(values: ArrayLike) -> FloatArray:
    """Return `values` as float rows (R, n); one-dimensional input becomes a single row.

    Raises:
        ValueError: more than two dimensions.
    """
    array: FloatArray = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if array.ndim != 2:
        raise ValueError(
            f"values must be one- or two-dimensional, got shape {array.shape!r}; pass (n,) or (R, n)"
        )
    return array


def median(values: ArrayLike) -> Any:
    """Return the median along the last axis, NaN where a value is NaN: `np.median`, which loads `numpy.ma` first."""
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=-1)
    n = ordered.shape[-1]
    middle = (ordered[..., (n - 1) // 2] + ordered[..., n // 2]) / 2.0
    return np.where(np.isnan(ordered[..., -1]), np.nan, middle)


def quantile(values: FloatArray, share: float) -> FloatArray:
    """Return the quantile along the last axis by linear interpolation, NaN where a value is NaN.

    `np.quantile` to the last bit, which loads `numpy.ma` first; `share` in [0, 1).
    """
    last = values.shape[-1] - 1
    below = int(last * share)
    above = min(below + 1, last)
    ordered = np.partition(values, sorted({below, above, last}), axis=-1)
    low, high, weight = ordered[..., below], ordered[..., above], last * share - below
    between = low + (high - low) * weight if weight < 0.5 else high - (high - low) * (1.0 - weight)
    return np.where(np.isnan(ordered[..., last]), np.nan, between)


def scalar(values: Any) -> float:
    """Return the only element of a one-row result as a plain float."""
    return float(np.asarray(values).reshape(-1)[0])
