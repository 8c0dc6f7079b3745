"""Thirteen kinds of timing noise, as log times of paired runs.

A session runs 2n slots, two per pair. The environment gives every slot a log multiplier that hits
whichever arm runs there; on top each run has noise of its own. All noise multiplies, so a true time saved
of s adds log(1 - s) to every optimized run and all estimands agree.

Eleven models are noise that pairing in random order can handle. Two are not, and are published as limits:
"ar_arm" (noise that persists inside one arm) and "layout" (a bias fixed for the whole session, such as
code placement).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytest_optbench.core.arrays import FloatArray
from pytest_optbench.core.orders import plan_orders

LIMITS = ("ar_arm", "layout")


@dataclass(frozen=True)
class Session:
    """The shape of R sessions of n pairs: who runs in which slot, and the random source.

    order is (R, n) of +1 / -1; baseline_slot and optimized_slot are (R, n) in 0 .. 2n - 1.
    """

    order: FloatArray
    rng: np.random.Generator

    @property
    def shape(self) -> tuple[int, int]:
        """R sessions, n pairs."""
        rows, pairs = self.order.shape
        return rows, pairs

    @property
    def slots(self) -> tuple[int, int]:
        """R sessions, 2n slots."""
        return self.shape[0], 2 * self.shape[1]

    def own(self, sd: float) -> FloatArray:
        """Return independent noise for every run of one arm."""
        return sd * self.rng.standard_normal(self.shape)

    def share(self, environment: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what the environment (R, 2n) does to the baseline and to the optimized runs."""
        start = 2 * np.arange(self.shape[1])
        first = (self.order < 0).astype(np.int64)
        baseline = np.take_along_axis(environment, start + first, 1)
        optimized = np.take_along_axis(environment, start + 1 - first, 1)
        return baseline, optimized


Arms: TypeAlias = tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class NoiseModel:
    """A named noise; `draw` returns log times of baseline and optimized runs, each (R, n)."""

    name: str
    description: str
    draw: Callable[[Session], Arms]

    @property
    def is_limit(self) -> bool:
        """True for the two kinds of noise no paired statistics can remove."""
        return self.name in LIMITS


def random_orders(rows: int, looks: tuple[int, ...], seed: int) -> FloatArray:
    """Return the shipped order plan for `rows` sessions, (R, looks[-1])."""
    seeds = np.random.SeedSequence(seed).generate_state(rows)
    return np.array([plan_orders(looks, int(s)) for s in seeds], dtype=np.float64)


def _autoregressive(shape: tuple[int, int], phi: float, sd: float, rng: np.random.Generator) -> FloatArray:
    """Return stationary AR(1) rows with marginal standard deviation sd."""
    noise = rng.standard_normal(shape)
    for j in range(1, shape[1]):
        noise[:, j] = phi * noise[:, j - 1] + np.sqrt(1.0 - phi * phi) * noise[:, j]
    return sd * noise


def _bursts(session: Session, share: float) -> FloatArray:
    """Return rare slow runs: a share of them times 1 + 5 % Pareto(1.5), whose variance is infinite."""
    hit = session.rng.random(session.shape) < share
    slow: FloatArray = np.log1p(0.05 * (1.0 + session.rng.pareto(1.5, session.shape)))
    return np.where(hit, slow, 0.0)


def _with_environment(session: Session, environment: NDArray[np.floating], sd: float) -> Arms:
    baseline, optimized = session.share(np.asarray(environment, dtype=np.float64))
    return baseline + session.own(sd), optimized + session.own(sd)


def _iid(s: Session) -> Arms:
    return s.own(0.02), s.own(0.02)


def _heavy(s: Session) -> Arms:
    return s.own(0.015) + _bursts(s, 0.10), s.own(0.015) + _bursts(s, 0.10)


def _drift(s: Session) -> Arms:
    ramp = np.broadcast_to(np.linspace(0.0, -0.12, s.slots[1]), s.slots)
    return _with_environment(s, ramp, 0.015)


def _regime(s: Session) -> Arms:
    rows, slots = s.slots
    at = s.rng.uniform(0, slots, (rows, 1))
    step = 0.12 * s.rng.choice([-1.0, 1.0], (rows, 1))
    return _with_environment(s, step * (np.arange(slots) >= at), 0.015)


def _ar_shared(s: Session) -> Arms:
    return _with_environment(s, _autoregressive(s.slots, 0.9, 0.05, s.rng), 0.01)


def _ar_arm(s: Session) -> Arms:
    return (
        s.own(0.01) + _autoregressive(s.shape, 0.6, 0.015, s.rng),
        s.own(0.01) + _autoregressive(s.shape, 0.6, 0.015, s.rng),
    )


def _bimodal(s: Session) -> Arms:
    def mode() -> FloatArray:
        return np.where(s.rng.random(s.shape) < 0.3, 0.06, 0.0)

    return s.own(0.01) + mode(), s.own(0.01) + mode()


def _alias2(s: Session) -> Arms:
    rows, slots = s.slots
    phase = s.rng.integers(0, 2, (rows, 1))
    return _with_environment(s, 0.06 * ((np.arange(slots) + phase) % 2), 0.015)


def _alias4(s: Session) -> Arms:
    rows, slots = s.slots
    phase = s.rng.uniform(0, 2 * np.pi, (rows, 1))
    return _with_environment(s, 0.04 * np.sin(np.pi * np.arange(slots) / 2 + phase), 0.015)


def _second_is_faster(s: Session, arms: Arms, by: float) -> Arms:
    baseline, optimized = arms
    return baseline - by * (s.order < 0), optimized - by * (s.order > 0)


def _position(s: Session) -> Arms:
    return _second_is_faster(s, (s.own(0.015), s.own(0.015)), 0.03)


def _neighbour(s: Session) -> Arms:
    rows, slots = s.slots
    busy = np.empty((rows, slots), dtype=bool)
    now = s.rng.random(rows) < 0.2
    for j in range(slots):  # bursts last six slots on average and fill a fifth of the time
        busy[:, j] = now
        u = s.rng.random(rows)
        now = np.where(now, u > 1 / 6, u < 1 / 24)
    return _with_environment(s, np.log(1.2) * busy, 0.015)


def _layout(s: Session) -> Arms:
    rows = s.shape[0]
    baseline, optimized = 0.01 * s.rng.standard_normal((2, rows, 1))
    return s.own(0.015) + baseline, s.own(0.015) + optimized


def _mix(s: Session) -> Arms:
    slow = _autoregressive(s.slots, 0.9, 0.03, s.rng)
    arms = _with_environment(s, slow + np.linspace(0.0, -0.06, s.slots[1]), 0.015)
    bursts = arms[0] + _bursts(s, 0.05), arms[1] + _bursts(s, 0.05)
    return _second_is_faster(s, bursts, 0.01)


MODELS: tuple[NoiseModel, ...] = (
    NoiseModel("iid", "independent, sd 2 %", _iid),
    NoiseModel("heavy", "sd 1.5 %, 10 % slow runs with infinite variance", _heavy),
    NoiseModel("drift", "sd 1.5 %, machine 12 % faster at the end", _drift),
    NoiseModel("regime", "sd 1.5 %, one 12 % frequency step", _regime),
    NoiseModel("ar_shared", "sd 1 %, slow machine noise of sd 5 % in both arms", _ar_shared),
    NoiseModel("ar_arm", "sd 1 %, slow noise of sd 1.5 % in each arm by itself", _ar_arm),
    NoiseModel("bimodal", "sd 1 %, 30 % of runs 6 % slower", _bimodal),
    NoiseModel("alias2", "sd 1.5 %, 6 % interference every second slot", _alias2),
    NoiseModel("alias4", "sd 1.5 %, 4 % interference of period four", _alias4),
    NoiseModel("position", "sd 1.5 %, the second run of a pair 3 % faster", _position),
    NoiseModel("neighbour", "sd 1.5 %, a neighbour slows 20 % of the time by 20 %", _neighbour),
    NoiseModel("layout", "sd 1.5 %, a fixed bias of sd 1 % per arm and session", _layout),
    NoiseModel("mix", "drift, slow machine noise, slow runs and position together", _mix),
)
BY_NAME = {model.name: model for model in MODELS}


def draw(model: NoiseModel, order: FloatArray, seed: int) -> Arms:
    """Return log times of the baseline and optimized runs of R sessions, each (R, n); no true effect."""
    rng = np.random.default_rng([seed, *model.name.encode()])
    return model.draw(Session(order, rng))
