"""Tables and plots of a history: the best trials, and a heat map over two parameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from optengine._optional import require
from optengine.optimize.errors import OptimizeError
from optengine.optimize.trial import RESERVED

if TYPE_CHECKING:
    import pandas as pd


def best_table(history: pd.DataFrame, rows: int = 10, minimize: bool = False) -> str:
    """The best complete trials as a Markdown table: trial, parameters, value, and budget where there is one."""
    complete = history[history["state"] == "complete"]
    ranked = complete.sort_values(["value", "trial"], ascending=[minimize, True]).head(rows)
    names = [name for name in history.columns if name not in RESERVED]
    columns = ["trial", *names, "value", *(["budget"] if history["budget"].notna().any() else [])]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [
        f"| {' | '.join(_cell(value) for value in row)} |" for row in ranked[columns].itertuples(index=False)
    ]
    return "\n".join(lines) + "\n"


def heat_map(
    history: pd.DataFrame, x: str, y: str, path: str | Path, reduce: Literal["max", "mean", "min"] = "max"
) -> None:
    """Write a heat map of the value over two parameters, as SVG, PNG or PDF by the suffix of the path.

    Trials that agree in both are reduced by ``max``, ``mean`` or ``min``; cells without a complete trial stay empty.
    Best on a grid: parameters with many values make many cells.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OptimizeError: a name is not a parameter of the history.
    """
    names = [name for name in history.columns if name not in RESERVED]
    for name in (x, y):
        if name not in names:
            raise OptimizeError(f"a heat map needs two of the parameters {names!r}; received {name!r}")
    matplotlib = require("matplotlib", extra="report", feature="a heat map")
    require("matplotlib.figure", extra="report", feature="a heat map")
    complete = history[history["state"] == "complete"]
    table = complete.pivot_table(index=y, columns=x, values="value", aggfunc=reduce, observed=True)
    # No dates and no random ids in the file, so that an equal history gives an equal file.
    with matplotlib.rc_context({"svg.hashsalt": "optengine", "svg.fonttype": "none"}):
        figure = matplotlib.figure.Figure(figsize=(7, 5), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(table.to_numpy(), origin="lower", aspect="auto", cmap="viridis")
        for setter, labels in ((axes.set_xticks, table.columns), (axes.set_yticks, table.index)):
            step = max(1, -(-len(labels) // 12))
            setter(range(0, len(labels), step), [_cell(label) for label in labels[::step]])
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        figure.colorbar(image, label=f"value ({reduce} over the other parameters)")
        metadata: dict[str, Any] = {"Date": None} if Path(path).suffix == ".svg" else {}
        figure.savefig(path, metadata=metadata)


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
