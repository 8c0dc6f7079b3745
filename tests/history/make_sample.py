"""Write the sample of the current schema version: ``python tests/history/make_sample.py``.

Run it once for a new version and commit what it wrote; a sample that was committed is never written again.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from pytest_optbench.cli import run
from pytest_optbench.history.location import locate
from pytest_optbench.history.schema import VERSION
from pytest_optbench.history.write import write_run
from pytest_optbench.store.ledger import entry

HERE = Path(__file__).parent


def main() -> None:
    """Write ``samples/version-N/run.parquet`` and the documents it holds."""
    sys.path.insert(0, str(HERE.parent / "report"))
    from samples import decision, inconclusive, not_equivalent

    folder = HERE / "samples" / f"version-{VERSION.rpartition('/')[2]}"
    folder.mkdir(parents=True)
    sides = {
        name: {"revision": name, "tree": letter * 40, "dirt_sha256": dirt, "sha256": letter * 64, "files": 3}
        for name, letter, dirt in (("baseline", "a", None), ("optimized", "b", "d" * 64))
    }
    earlier = entry(decision(code=sides, verdict="REJECT", started="2026-11-01T10:00:00Z"))
    across = decision(code=sides, earlier=[earlier], attempt=2)
    written = write_run(locate(str(folder)), [across, inconclusive(), not_equivalent()])
    (folder / written).rename(folder / "run.parquet")
    out, err = io.StringIO(), io.StringIO()
    assert run(["history", "export", str(folder), "--format", "jsonl"], out, err) == 0, err.getvalue()
    (folder / "expected.jsonl").write_text(out.getvalue())


if __name__ == "__main__":
    main()
