"""Realistic decision documents for tests: numbers are computed from literal trials, nothing is random."""

from __future__ import annotations

import math
from statistics import fmean, median, stdev
from typing import Any

Doc = dict[str, Any]

NASTY = (
    "a|b <script>alert(1)</script> `code` **bold** [x](http://evil.example) @octocat #12 &amp; 🚀 "
    "]]> ::error::boom \x1b[31m\u202e \udc80 $x$ ##[error]x ~~s~~\n# heading\r\n- item"
)
"""A title that tries every place it can end up in."""

NOISE = (3, -7, 1, 9, -4, -2, 6, -9, 2, 5, -6, 8, -1, -3, 4, 7, -8, -5, 10, -10)
"""Thousandths by which trials vary; repeated when more are needed."""

LOOKS = (10, 15, 20, 30, 40)
LIMITS = (0.00876, 0.00579, 0.00584, 0.0082, 0.00861)


def decision(
    baseline_s: float = 14.685,
    optimized_s: float = 3.675,
    n: int = 10,
    half_width: float = 0.004,
    noise: float = 1.0,
    **changes: Any,
) -> Doc:
    """Return a measured decision with ``n`` pairs; ACCEPT by default. ``changes`` replace top-level keys."""
    pairs = [_pair(index, baseline_s, optimized_s, noise) for index in range(n)]
    d = [pair["log_ratio"] for pair in pairs]
    theta, error = fmean(d), stdev(d) / math.sqrt(n)
    low, high = math.exp(-theta - half_width), math.exp(-theta + half_width)
    ratio = _interval(math.exp(-theta), low, high)
    t = theta / error
    doc = {
        "schema": "optbench/decision/1",
        "id": "benchmarks/test_01_persistent_pool.py::test_fair",
        "slug": "benchmarks-test_01_persistent_pool-test_fair",
        "title": "Persistent worker pool",
        "group": "pool",
        "rank": 5,
        "expected": 0.75,
        "goal": "speedup",
        "verdict": "ACCEPT",
        "reasons": [],
        "summary": "ACCEPT: 74.97 % time saved = 3.995x, 95 % interval [74.87 %, 75.07 %], needed 5.00 %",
        "margin": 1.0 / 0.95,
        "confidence": 0.95,
        "baseline": _arm("recreate_pool_per_batch", [pair["baseline_s"] for pair in pairs]),
        "optimized": _arm("keep_pool", [pair["optimized_s"] for pair in pairs]),
        "time_saved": _interval(1 - 1 / ratio["estimate"], 1 - 1 / low, 1 - 1 / high),
        "ratio": ratio,
        "tests": {
            "margin": {"t": t + math.log(1 / 0.95) / error, "df": n - 2, "p": 2.0e-9, "limit": LIMITS[0]},
            "zero": {"t": t, "df": n - 2, "p": 1.2e-11},
            "paired_t": {
                "t": t,
                "df": n - 1,
                "p": 2.6e-12,
                "ratio": ratio["estimate"],
                "ci_low": low * 1.001,
                "ci_high": high * 0.999,
            },
            "welch_t": {"t": t * 0.7, "df": 17.8, "p": 0.00042},
            "distribution_free": {
                "name": "Wilcoxon signed-rank, Hodges-Lehmann",
                "p": 0.000977,
                "ratio": ratio["estimate"] * 1.0004,
                "ci_low": low * 0.999,
                "ci_high": high,
            },
        },
        "total_time": _interval(ratio["estimate"], low, high, "ratio"),
        "criteria": [
            {"name": "Equivalence", "required": "same results", "actual": "equal", "passed": True},
            {"name": "Pairs of trials", "required": "at least 10", "actual": str(n), "passed": True},
            {
                "name": "Time saved, lower bound",
                "required": "at least 5.00 %",
                "actual": "74.87 %",
                "passed": True,
            },
            {
                "name": "Control",
                "required": "99 % interval contains 1x",
                "actual": "not taken",
                "passed": None,
            },
        ],
        "equivalence": {
            "checked": True,
            "passed": True,
            "how": "pandas.testing.assert_frame_equal",
            "message": None,
        },
        "pairs": pairs,
        "looks": [
            {
                "n": look,
                "level": 0.9825,
                "ratio": ratio["estimate"],
                "ci_low": low,
                "ci_high": high,
                "p": 2.0e-9,
                "limit": limit,
                "conditional_power": 0.9,
                "stopped": look == n,
            }
            for look, limit in zip(LOOKS, LIMITS, strict=True)
            if look <= n
        ],
        "pairs_needed": None,
        "smallest_detectable": 0.0561,
        "control": {"ratio": 1.0004, "ci_low": 0.9941, "ci_high": 1.0068, "noise_floor": 0.0048, "n": n},
        "order_effect": {"ratio": 0.9938, "p": 0.21},
        "p_sequential": 5.6e-9,
        "p_adjusted": None,
        "diagnostics": [
            {"code": "load", "level": "warn", "message": "load average 1.9 on 2 CPUs while measuring"},
            {"code": "order-effect", "level": "info", "message": "the second run is 0.6 % slower"},
        ],
        "memory": {
            "how": "proportional set size of the process tree",
            "baseline": {"peak_bytes": 838860800, "extra_bytes": 52428800},
            "optimized": {"peak_bytes": 845152256, "extra_bytes": 58720256},
        },
        "metrics": {
            "dispatches": {"unit": "1", "baseline": 100, "optimized": 100, "exact": True},
            "rows": {"unit": "rows/s", "baseline": 2791.2, "optimized": 11152.6, "ratio": 0.25},
        },
        "config": {"workers": 8, "batches": 5, "start_method": "spawn"},
        "environment": {"python": "3.11.7", "cpu": "model x", "cores": 2, "governor": None},
        "code": {
            "baseline": {
                "name": "recreate_pool_per_batch",
                "file": "benchmarks/test_01_persistent_pool.py",
                "line": 41,
                "sha256": "9f" * 32,
            },
            "optimized": {
                "name": "keep_pool",
                "file": "benchmarks/test_01_persistent_pool.py",
                "line": 52,
                "sha256": "3c" * 32,
            },
        },
        "protocol": {
            "isolation": "inline",
            "loops": 1,
            "micro_pairs": 1,
            "looks": list(LOOKS),
            "limits": list(LIMITS),
            "alpha": 0.05,
            "plan": [pair["order"] for pair in pairs],
            "warmup_pairs": 1,
            "gc": "enabled",
            "cpus": [],
            "tracers": [],
            "attempt": 1,
            "max_time_s": 600.0,
            "quick": False,
            "async": False,
        },
        "overhead": {
            "equivalence_s": 18.4,
            "calibration_s": 0.2,
            "warmup_s": 18.3,
            "timed_s": 183.6,
            "control_s": 14.7,
            "analysis_s": 0.03,
            "other_s": 0.6,
            "total_s": 235.83,
        },
        "notes": "Workers are spawned once.\n\nSpawning dominates the baseline.",
        "risks": ["Workers keep memory between batches.", "A stale worker would see old data."],
        "earlier": [],
        "attempt": 1,
        "seed": 7,
        "command": "pytest --optbench benchmarks/test_01_persistent_pool.py --optbench-seed=7",
        "started": "2026-11-22T10:00:00Z",
        "seconds": 235.83,
    }
    return {**doc, **changes}


def not_equivalent(**changes: Any) -> Doc:
    """Return a REJECT that measured nothing because the results differ."""
    empty = {"mean_s": None, "sd_s": None, "median_s": None, "min_s": None, "n": 0}
    doc = decision(
        id="benchmarks/test_02_cache.py::test_cache",
        slug="benchmarks-test_02_cache-test_cache",
        title="Cached parser",
        rank=2,
        verdict="REJECT",
        reasons=["not-equivalent"],
        summary="REJECT: not-equivalent: item 3 of the result differs: 1.0 against 2.0",
        baseline={"name": "parse", **empty},
        optimized={"name": "cached_parse", **empty},
        time_saved=_interval(None, None, None),
        ratio=_interval(None, None, None),
        tests=None,
        total_time=None,
        criteria=[
            {"name": "Equivalence", "required": "same results", "actual": "item 3 differs", "passed": False}
        ],
        equivalence={
            "checked": True,
            "passed": False,
            "how": "nested comparison",
            "message": "item 3 of the result differs: 1.0 against 2.0",
        },
        pairs=[],
        looks=[],
        smallest_detectable=None,
        control=None,
        order_effect=None,
        p_sequential=None,
        diagnostics=[],
        memory=None,
        metrics={},
        config={},
        code=None,
        overhead={"equivalence_s": 0.4, "total_s": 0.41},
        notes=None,
        risks=[],
        expected=0.3,
        seconds=0.41,
        command="pytest --optbench benchmarks/test_02_cache.py",
    )
    return {**doc, **changes}


def inconclusive(**changes: Any) -> Doc:
    """Return an INCONCLUSIVE close call after 20 pairs, one of them an outlier, on its second attempt."""
    doc = decision(
        baseline_s=0.0101,
        optimized_s=0.0095,
        n=20,
        half_width=0.013,
        noise=1.6,
        id="benchmarks/test_03_chunks.py::test_chunks[adaptive]",
        slug="benchmarks-test_03_chunks-test_chunks-adaptive",
        title="Adaptive chunks",
        rank=3,
        verdict="INCONCLUSIVE",
        reasons=["futile"],
        summary="INCONCLUSIVE: 5.92 % time saved = 1.063x, 95 % interval [4.7 %, 7.1 %], needed 5.00 %",
        pairs_needed=29,
        expected=None,
        p_sequential=0.061421,
        earlier=[
            {
                "started": "2026-11-20T09:00:00Z",
                "verdict": "REJECT",
                "reasons": ["below-threshold"],
                "ratio": 1.01,
                "ci_low": 1.002,
                "ci_high": 1.018,
                "n": 10,
                "attempt": 1,
                "quick": False,
            }
        ],
        attempt=2,
    )
    outlier = doc["pairs"][6]
    outlier.update(optimized_s=0.0133, log_ratio=math.log(0.0133 / outlier["baseline_s"]), weight=0.0335)
    return {**doc, **changes}


def nasty(**changes: Any) -> Doc:
    """Return a decision whose every author-given text is hostile."""
    return decision(
        id=f"tests/test_{NASTY}.py::test_x[{NASTY}]",
        slug="nasty",
        title=NASTY,
        group=NASTY,
        reasons=[NASTY],
        verdict="REJECT",
        summary=NASTY,
        notes=f"{NASTY}\n\n```\n{NASTY}\n```",
        risks=[NASTY],
        config={NASTY: NASTY, "nested": {"k": [NASTY]}},
        environment={NASTY: NASTY},
        metrics={NASTY: {"unit": NASTY, "baseline": NASTY, "optimized": 1}},
        criteria=[{"name": NASTY, "required": NASTY, "actual": NASTY, "passed": None}],
        equivalence={"checked": True, "passed": False, "how": NASTY, "message": NASTY},
        diagnostics=[{"code": NASTY, "level": "warn", "message": NASTY}],
        code={
            "baseline": {"name": NASTY, "file": NASTY, "line": 1, "sha256": NASTY},
            "optimized": {"name": NASTY, "file": NASTY, "line": 1, "sha256": NASTY},
        },
        command=f"pytest {NASTY} ````",
        **changes,
    )


def _pair(index: int, baseline_s: float, optimized_s: float, noise: float) -> Doc:
    order = 1 if index % 4 in (0, 3) else -1
    a = round(baseline_s * (1 + noise * NOISE[index % 20] / 1000), 6)
    b = round(optimized_s * (1 + noise * NOISE[(3 * index + 5) % 20] / 1000), 6)
    return {
        "index": index,
        "order": order,
        "baseline_s": a,
        "optimized_s": b,
        "log_ratio": math.log(b / a),
        "weight": 1.0,
        "baseline_cpu_s": round(a * 0.98, 6),
        "optimized_cpu_s": round(b * 0.97, 6),
        "started_s": round(index * (a + b), 6),
        "control": [round(noise * NOISE[(7 * index + 2) % 20] / 2000, 6)],
        "runs": [[order, a, b], [-order, a, b]],
    }


def _arm(name: str, times: list[float]) -> Doc:
    return {
        "name": name,
        "mean_s": fmean(times),
        "sd_s": stdev(times),
        "median_s": median(times),
        "min_s": min(times),
        "n": len(times),
    }


def _interval(estimate: float | None, low: float | None, high: float | None, key: str = "estimate") -> Doc:
    return {key: estimate, "ci_low": low, "ci_high": high}
