"""Errors of data bundles. All keep plain fields and survive pickling."""

from __future__ import annotations

from optengine.errors import EngineError


class BundleError(EngineError):
    """Base of every error raised by ``optengine.bundle``."""


class BundleFormatError(BundleError, ValueError):
    """A manifest or file is not what this version can read safely."""


class BundleExists(BundleError, FileExistsError):
    """A different bundle, or something else, is already at the path to build."""


class UnknownTable(BundleError, LookupError):
    """A bundle has no table of that name, or no assets database."""


class TamperedBundle(BundleError):
    """A sealed file is missing or changed; ``file`` is its path inside the bundle."""

    def __init__(self, file: str, problem: str) -> None:
        super().__init__(file, problem)
        self.file = file
        self.problem = problem

    def __str__(self) -> str:
        return f"sealed files never change; {self.file!r} {self.problem}; build the bundle again"


class StaleBundle(BundleError):
    """The bundle on disk is not the one that was shared: its content, hence its fingerprint, changed."""

    def __init__(self, path: str, expected: str, found: str) -> None:
        super().__init__(path, expected, found)
        self.path = path
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return (
            f"the bundle at {self.path!r} must have fingerprint {self.expected[:16]}; "
            f"found {self.found[:16]}: it was rebuilt with other content; "
            "share it again, or create the share with on_stale='reload'"
        )


class OpenHandle(BundleError):
    """An open SQLite handle would cross a fork; ``handles`` names the databases."""

    def __init__(self, handles: list[str], cure: str) -> None:
        super().__init__(handles, cure)
        self.handles = handles
        self.cure = cure

    def __str__(self) -> str:
        return f"no SQLite handle may be open across a fork; open: {', '.join(self.handles)}; {self.cure}"


class SharingError(BundleError):
    """The requested way of sharing cannot deliver this object to this process."""


class BundleClosed(BundleError):
    """A shared bundle was used after ``close()``."""
