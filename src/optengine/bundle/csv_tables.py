"""Read CSV files as Arrow tables, values as they are: missing ones stay missing, negative ones negative."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from optengine.bundle.errors import BundleError

if TYPE_CHECKING:
    import pyarrow as pa

    Files: TypeAlias = Mapping[str, str | os.PathLike[str]] | Iterable[str | os.PathLike[str]]


def read_csv_files(files: Files) -> dict[str, pa.Table]:
    """One table per file, named by the mapping's keys or the files' stems, which must differ."""
    if isinstance(files, (str, os.PathLike)):
        files = [files]
    if isinstance(files, Mapping):
        named = {name: Path(file) for name, file in files.items()}
    else:
        paths = [Path(file) for file in files]
        named = {path.stem: path for path in paths}
        if len(named) != len(paths):
            raise BundleError(
                f"CSV files need distinct stems; received {sorted(map(str, paths))}; pass a dict"
            )
    return {name: read_csv(path) for name, path in named.items()}


def read_csv(path: Path) -> pa.Table:
    """The table in one CSV file: numbers as int64 or float64, ISO dates as timestamps, empty cells as nulls.

    Types come from the whole file, not from its first block. Raises BundleError naming the file when it is
    not CSV.
    """
    import pyarrow as pa
    from pyarrow import csv

    try:
        # One block: a column whose first megabyte looks like integers may hold decimals later.
        options = csv.ReadOptions(block_size=max(path.stat().st_size + 1, 1 << 16))
        table = csv.read_csv(path, options, convert_options=csv.ConvertOptions(strings_can_be_null=False))
    except (OSError, pa.ArrowException) as error:
        raise BundleError(
            f"tables come from CSV files with a header; received {str(path)!r}; {error}"
        ) from error
    for position, field in enumerate(table.schema):
        kind = field.type
        if pa.types.is_date32(kind):
            kind = pa.timestamp("s")
        elif pa.types.is_string(kind):
            kind = pa.large_string()
        elif pa.types.is_null(kind):
            kind = pa.float64()
        if kind != field.type:
            table = table.set_column(position, field.name, table.column(position).cast(kind))
    return table
