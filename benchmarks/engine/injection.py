"""Random faults: 10,000 tasks, some of which kill their worker in every way known.

Claim: no hang, nothing lost, nothing run more often than the retry budget.

Trap avoided: counting what the pool reports about itself. Every start of a task is appended to a file by the
task, with one atomic write, and counted from there.

Run: ``python benchmarks/engine/injection.py [--tasks 10000] [--share 0.02] [--method preload] [--seed 1]``.
Exit status 1 if any claim fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from optengine import PersistentWorkerPool, TaskFailure
from optengine.testing.bestiary import BEASTS, injected_items, logged_beast


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--share", type=float, default=0.02, help="share of faulty tasks")
    parser.add_argument("--method", default=None, help="start method; default: the safe one")
    parser.add_argument("--attempts", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "starts"
        items = injected_items(str(log), options.tasks, share=options.share, seed=options.seed)
        began = time.perf_counter()
        with PersistentWorkerPool(
            options.workers, start_method=options.method, max_attempts=options.attempts, task_timeout=60.0
        ) as pool:
            results = pool.run_batch(logged_beast, items, on_error="return")
            stats = pool.stats()
        seconds = time.perf_counter() - began
        data = log.read_bytes()
    starts = Counter(int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4))
    wrong = [
        number
        for number, (_, _, beast) in enumerate(items)
        if (results[number] != number)
        if beast is None
        or not isinstance(results[number], TaskFailure)
        or results[number].kind != BEASTS[beast][1]
    ]
    faulty = sum(beast is not None for _, _, beast in items)
    print(f"{options.tasks} tasks, {faulty} faulty, {seconds:.1f} s")
    print(f"{stats.restarts} restarts, {stats.retries} retries")
    print(f"lost or wrong: {len(wrong)}; never started: {options.tasks - len(starts)}")
    print(f"most starts of one task: {max(starts.values())} (budget {options.attempts})")
    good = not wrong and len(starts) == options.tasks and max(starts.values()) <= options.attempts
    print("all claims hold" if good else f"CLAIM BROKEN, first at {wrong[:10]}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
