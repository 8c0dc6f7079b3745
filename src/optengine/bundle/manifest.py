"""The manifest of a sealed bundle: which files it has, their SHA-256, and one fingerprint over all of them.

    {"schema": "optengine/bundle/1",
     "fingerprint": "<sha256>",
     "tables": {"bars": {"arrow": "tables/bars-<sha12>.arrow", "parquet": "tables/bars-<sha12>.parquet"}},
     "assets": "assets-<sha12>.sqlite" or null,
     "files": {"tables/bars-<sha12>.arrow": {"sha256": "<sha256>", "bytes": 123}, ...}}

File names carry the first 12 digits of their hash, so the files of two versions never share a name:
replacing the manifest is what replaces the bundle, and a reader of the old one finds its files gone, never
changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optengine.bundle.errors import BundleFormatError
from optengine.errors import ResourceExhausted
from optengine.resources import exhaustion_told

SCHEMA = "optengine/bundle/1"
MANIFEST = "manifest.json"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]{0,199}\Z")  # with hash and suffix it must be a file name
_SHA = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class SealedFile:
    """Digest (SHA-256, hexadecimal) and size of one file."""

    sha256: str
    nbytes: int


@dataclass(frozen=True)
class Manifest:
    """What a bundle consists of; paths are relative to the bundle and use forward slashes."""

    files: Mapping[str, SealedFile]
    arrow: Mapping[str, str]
    parquet: Mapping[str, str]
    assets: str | None

    @property
    def fingerprint(self) -> str:
        """SHA-256 over lines "<sha256>  <path>", sorted by path: changes when any byte of any file does."""
        lines = "".join(f"{self.files[path].sha256}  {path}\n" for path in sorted(self.files))
        return hashlib.sha256(lines.encode()).hexdigest()

    def to_json(self) -> str:
        """The manifest as deterministic JSON text."""
        tables = {name: {"arrow": self.arrow[name], "parquet": self.parquet[name]} for name in self.arrow}
        files = {path: {"sha256": file.sha256, "bytes": file.nbytes} for path, file in self.files.items()}
        content = {"schema": SCHEMA, "fingerprint": self.fingerprint, "tables": tables, "assets": self.assets}
        return json.dumps({**content, "files": files}, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, source: Path) -> Manifest:
        """The manifest in ``text``; ``source`` names it in errors.

        Raises BundleFormatError when the schema is unknown, a path leaves the bundle, or the parts disagree.
        """
        try:
            content = json.loads(text)
            if content["schema"] != SCHEMA:
                raise BundleFormatError(
                    f"{source} must have schema {SCHEMA!r}; received {content['schema']!r}; "
                    "build the bundle again, or install the version of optengine that wrote it"
                )
            files = {
                _checked_path(path, source): SealedFile(_checked_sha(file["sha256"]), int(file["bytes"]))
                for path, file in content["files"].items()
            }
            tables = content["tables"].items()
            arrow = {check_name(name): table["arrow"] for name, table in tables}
            parquet = {name: table["parquet"] for name, table in tables}
            manifest = cls(files, arrow, parquet, content["assets"])
            manifest._check_parts(source, content["fingerprint"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            if isinstance(error, BundleFormatError):
                raise
            problem = f"{type(error).__name__}: {error}"
            raise BundleFormatError(f"{source} must be a bundle manifest; {problem}") from error
        return manifest

    def _check_parts(self, source: Path, fingerprint: str) -> None:
        expected: set[str | None] = set()
        for name in self.arrow:
            for path, suffix in ((self.arrow[name], "arrow"), (self.parquet[name], "parquet")):
                self._check_part(path, f"tables/{name}", suffix, source)
                expected.add(path)
        if self.assets is not None:
            self._check_part(self.assets, "assets", "sqlite", source)
            expected.add(self.assets)
        if expected != set(self.files):
            raise BundleFormatError(f"{source} must list exactly the files of its tables and assets")
        if fingerprint != self.fingerprint:
            raise BundleFormatError(
                f"{source} must carry the fingerprint of its files, {self.fingerprint}; "
                f"received {fingerprint!r}"
            )

    def _check_part(self, path: str, stem: str, suffix: str, source: Path) -> None:
        if path not in self.files or path != sealed_name(stem, self.files[path].sha256, suffix):
            raise BundleFormatError(
                f"{source} must name the {suffix} file of {stem!r} by its hash; received {path!r}"
            )


def sealed_name(stem: str, sha256: str, suffix: str) -> str:
    """The path inside a bundle of a file with this content."""
    return f"{stem}-{sha256[:12]}.{suffix}"


def check_name(name: Any) -> str:
    """``name`` if it can name a table. Raises BundleFormatError otherwise."""
    if not isinstance(name, str) or not _NAME.match(name):
        raise BundleFormatError(
            f"table names must be letters, digits, '_' and '.', at most 200; received {name!r}"
        )
    return name


def hash_file(path: Path) -> SealedFile:
    """Digest and size of the file at ``path``."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return SealedFile(digest, file.tell())


def read_manifest(root: Path) -> Manifest:
    """The manifest of the bundle at ``root``. Raises BundleFormatError when there is none."""
    source = root / MANIFEST
    try:
        with exhaustion_told("opening a bundle"):
            text = source.read_bytes()
    except ResourceExhausted:  # it may well be a bundle
        raise
    except OSError as error:
        raise BundleFormatError(
            f"a bundle is a directory with a {MANIFEST}; received {str(root)!r}; {error}"
        ) from error
    return Manifest.from_json(text, source)


def _checked_path(path: Any, source: Path) -> str:
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in path or "\0" in path:
        raise BundleFormatError(f"{source} may only list files inside the bundle; received {path!r}")
    return str(path)


def _checked_sha(sha256: Any) -> str:
    if not isinstance(sha256, str) or not _SHA.match(sha256):
        raise BundleFormatError(f"SHA-256 digests are 64 hexadecimal digits; received {sha256!r}")
    return sha256
