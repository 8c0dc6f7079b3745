"""Reference data of the decision core; the folder above is importable for the simulation modules."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from reference_data import BASELINE, OPTIMIZED, ORDER

# Appended, so that an installed package is never hidden by the checkout.
sys.path.append(str(Path(__file__).parents[2]))


@pytest.fixture
def pairs_of():
    """Return the pairs of one of the four reference data sets by name."""
    from pytest_optbench.core.pairs import Pairs

    def build(name: str, factor: float = 1.0) -> Pairs:
        return Pairs.from_seconds(BASELINE.tolist(), (OPTIMIZED[name] * factor).tolist(), ORDER.tolist())

    return build


@pytest.fixture
def noisy_pairs():
    """Return n simulated pairs with a true time saved and a given noise."""
    from pytest_optbench.core.orders import plan_orders
    from pytest_optbench.core.pairs import Pairs

    def build(n: int, saved: float, sd: float = 0.02, seed: int = 1) -> Pairs:
        rng = np.random.default_rng(seed)
        order = plan_orders([10, 15, 20, 30, max(40, n)], seed)[:n]
        baseline = np.exp(sd * rng.standard_normal(n))
        optimized = (1 - saved) * np.exp(sd * rng.standard_normal(n))
        return Pairs.from_seconds(baseline.tolist(), optimized.tolist(), order.tolist())

    return build
