"""Render the golden files again after a change that is meant: ``python tests/report/golden.py``.

The JSON files are old samples and are never written again; a new version of the schema adds new ones.
"""

from __future__ import annotations

import json
from pathlib import Path

from pytest_optbench.report.markdown import decision_markdown, index_markdown
from pytest_optbench.report.plots import pairs_svg
from pytest_optbench.store.schema import loads

GOLDEN = Path(__file__).parents[1] / "golden"


def sources() -> list[Path]:
    """Return the stored decisions."""
    return sorted(GOLDEN.glob("decision_v*.json"))


def rendered() -> dict[str, str]:
    """Return the text of every golden file by name."""
    docs = {path.stem: loads(path.read_text(encoding="utf-8")) for path in sources()}
    texts = {f"{stem}.md": decision_markdown(doc) for stem, doc in docs.items()}
    texts |= {f"{stem}.svg": pairs_svg(doc) for stem, doc in docs.items()}
    texts["index.md"] = index_markdown(list(docs.values()), ["broken.json is not in the index: no JSON"])
    return texts


if __name__ == "__main__":
    import samples

    from pytest_optbench.store.schema import dumps

    made = {
        "accept": samples.decision(),
        "reject": samples.not_equivalent(),
        "inconclusive": samples.inconclusive(p_adjusted=0.122842),
        "nasty": samples.nasty(),
        "slower": samples.decision(
            0.0101, 0.0109, half_width=0.009, noise=1.4, goal="no-regression", margin=1 / 1.05,
            verdict="REJECT", reasons=["slower"], title="Sorted cache", id="tests/test_cache.py::test_sorted",
            rank=None, group=None, slug="tests-test_cache-test_sorted", expected=None,
        ),
    }  # fmt: skip
    for name, doc in made.items():
        path = GOLDEN / f"decision_v1_{name}.json"
        if not path.exists():
            json.loads(dumps(doc))
            path.write_text(dumps(doc), encoding="utf-8")
    for name, text in rendered().items():
        (GOLDEN / name).write_text(text, encoding="utf-8")
