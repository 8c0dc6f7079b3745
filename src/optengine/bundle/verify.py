"""Check a bundle's files against its manifest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from optengine.bundle.errors import TamperedBundle
from optengine.bundle.manifest import Manifest, SealedFile, hash_file


def verify_files(root: Path, manifest: Manifest) -> None:
    """Hash every file. Raises TamperedBundle naming the first that is missing or changed."""
    with ThreadPoolExecutor(min(4, len(manifest.files) or 1)) as threads:
        found = threads.map(lambda path: _digest(root, path), manifest.files)
        for path, digest in zip(manifest.files, found, strict=True):
            expected = manifest.files[path]
            if digest is None:
                raise TamperedBundle(path, "is missing or not a plain file of the bundle")
            if digest != expected:
                raise TamperedBundle(
                    path,
                    f"must have SHA-256 {expected.sha256[:16]} and {expected.nbytes} bytes; "
                    f"found {digest.sha256[:16]} and {digest.nbytes}",
                )


def locate(root: Path, path: str) -> Path | None:
    """The file ``path`` inside the bundle, or None when it is missing, a link, or reached through one."""
    file = root / path
    if file.is_symlink() or not file.is_file() or not file.resolve().is_relative_to(root.resolve()):
        return None
    return file


def _digest(root: Path, path: str) -> SealedFile | None:
    file = locate(root, path)
    return None if file is None else hash_file(file)
