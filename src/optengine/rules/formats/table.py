"""The report as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from optengine.rules.formats.text import one_line
from optengine.rules.model import RuleResult, Status
from optengine.rules.report import Report


def table(report: Report, *, width: int = 100, everything: bool = False) -> str:
    """Findings and skipped rules (all rules with *everything*), then one line of counts and one on the
    run."""
    shown = [one for one in report.results if everything or one.status is not Status.PASS]
    lines: list[str] = []
    if shown:
        longest = min(max(len(one.rule_id) for one in shown), 32)
        lines.append(f"{'STATUS':8} {'SEVERITY':8} {'RULE':{longest}} {'SECONDS':>8}  MESSAGE")
        lines.extend(_line(one, longest, width) for one in shown)
        lines.append("")
    counts = ", ".join(f"{count} {name}" for name, count in report.counts.items() if count)
    lines.append(one_line(f"{report.root}: {len(report.results)} rules: {counts or 'none'}"))
    lines.extend(one_line(line) for line in run_lines(report))
    return "\n".join(lines) + "\n"


def _line(result: RuleResult, longest: int, width: int) -> str:
    message = result.message or result.title
    seconds = "cached" if result.cached else f"{result.seconds:.3f}"
    start = (
        f"{result.status:8} {result.severity:8} {one_line(result.rule_id, longest):{longest}} {seconds:>8}  "
    )
    return start + one_line(message, max(width - len(start), 20))


def run_lines(report: Report) -> list[str]:
    """What a reader should know about the run itself: mode, time, cache, and anything odd."""
    stats = report.stats
    lines = [
        f"{stats.mode}, {stats.workers} worker(s), {stats.wall_s:.2f} s, {stats.cache_hits} from the cache"
    ]
    if len(stats.ran) > 1:
        lines.append("rules by mode: " + ", ".join(f"{count} {mode}" for mode, count in stats.ran.items()))
    if stats.requested_mode == "auto" and stats.reason:
        lines.append(f"auto: {stats.reason}")
    lines.extend(f"fell back to threads: {why}" for why in stats.fallback_reasons)
    lines.extend(
        f"worker {one.worker} read from the disk: {one.why}"
        for one in stats.worker_reports
        if not one.attached
    )
    if stats.changed_since:
        lines.append(f"changed since: {stats.changed_since}")
    lines.extend(_some(f"never cached: {rule_id}: {why}" for rule_id, why in stats.uncached.items()))
    lines.extend(_some(f"passed without looking at anything that exists: {one}" for one in stats.vacuous))
    return lines


def _some(lines: Iterable[str], most: int = 5) -> list[str]:
    found = list(lines)
    return found if len(found) <= most else [*found[:most], f"and {len(found) - most} more like this"]
