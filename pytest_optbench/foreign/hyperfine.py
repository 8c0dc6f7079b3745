"""Files of hyperfine, ``--export-json``: 1.0 (a summary only) to 1.20, and the lists of measurements after that.

Each time is one run of the command, a process of its own, in the order they were run. hyperfine runs all of one
command before the next. A command's name is the text that was run.
"""

from __future__ import annotations

from typing import Any, Final

from .names import numbered
from .node import Node
from .recorded import File, Recorded, Summary

TOOL: Final = "hyperfine"


def recognises(value: Any) -> bool:
    """Whether the JSON value is such a file: ``results`` with a ``command`` each."""
    if not isinstance(value, dict) or not isinstance(value.get("results"), list):
        return False
    return any(isinstance(each, dict) and "command" in each for each in value["results"])


def read(root: Node, sha256: str) -> File:
    """Return the file; raises `ForeignError`."""
    benchmarks = [_result(each) for each in root["results"].filled()]
    return File(root.file, sha256, TOOL, "", numbered(benchmarks))


def _result(node: Node) -> Recorded:
    name = node["command"].text()
    if "measurements" in node:
        return _measurements(name, node["measurements"].filled())
    times = node.get("times")
    if times is None:
        return _summary(name, node)
    seconds = [value.seconds() for value in times.filled()]
    codes = node.get("exit_codes")
    failed = sum(code.value != 0 for code in codes.items()) if codes else 0
    memory = node.get("memory_usage_byte")
    peaks = tuple(float(each.count(0)) for each in memory.items()) if memory else ()
    if memory is not None and len(peaks) != len(seconds):
        memory.fail(f"as many values as there are times, {len(seconds)}", f"{len(peaks)}")
    return Recorded(name, tuple((s,) for s in seconds), failed_runs=failed, peak_bytes=peaks)


def _measurements(name: str, runs: list[Node]) -> Recorded:
    """Return the form of the development version: one object per run, quantities with their unit."""
    seconds = [_quantity(run["time_wall_clock"], "second").seconds() for run in runs]
    failed = sum(run["exit_code"].value != 0 for run in runs)
    peaks = [run.get("peak_memory_usage") for run in runs]
    known = tuple(float(_quantity(peak, "byte").count(0)) for peak in peaks if peak is not None)
    return Recorded(
        name,
        tuple((s,) for s in seconds),
        failed_runs=failed,
        peak_bytes=known if len(known) == len(runs) else (),
    )


def _quantity(node: Node, unit: str) -> Node:
    if node["unit"].value != unit:
        node["unit"].fail(f"{unit!r}")
    return node["value"]


def _summary(name: str, node: Node) -> Recorded:
    summary = Summary(
        mean_s=node["mean"].seconds(),
        sd_s=node.optional_seconds("stddev"),
        median_s=node.optional_seconds("median"),
        min_s=node.optional_seconds("min"),
        n=None,
    )
    return Recorded(name, summary=summary, note="a summary only, which does not say how many runs there were")
