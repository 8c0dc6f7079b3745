"""Files of pyperf (and of perf, its former name): formats 4 to 6 and 1.0, suites, plain or gzip.

A run is a process. Its values are seconds per inner loop already; warm-ups and calibration runs (runs without values)
are left out. The unit of the analysis is the mean of a process. Values of another unit than seconds (tracked memory,
counts) are no times and are skipped by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .names import numbered
from .node import Node
from .recorded import File, Recorded

TOOL: Final = "pyperf"
FORMATS: Final = (4, 5, 6, "1.0")


def recognises(value: Any) -> bool:
    """Whether the JSON value is such a file: ``benchmarks`` made of ``runs``."""
    if not isinstance(value, dict) or not isinstance(value.get("benchmarks"), list):
        return False
    return any(isinstance(each, dict) and "runs" in each for each in value["benchmarks"])


def read(root: Node, sha256: str) -> File:
    """Return the file; raises `ForeignError`."""
    version = root["version"]
    if isinstance(version.value, bool) or version.value not in FORMATS:
        version.fail(f"a format of pyperf that is known here ({', '.join(map(str, FORMATS))})")
    shared = _metadata(root, "metadata")
    found, skipped = [], []
    metadata: Mapping[str, Any] = shared
    for each in root["benchmarks"].filled():
        metadata = {**shared, **_metadata(each, "common_metadata"), **_metadata(each, "metadata")}
        recorded = _benchmark(each, metadata)
        if isinstance(recorded, str):
            skipped.append(recorded)
        else:
            found.append(recorded)
    return File(
        name=root.file,
        sha256=sha256,
        tool=TOOL,
        version=str(metadata.get("perf_version") or f"format {version.value}"),
        benchmarks=numbered(found),
        machine={
            "cpu": metadata.get("cpu_model_name"),
            "cpu_count": metadata.get("cpu_count"),
            "system": str(metadata["platform"]).partition("-")[0] if "platform" in metadata else None,
        },
        facts={
            "python": metadata.get("python_version"),
            "implementation": metadata.get("python_implementation"),
            "recorded": _first_date(root),
        },
        skipped=tuple(skipped),
    )


def _benchmark(node: Node, metadata: Mapping[str, Any]) -> Recorded | str:
    runs = node["runs"].filled()
    known = {**metadata, **_metadata(runs[0], "metadata")}
    name = known.get("name")
    if not isinstance(name, str) or not name.strip():
        node.fail("a benchmark whose metadata holds a name")
    unit = known.get("unit", "second")
    if unit != "second":
        return f"{name}: its unit is {unit!r}, not seconds"
    processes, peaks = [], []
    for run in runs:
        values = tuple(value.seconds() for value in _values(run))
        if not values:
            continue  # a calibration
        processes.append(values)
        peak = {**metadata, **_metadata(run, "metadata")}.get("mem_max_rss")
        if isinstance(peak, int) and peak > 0:
            peaks.append(float(peak))
    if not processes:
        node["runs"].fail("runs of which at least one holds values", "calibrations only")
    peaks = peaks if len(peaks) == len(processes) else []
    return Recorded(name, tuple(processes), peak_bytes=tuple(peaks))


def _values(run: Node) -> list[Node]:
    values = run.get("values") or run.get("samples")
    if values is None and "warmups" not in run:
        run.fail("a run with values or, for a calibration, with warmups")
    return list(values.items()) if values else []


def _metadata(node: Node, key: str) -> Mapping[str, Any]:
    found = node.get(key)
    if found is None:
        return {}
    if not isinstance(found.value, dict):
        found.fail("an object")
    values = {name: each for name, each in found.value.items() if isinstance(each, str | int | float)}
    return {name: each[:200] if isinstance(each, str) else each for name, each in values.items()}


def _first_date(root: Node) -> str | None:
    for benchmark in root["benchmarks"].items():
        for run in benchmark["runs"].items():
            date = _metadata(run, "metadata").get("date")
            if isinstance(date, str):
                return date
    return None
