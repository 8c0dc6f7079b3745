"""The history of a run as a table, as bytes to compare, and as a file."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optengine.optimize.errors import OptimizeError
from optengine.optimize.trial import COLUMNS_AFTER, COLUMNS_BEFORE, Trial

if TYPE_CHECKING:
    import pandas as pd


def history_bytes(history: Sequence[Trial]) -> bytes:
    """The part of a history that worker count, timing, retries and backend cannot change, one JSON line per
    trial.

    Trial number, parameters, budget, value and state; not the attempts, worker, seconds or the wording of
    errors.
    """
    lines = [
        json.dumps([trial.trial_id, trial.params, trial.budget, trial.value, trial.state])
        for trial in history
    ]
    return ("\n".join(lines) + "\n").encode()


def history_frame(history: Sequence[Trial]) -> pd.DataFrame:
    """A table with one row per trial in the order of the numbers.

    Columns: trial, one per parameter (missing where it does not exist), value, state, budget, attempts,
    worker, seconds, error.
    """
    import pandas as pd

    names = list(dict.fromkeys(name for trial in history for name in trial.params))
    columns: dict[str, Any] = {"trial": [trial.trial_id for trial in history]}
    for name in names:
        columns[name] = [trial.params.get(name) for trial in history]
    for name in COLUMNS_AFTER:
        columns[name] = [getattr(trial, name) for trial in history]
    frame = pd.DataFrame(columns, columns=[*COLUMNS_BEFORE, *names, *COLUMNS_AFTER])
    kinds = {
        "trial": "int64",
        "value": "float64",
        "budget": "float64",
        "attempts": "int64",
        "worker": "Int64",
    }
    return frame.astype({**kinds, "seconds": "float64", "state": object, "error": object})


def check_suffix(path: str | Path) -> Path:
    """The path. Raises OptimizeError unless it ends in .parquet or .csv."""
    path = Path(path)
    if path.suffix not in (".parquet", ".csv"):
        raise OptimizeError(f"a results file must end in .parquet or .csv; received {str(path)!r}")
    return path


def check_writable(path: str | Path) -> Path:
    """The path, once a file beside it could be made: a place that refuses is found before the work, not after.

    Raises OptimizeError for another suffix, a folder, and a folder of the path that is missing or read-only.
    """
    path = check_suffix(path)
    if path.is_dir():
        raise OptimizeError(f"the results go to a file; received the folder {str(path)!r}")
    temporary = _beside(path)
    try:
        temporary.open("xb").close()
    except OSError as error:
        raise OptimizeError(f"the results file must be writable; received {str(path)!r}: {error}") from error
    temporary.unlink()
    return path


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def write_frame(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table as Parquet or CSV, by the suffix, replacing the file at once or not at all.

    Raises:
        OptimizeError: another suffix, or a place that cannot be written to.
    """
    path = check_suffix(path)
    temporary = _beside(path)
    try:
        if path.suffix == ".csv":
            frame.to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)
        temporary.replace(path)
    except OSError as error:
        raise OptimizeError(f"the results could not be written to {str(path)!r}: {error}") from error
    finally:
        with contextlib.suppress(OSError):  # renamed, or never made
            temporary.unlink()
