"""Find the folder of real market series, if this machine has one."""

from __future__ import annotations

import os
from pathlib import Path

FILES = ("brent.csv", "wti.csv", "henry_hub_gas.csv", "fx_monthly.csv")
ROOT = Path(__file__).resolve().parent.parent


def find_markets(start: Path = ROOT) -> Path | None:
    """The folder named by OPTBENCH_MARKETS, else ``shared/data/markets`` beside ``start``, else None.

    Raises FileNotFoundError when the variable names a folder without the files.
    """
    named = os.environ.get("OPTBENCH_MARKETS")
    folder = Path(named) if named else start.parent / "shared" / "data" / "markets"
    missing = [file for file in FILES if not (folder / file).is_file()]
    if not missing:
        return folder
    if named:
        raise FileNotFoundError(
            f"OPTBENCH_MARKETS must name a folder with {FILES}; {named!r} lacks {missing}"
        )
    return None
