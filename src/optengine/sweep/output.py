"""The results file of a sweep: claimed before the work starts, complete or untouched after it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from optengine.sweep.errors import SweepError

if TYPE_CHECKING:
    import pyarrow as pa


class ParquetOutput:
    """A Parquet file that appears whole, under its name, or not at all.

    Opening it creates a temporary file beside it, so that a folder that cannot be written to is found before hours of
    work, not after.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.suffix != ".parquet":
            raise SweepError(f"the results file must end in .parquet; received {str(self.path)!r}")
        if self.path.is_dir():
            raise SweepError(f"the results go to a file; received the folder {str(self.path)!r}")
        try:
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        except OSError as error:
            raise SweepError(f"{str(self.path)!r} must be writable; {error}") from error
        os.close(handle)
        self._temporary = Path(name)

    def write(self, table: pa.Table) -> None:
        """Write the table and put it in place of what was there. Raises SweepError when the disk refuses."""
        import pyarrow.parquet as pq

        try:
            with self._temporary.open("wb") as file:
                pq.write_table(table, file)
                file.flush()
                os.fsync(file.fileno())
            self._temporary.chmod(0o666 & ~_umask())
            self._temporary.replace(self.path)
        except OSError as error:
            raise SweepError(f"{str(self.path)!r} could not be written; {error}") from error

    def close(self) -> None:
        """Remove the temporary file, if it was not put in place."""
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _umask() -> int:
    # Reading it means setting it; nothing else runs in this command while it is 0.
    mask = os.umask(0)
    os.umask(mask)
    return mask
