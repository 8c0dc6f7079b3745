"""The measurements behind ``optengine rules-bench``: full comparison, scaling over workers, endurance."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from optengine import cpus
from optengine.rules import ProcessPoolValidator, RuleSet
from optengine.rules.bench import workload
from optengine.rules.bench.measure import CLAIMED, Arm, check_verdicts, compare, machine, median, run
from optengine.rules.errors import RuleSetError
from optengine.testing.rule_cases import exits, hangs, passes

SCHEMA = "optengine/rules-bench/1"
Say = Callable[[str], None]
#: Times each heavy rule repeats its analysis at scale 1.0: a sequential run takes 13 to 21 s here, 35 in the claim.
ROUNDS = 10


def full(root: Path, workers: int, runs: int, scale: float, say: Say) -> dict[str, Any]:
    """Every comparison: modes, grouping, tiny rules, incremental runs.

    Args:
        root: folder of Python files.
        workers: threads or processes of the parallel arms.
        runs: runs of every arm.
        scale: size of the workloads, 1.0 for the published figures.
        say: gets one line per finished part.
    """
    size = max(int(800_000 * scale), 20_000)
    rounds = max(round(ROUNDS * scale), 1)
    parts: dict[str, Any] = {}
    parts["heavy"] = _modes(
        root, workload.heavy(size, rounds), workers, runs, say, "heavy: 384 CPU-bound rules"
    )
    parts["light"] = _grouping(root, workload.light(size), workers, runs, say)
    parts["tiny"] = _tiny(root, workload.tiny(), workers, runs, say)
    parts["incremental"] = _incremental(root, workload.files(rounds=rounds), runs, say)
    return {
        "schema": SCHEMA,
        "mode": "full",
        "claimed": CLAIMED,
        "machine": machine(),
        "scale": scale,
        **parts,
    }


def _modes(root: Path, rules: RuleSet, workers: int, runs: int, say: Say, title: str) -> dict[str, Any]:
    arms = [
        Arm("sequential", {"mode": "sequential"}),
        Arm("threads", {"mode": "threads", "max_workers": workers}),
        Arm("processes", {"mode": "processes", "max_workers": workers}),
    ]
    found = compare(root, rules, arms, runs, workload.IGNORED)
    base = median(found["sequential"])
    summary = {
        name: {
            "median_s": median(numbers),
            "speedup": base / median(numbers),
            "overhead": median(numbers, "overhead"),
            "startup_s": median(numbers, "startup_s"),
            "serialisation_s": median(numbers, "serialisation_s"),
            "transfer_s": median(numbers, "transfer_s"),
            "peak_memory": max(one["peak_memory"] for one in numbers),
        }
        for name, numbers in found.items()
    }
    for name, one in summary.items():
        say(
            f"{title}: {name}: {one['median_s']:.2f} s, {one['speedup']:.2f}x, overhead {one['overhead']:.1%}"
        )
    return {
        "rules": len(rules),
        "batches": [len(batch) for batch in rules.batches()],
        "workers": workers,
        "summary": summary,
        "per_batch_s": {name: _per_batch(numbers) for name, numbers in found.items()},
        "runs": found,
    }


def _per_batch(numbers: Sequence[dict[str, Any]]) -> list[float]:
    count = len(numbers[0]["batches"])
    return [median([one["batches"][number] for one in numbers], "seconds") for number in range(count)]


def _grouping(root: Path, rules: RuleSet, workers: int, runs: int, say: Say) -> dict[str, Any]:
    arms = [
        Arm(f"{mode}, {word}", {"mode": mode, "max_workers": workers, "grouping": grouping})
        for mode in ("sequential", "processes")
        for word, grouping in (("grouped", True), ("one task per rule", False))
    ]
    found = compare(root, rules, arms, runs, workload.IGNORED)
    medians = {name: median(numbers) for name, numbers in found.items()}
    gains = {
        mode: medians[f"{mode}, one task per rule"] / medians[f"{mode}, grouped"]
        for mode in ("sequential", "processes")
    }
    for mode, gain in gains.items():
        say(f"light: {len(rules)} rules on one parsed input, {mode}: grouping is {gain:.1f}x")
    return {"rules": len(rules), "median_s": medians, "gain": gains, "runs": found}


def _tiny(root: Path, rules: RuleSet, workers: int, runs: int, say: Say) -> dict[str, Any]:
    arms = [
        Arm("sequential", {"mode": "sequential"}),
        Arm("processes", {"mode": "processes", "max_workers": workers}),
        Arm("auto", {"mode": "auto", "max_workers": workers}),
    ]
    found = compare(root, rules, arms, runs, workload.IGNORED)
    medians = {name: median(numbers) for name, numbers in found.items()}
    chosen = sorted({one["mode"] for one in found["auto"]})
    say(
        f"tiny: {len(rules)} rules of 0.1 ms: sequential {medians['sequential']:.3f} s, processes "
        f"{medians['processes']:.3f} s (the pool must lose), auto chose {', '.join(chosen)}"
    )
    return {"rules": len(rules), "median_s": medians, "auto_chose": chosen, "runs": found}


def _incremental(root: Path, rules: RuleSet, runs: int, say: Say) -> dict[str, Any]:
    found: dict[str, list[dict[str, Any]]] = {"cold": [], "unchanged": [], "one file changed": []}
    with tempfile.TemporaryDirectory(prefix="optengine-rules-bench-") as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        for path in sorted(root.glob("*.py")):
            shutil.copyfile(path, tree / path.name)
        target = sorted(tree.glob("*.py"))[0]
        text = target.read_text(encoding="utf-8")
        for turn in range(runs):
            arm = Arm("cached", {"mode": "sequential", "cache_dir": Path(folder) / f"cache{turn}"})
            for name, content in (
                ("cold", None),
                ("unchanged", None),
                ("one file changed", f"{text}\nx{turn} = {turn}\n"),
            ):
                if content is not None:
                    target.write_text(content, encoding="utf-8")
                report, numbers = run(tree, rules, arm, workload.IGNORED)
                cold = ProcessPoolValidator(
                    tree, rules, mode="sequential", ignored=workload.IGNORED
                ).validate()
                check_verdicts(cold, report, name)
                found[name].append(numbers)
            target.write_text(text, encoding="utf-8")
    base = median(found["cold"])
    shares = {name: median(numbers) / base for name, numbers in found.items()}
    ran = {name: sorted({one["ran"] for one in numbers}) for name, numbers in found.items()}
    for name, share in shares.items():
        say(f"incremental: {name}: {share:.2%} of a cold run, {ran[name]} of {len(rules)} rules ran")
    return {"rules": len(rules), "share_of_cold": shares, "rules_run": ran, "runs": found}


def scaling(root: Path, workers: Sequence[int], runs: int, scale: float, say: Say) -> dict[str, Any]:
    """The heavy workload in processes for each number of workers, against the sequential run of the same session.

    A row with more workers than usable CPUs is marked ``more_than_cpus``: it shows what they cost, not a gain.
    """
    rules = workload.heavy(max(int(800_000 * scale), 20_000), max(round(ROUNDS * scale), 1))
    arms = [Arm("sequential", {"mode": "sequential"})]
    arms += [Arm(f"{count} workers", {"mode": "processes", "max_workers": count}) for count in workers]
    found = compare(root, rules, arms, runs, workload.IGNORED)
    base, usable = median(found["sequential"]), cpus.usable_cpus()
    rows = []
    for count in workers:
        numbers = found[f"{count} workers"]
        speedup = base / median(numbers)
        rows.append(
            {
                "workers": count,
                "median_s": median(numbers),
                "speedup": speedup,
                "efficiency": speedup / count,
                "more_than_cpus": count > usable,
                "overhead": median(numbers, "overhead"),
                "peak_memory": max(one["peak_memory"] for one in numbers),
                "crashes": sum(one["crashes"] for one in numbers),
                "fallbacks": sum(one["fallbacks"] for one in numbers),
            }
        )
        beyond = f" (more than the {usable} CPUs)" if count > usable else ""
        say(
            f"scaling: {count} workers{beyond}: {rows[-1]['median_s']:.2f} s, {speedup:.2f}x of sequential "
            f"{base:.2f} s, efficiency {speedup / count:.0%}, overhead {rows[-1]['overhead']:.1%}"
        )
    return {
        "schema": SCHEMA,
        "mode": "scaling",
        "claimed": CLAIMED,
        "machine": machine(),
        "scale": scale,
        "sequential_s": base,
        "rows": rows,
        "runs": found,
    }


def faulty_rules() -> RuleSet:
    """384 rules in 9 batches with one that ends its process and one that hangs, both in the middle."""
    rules = RuleSet()
    for number in range(384):
        layer, place = divmod(number, 43)
        check = {(4, 7): exits, (4, 11): hangs}.get((layer, place), passes)
        rules.add(
            f"R{number:03}",
            check,
            requires=[f"R{number - 43:03}"] if layer else [],
            group=f"g{place % 6}" if place % 7 else None,
            timeout=1.0 if check is hangs else None,
        )
    return rules


def endurance(root: Path, workers: int, runs: int, say: Say) -> dict[str, Any]:
    """Consecutive runs with a crashing and a hanging rule among 384: each must give the same 384 results.

    Raises:
        RuleSetError: a run lost a result or judged differently.
    """
    rules = faulty_rules()
    arm = Arm("processes", {"mode": "processes", "max_workers": workers, "timeout": 60})
    first, found = None, []
    for number in range(runs):
        report, numbers = run(root, rules, arm, workload.IGNORED)
        first = first or report
        if [one.rule_id for one in report.results] != [rule.id for rule in rules]:
            raise RuleSetError(
                f"Every run must give one result per rule in order; run {number} gave {len(report.results)}."
            )
        check_verdicts(first, report, f"run {number}")
        found.append({key: numbers[key] for key in ("wall_s", "crashes", "timeouts", "fallbacks")})
    counts = first.counts if first is not None else {}
    say(f"endurance: {runs} runs of {len(rules)} rules, {len(rules)} results each time: {counts}")
    return {"schema": SCHEMA, "mode": "endurance", "machine": machine(), "counts": counts, "runs": found}
