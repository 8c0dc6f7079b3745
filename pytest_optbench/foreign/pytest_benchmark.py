"""Files of pytest-benchmark, versions 3 to 5: ``--benchmark-json``, ``--benchmark-save`` and the storage folder.

All rounds of a benchmark come from one process, the pytest run. ``stats.data``, seconds per call of each round, is
there under ``--benchmark-json`` and ``--benchmark-save-data`` only; otherwise a summary is all there is.
"""

from __future__ import annotations

from typing import Any, Final

from .names import numbered
from .node import Node
from .recorded import File, Recorded, Summary

TOOL: Final = "pytest-benchmark"


def recognises(value: Any) -> bool:
    """Whether the JSON value is such a file: ``machine_info`` beside ``benchmarks``."""
    return isinstance(value, dict) and "machine_info" in value and "benchmarks" in value


def read(root: Node, sha256: str) -> File:
    """Return the file; raises `ForeignError`."""
    version = root["version"].text()
    machine = root["machine_info"]
    benchmarks = [_benchmark(each) for each in root["benchmarks"].filled()]
    cpu = machine.get("cpu")
    brand = (cpu.get("brand_raw") or cpu.get("brand")) if cpu and isinstance(cpu.value, dict) else None
    count = cpu.get("count") if cpu and isinstance(cpu.value, dict) else None
    return File(
        name=root.file,
        sha256=sha256,
        tool=TOOL,
        version=version,
        benchmarks=numbered(benchmarks),
        machine={
            "cpu": brand.text() if brand and brand.value != "unknown" else None,
            "cpu_count": count.count() if count else None,
            "architecture": _text(machine, "machine"),
            "system": _text(machine, "system"),
        },
        facts={
            "python": _text(machine, "python_version"),
            "implementation": _text(machine, "python_implementation"),
            "recorded": _text(root, "datetime"),
        },
    )


def _benchmark(node: Node) -> Recorded:
    name = (node.get("fullname") or node["name"]).text()
    stats = node["stats"]
    data = stats.get("data")
    rounds = tuple(value.seconds() for value in data.filled()) if data else ()
    if rounds:
        stated = stats.get("rounds")
        if stated is not None and stated.count() != len(rounds):
            stated.fail(f"the number of values in data, {len(rounds)}")
        return Recorded(name, (rounds,))
    summary = Summary(
        mean_s=stats["mean"].seconds(),
        sd_s=stats["stddev"].seconds(),
        median_s=stats.optional_seconds("median"),
        min_s=stats.optional_seconds("min"),
        n=stats["rounds"].count(),
    )
    return Recorded(name, summary=summary, summary_of_one_process=True)


def _text(node: Node, key: str) -> str | None:
    found = node.get(key)
    return found.text() if found is not None and found.value != "" else None
