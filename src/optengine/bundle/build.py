"""Build a sealed bundle so that at every moment there is a whole bundle at the path, or none.

Everything is written to a directory beside the target, made read-only and flushed to disk; then

* nothing there yet: the directory is renamed to the target, in one step;
* same content there: the new directory is dropped;
* other content there: an error, or with ``overwrite`` its files are added under their own names, the
manifest is
  replaced, in one step, and only then the old files are removed.

A killed build leaves a directory ``.<name>.building-*``; the next build removes it (its owner's lock is
free).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from optengine.bundle.assets import seal_assets
from optengine.bundle.errors import BundleError, BundleExists, TamperedBundle
from optengine.bundle.manifest import (
    MANIFEST,
    Manifest,
    SealedFile,
    check_name,
    hash_file,
    read_manifest,
    sealed_name,
)
from optengine.bundle.verify import verify_files
from optengine.resources import exhaustion_told

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    Table: TypeAlias = "pd.DataFrame | pa.Table | str | os.PathLike[str]"


_SEALED = re.compile(r"-[0-9a-f]{12}\.(arrow|parquet|sqlite)\Z")


def build_bundle(
    path: Path,
    tables: Mapping[str, Table],
    assets: pd.DataFrame | str | os.PathLike[str] | None,
    *,
    overwrite: bool,
) -> None:
    """Build the bundle at ``path``; see ``Bundle.build``."""
    for name in tables:
        check_name(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    with exhaustion_told("building a bundle", descriptors=8), _staging(path) as staging:
        manifest = _write_content(staging, tables, assets)
        (staging / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        for file in [*manifest.files, MANIFEST]:
            _seal(staging / file)
        _flush(staging / "tables")
        _flush(staging)
        with _locked(path.parent):
            _install(staging, manifest, path, overwrite)
            _flush(path.parent)


def _write_content(staging: Path, tables: Mapping[str, Table], assets: Any) -> Manifest:
    files: dict[str, SealedFile] = {}
    arrow: dict[str, str] = {}
    parquet: dict[str, str] = {}
    (staging / "tables").mkdir()

    def add(stem: str, suffix: str, write: Callable[[Path], None]) -> str:
        written = staging / "unsealed"
        write(written)
        digest = hash_file(written)
        name = sealed_name(stem, digest.sha256, suffix)
        written.rename(staging / name)
        files[name] = digest
        return name

    for name, table in tables.items():
        try:
            writers = _table_writers(table)
            arrow[name] = add(f"tables/{name}", "arrow", writers[0])
            parquet[name] = add(f"tables/{name}", "parquet", writers[1])
        except (BundleError, OSError):
            raise
        except Exception as error:
            raise BundleError(f"table {name!r} cannot be sealed: {error}") from error
    sealed = None
    if assets is not None:
        sealed = add("assets", "sqlite", lambda target: seal_assets(assets, target))
    return Manifest(files, arrow, parquet, sealed)


def _table_writers(table: Table) -> tuple[Callable[[Path], None], Callable[[Path], None]]:
    """How to write a table as Arrow file, and as Parquet."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    from optengine.frames.encode import encode_frame, encode_table
    from optengine.frames.ipc import write_batch
    from optengine.frames.stored import StoredFrame

    source = None
    if isinstance(table, (str, os.PathLike)):
        source = Path(table)
        table = pq.ParquetFile(source).read()
    if isinstance(table, pd.DataFrame):
        batch = encode_frame(table)
    elif isinstance(table, pa.Table):
        batch = encode_table(table)
    else:
        found = type(table).__name__
        raise BundleError(f"tables are DataFrames, Arrow tables or Parquet paths; received {found}")

    def write_arrow(target: Path) -> None:
        with target.open("wb") as file:
            write_batch(batch, file)

    def write_parquet(target: Path) -> None:
        if source is not None:
            shutil.copyfile(source, target)
        else:
            pq.write_table(StoredFrame(batch).table, target)

    return write_arrow, write_parquet


def _install(staging: Path, manifest: Manifest, path: Path, overwrite: bool) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        staging.rename(path)
        return
    if not (path / MANIFEST).is_file():
        raise BundleExists(f"{str(path)!r} exists and is not a bundle; choose another path or remove it")
    old = read_manifest(path)
    if old.fingerprint == manifest.fingerprint and _is_whole(path, old):
        return
    if not overwrite:
        raise BundleExists(
            f"{str(path)!r} holds a bundle with fingerprint {old.fingerprint[:16]}, the new content has "
            f"{manifest.fingerprint[:16]}; pass overwrite=True to replace it"
        )
    (path / "tables").mkdir(exist_ok=True)
    for file in manifest.files:
        (staging / file).replace(path / file)
    _flush(path / "tables")
    (staging / MANIFEST).replace(path / MANIFEST)
    _flush(path)
    for file in _sealed_files(path) - set(manifest.files):  # the old bundle's, and what a killed build left
        (path / file).unlink(missing_ok=True)


def _sealed_files(path: Path) -> set[str]:
    """Files in ``path`` whose names are those of sealed content, whether or not a manifest lists them."""
    found = [*path.glob("assets-*.sqlite"), *path.glob("tables/*-*.arrow"), *path.glob("tables/*-*.parquet")]
    return {file.relative_to(path).as_posix() for file in found if _SEALED.search(file.name)}


def _is_whole(path: Path, manifest: Manifest) -> bool:
    try:
        verify_files(path, manifest)
    except TamperedBundle:
        return False
    return True


@contextlib.contextmanager
def _staging(path: Path) -> Iterator[Path]:
    """A new locked directory beside ``path``, removed at the end unless it became the bundle."""
    while True:
        staging = path.with_name(f".{path.name}.building-{secrets.token_hex(8)}")
        staging.mkdir()
        # Another build's sweep may come between creation and lock.
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if staging.exists():
                break
            os.close(descriptor)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        os.close(descriptor)


def _sweep(path: Path) -> None:
    for stale in path.parent.glob(f".{path.name}.building-*"):
        # Locked by a build that lives, or swept by another one.
        with contextlib.suppress(OSError), _locked(stale, wait=False):
            shutil.rmtree(stale)


@contextlib.contextmanager
def _locked(directory: Path, *, wait: bool = True) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def _seal(file: Path) -> None:
    file.chmod(0o444)
    _flush(file)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
