"""Decisions that are hard to draw: ratios from nothing to astronomical, many looks, long names, far outliers."""

from __future__ import annotations

import math

import samples

LONG = "a_very_long_name_without_any_break_" * 6


def situations() -> list[samples.Doc]:
    """Return one decision for each situation; its slug names it."""
    made = [
        scaled("huge", 1.0, 1 / 400, noise=3),
        scaled("astronomical", 1.0, 1 / 3e5, noise=3),
        scaled(
            "tiny", 1.0, 0.99995, noise=0.01, half_width=2e-5, verdict="REJECT", reasons=["below-threshold"]
        ),
        scaled("slower", 1.0, 30.0, noise=5, verdict="REJECT", reasons=["slower"]),
        scaled("much-slower", 1.0, 4200.0, noise=5, verdict="REJECT", reasons=["slower"]),
        scaled(
            "wide", 0.02, 0.0195, n=40, noise=14, half_width=0.4, verdict="INCONCLUSIVE", reasons=["futile"]
        ),
        scaled("hours", 1e4, 9e3, noise=20, half_width=0.03),
        scaled(
            "nanoseconds", 37e-9, 36e-9, n=40, noise=15, half_width=0.03, verdict="REJECT", reasons=["futile"]
        ),
        scaled("pairs", 0.0101, 0.0095, n=200, noise=1.5),
        _long_names(),
        _neighbouring_outliers(),
        _many_looks(),
        _unclean_control(),
    ]
    return made


def scaled(slug: str, baseline_s: float, optimized_s: float, n: int = 10, **changes: object) -> samples.Doc:
    """Return a decision on arms this fast, with more digits than `samples.decision` keeps of short times."""
    factor = 1.0
    while min(baseline_s, optimized_s) * factor < 1:
        factor *= 10
    named = {"slug": slug, "id": f"tests/test_odd.py::test_{slug}", "title": slug.capitalize(), **changes}
    doc = samples.decision(baseline_s * factor, optimized_s * factor, n=n, **named)  # type: ignore[arg-type]
    for arm in ("baseline", "optimized"):
        for key in ("mean_s", "sd_s", "median_s", "min_s"):
            doc[arm][key] /= factor
    for pair in doc["pairs"]:
        for key in ("baseline_s", "optimized_s", "baseline_cpu_s", "optimized_cpu_s"):
            pair[key] /= factor
    return doc


def _long_names() -> samples.Doc:
    doc = scaled("long", 1.0, 0.5, id=f"tests/test_{LONG}.py::test_{LONG}[{LONG}]", title=LONG, group=LONG)
    doc["baseline"]["name"] = doc["optimized"]["name"] = LONG
    doc.update(config={LONG: LONG}, environment={LONG: LONG}, risks=[LONG], notes=LONG, command=LONG)
    doc["criteria"].append({"name": LONG, "required": LONG, "actual": LONG, "passed": False})
    return doc


def _neighbouring_outliers() -> samples.Doc:
    doc = scaled("outliers", 0.0101, 0.0095, n=40, noise=1.5)
    for index in (5, 6, 7, 30):
        pair, seconds = doc["pairs"][index], 0.03 + index / 1000
        pair.update(optimized_s=seconds, log_ratio=math.log(seconds / pair["baseline_s"]), weight=0.01)
    return doc


def _many_looks() -> samples.Doc:
    doc = scaled("looks", 0.0101, 0.0095, n=40, noise=1.5)
    doc["looks"] = [{**doc["looks"][0], "n": n, "stopped": n == 40} for n in range(10, 41)]
    doc["protocol"]["looks"] = list(range(10, 61))
    return doc


def _unclean_control() -> samples.Doc:
    control = {"ratio": 1.2, "ci_low": 1.1, "ci_high": 1.3, "noise_floor": 0.2, "n": 10}
    return scaled("control", 0.0101, 0.0095, verdict="INCONCLUSIVE", reasons=["control"], control=control)
