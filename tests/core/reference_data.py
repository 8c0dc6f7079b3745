"""Ten measured pairs: clean, with one outlier, close to the threshold, and nearly the same."""

from __future__ import annotations

import numpy as np

BASELINE = np.array([10.012, 10.234, 9.987, 10.101, 10.415, 10.066, 9.954, 10.190, 10.023, 10.301])
ORDER = np.array([1, -1, -1, 1, -1, 1, 1, -1, 1, -1])
CLEAN = np.array([9.012, 9.251, 9.104, 8.985, 9.330, 9.101, 8.940, 9.215, 8.997, 9.288])
PATTERN = np.array([0.012, -0.015, 0.02, -0.008, 0.005, -0.018, 0.011, -0.004, 0.016, -0.019])


def _one_outlier() -> np.ndarray:
    values = CLEAN.copy()
    values[4] = 13.330
    return values


OPTIMIZED = {
    "clean": CLEAN,
    "outlier": _one_outlier(),
    "close": np.round(BASELINE * 0.942 * (1 + PATTERN), 3),
    "same": np.round(BASELINE * 0.99 * (1 + PATTERN / 2), 3),
}
