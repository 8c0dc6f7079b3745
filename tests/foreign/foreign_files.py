"""Files in the forms of other tools, written by tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def benchmark_file(path: Path, rounds: dict[str, list[float]], **machine: Any) -> Path:
    """Write a file in the form of pytest-benchmark 5 with the given rounds."""
    stats = {
        name: {"data": data, "rounds": len(data), "mean": sum(data) / len(data), "stddev": 0.0}
        for name, data in rounds.items()
    }
    document = {
        "machine_info": {"machine": "x86_64", "system": "Linux", "python_version": "3.11.7", **machine},
        "benchmarks": [{"name": name, "fullname": name, "stats": each} for name, each in stats.items()],
        "datetime": "2026-01-01T00:00:00",
        "version": "5.1.0",
    }
    path.write_text(json.dumps(document))
    return path


def pyperf_file(path: Path, processes: dict[str, list[list[float]]], **metadata: Any) -> Path:
    """Write a file in pyperf's format 1.0 with the given values of each process."""
    shared = {
        "cpu_model_name": "A CPU",
        "cpu_count": 2,
        "platform": "Linux-6.1",
        "perf_version": "2.10.0",
        **metadata,
    }
    document = {
        "version": "1.0",
        "metadata": shared,
        "benchmarks": [
            {"metadata": {"name": name}, "runs": [{"values": v, "warmups": [[1, 9.0]]} for v in runs]}
            for name, runs in processes.items()
        ],
    }
    path.write_text(json.dumps(document))
    return path
