"""One store for runs that are killed, that run side by side, and that come later."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CACHED_RUN = """
import json, sys, time
from pathlib import Path
from optengine.rules import ProcessPoolValidator, RuleSet

class Reads:
    def __init__(self, path):
        self.path = path
    def __call__(self, ctx):
        time.sleep(0.02)
        return ctx.passed(ctx.fs.read(self.path))

RULES = RuleSet()
for number in range(40):
    needed = [f"R{number - 8}"] if number >= 8 else []
    RULES.add(f"R{number}", Reads(f"f{number % 10}.txt"), requires=needed)

if __name__ == "__main__":
    tree, cache, mode = sys.argv[1:]
    report = ProcessPoolValidator(tree, RULES, mode=mode, max_workers=2, cache_dir=cache or None,
                                  on_result=lambda one: print(one.rule_id, flush=True)).validate()
    print(json.dumps([report.verdicts, report.stats.cache_hits]), flush=True)
"""


@pytest.mark.usefixtures("untraced")  # the coverage of processes that are killed warns on their error stream
@pytest.mark.parametrize("mode", ["sequential", "auto", "processes"])
def test_killed_and_concurrent_runs_share_one_store(tmp_path: Path, mode: str) -> None:
    """Runs that are killed at any moment, and runs that go on beside each other, leave a store that later runs can
    use: their verdicts are those of a cold run, and what was finished is not run again."""
    tree, script, chance = tmp_path / "tree", tmp_path / "cached_run.py", random.Random(mode)
    tree.mkdir()
    script.write_text(CACHED_RUN)
    for number in range(10):
        (tree / f"f{number}.txt").write_text(str(number))

    def start(cache: Path | str = tmp_path / "c") -> subprocess.Popen[str]:
        command = [sys.executable, str(script), str(tree), str(cache), mode]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ended(*runs: subprocess.Popen[str]) -> list[tuple[Any, int]]:
        found = []
        for run in runs:
            with run:
                out, err = run.communicate(timeout=120)
            assert (run.returncode, err) == (0, "")
            found.append(tuple(json.loads(out.splitlines()[-1])))
        return found

    for _ in range(2):
        with start() as run:
            assert run.stdout is not None
            for _ in range(chance.randrange(20, 38)):
                assert run.stdout.readline()
            run.kill()
    (tree / "f3.txt").write_text("new")
    (first, hits), (second, _) = ended(start(), start())
    ((cold, none),) = ended(start(""))
    ((last, every),) = ended(start())
    assert first == second == cold == last
    assert hits >= 7  # of the first batch, all but the one whose file is new
    assert (none, every) == (0, 40)
