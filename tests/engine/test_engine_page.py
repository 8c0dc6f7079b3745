"""The page on the engine says what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from optengine.cli import _parser
from optengine.config import PREFIX, EngineSettings

PAGE = (Path(__file__).parents[2] / "docs" / "engine.md").read_text(encoding="utf-8")

HEAD = """
import math
import pandas as pd

prices = pd.DataFrame({"close": [float(i % 97) for i in range(6000)]})
bars = pd.DataFrame({"symbol": ["WTI", "BRENT", "WTI"], "close": [1.0, 2.0, 3.0]})
assets = pd.DataFrame({"symbol": ["WTI", "BRENT"]})
def strategy(frame, fast, slow):
    return len(frame) * fast + slow
"""
TAIL = """
def main():
{main}

if __name__ == "__main__":
    main()
    print("ran")
"""


def test_every_setting_is_on_the_page() -> None:
    """The table of environment variables has one row per setting, no more and no fewer."""
    shown = re.findall(rf"^\| `({PREFIX}\w+)`", PAGE, re.MULTILINE)
    assert shown == [f"{PREFIX}{name.upper()}" for name in EngineSettings.model_fields]


def test_every_option_of_the_sweep_exists() -> None:
    """Options named in the sweep's section are options of the command."""
    section = PAGE.split("## Sweep")[1].split("\n## ")[0]
    usage = _parser("sweep").parse_args(["sweep", "x.csv", "--strategy", "m:f"])
    assert {o[2:].replace("-", "_") for o in re.findall(r"--[a-z][a-z-]+", section)} <= set(vars(usage))


def test_the_examples_run(tmp_path: Path) -> None:
    """Each Python example of the page runs as the script it says it is part of."""
    definitions, statements = [HEAD], []
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        for part in re.split(r"\n(?=\S)", block.strip()):
            is_top = part.startswith(("from ", "import ", "def "))
            (definitions if is_top else statements).append(part)
    body = "\n".join(re.sub(r"^", "    ", part, flags=re.MULTILINE) for part in statements)
    (tmp_path / "page.py").write_text("\n".join(definitions) + TAIL.format(main=body), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["ran"], done.stderr
