"""The context a rule is called with: files, shared inputs, results of dependencies, and how to answer.

Everything a rule learns through the context is recorded, also what is absent. ``ctx.root`` hands out the real
path for tools that need one; that cannot be recorded, so such a rule is never cached.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optengine.rules.model import Outcome, RuleResult, Status
from optengine.rules.snapshot import refuse
from optengine.rules.trace import Recorder
from optengine.rules.traversable import RecordedPath
from optengine.rules.tree import normal_path

if TYPE_CHECKING:
    from optengine.rules.shared import SharedInputs

AnyPath = str | os.PathLike[str]


class FileView:
    """The validated tree, read-only and recorded. Paths are relative to the root, as strings or paths."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._snapshot = recorder.scene.snapshot

    def read_bytes(self, path: AnyPath) -> bytes:
        """Content of a file. Raises OSError as ``open`` would, ValueError when the path leaves the root."""
        name = normal_path(path)
        try:
            data = self._snapshot.content(name)
        except OSError:
            self._recorder.look("file", name, there=False)
            raise
        self._recorder.look("file", name, there=True)
        return data

    def read(self, path: AnyPath, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Text of a file with newlines as in Python source (``\\n``). Raises as :meth:`read_bytes`, or
        UnicodeError."""
        text = self.read_bytes(path).decode(encoding, errors)
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def kind(self, path: AnyPath) -> str:
        """``file``, ``dir``, ``link``, ``other`` or ``absent``."""
        name = normal_path(path)
        kind = self._snapshot.index.kind(name)
        self._recorder.look("kind", name, there=kind != "absent")
        return kind

    def exists(self, path: AnyPath) -> bool:
        """Whether anything is there."""
        return self.kind(path) != "absent"

    def is_file(self, path: AnyPath) -> bool:
        """Whether a file is there."""
        return self.kind(path) == "file"

    def is_dir(self, path: AnyPath) -> bool:
        """Whether a folder is there."""
        return self.kind(path) == "dir"

    def size(self, path: AnyPath) -> int:
        """Bytes of a file. Raises OSError when it is not a file."""
        name = normal_path(path)
        kind = self._snapshot.index.kind(name)
        self._recorder.look("size", name, there=kind == "file")
        if kind != "file":
            raise refuse(name, kind)
        return self._snapshot.index.entries[name].size

    def glob(self, pattern: str) -> list[str]:
        """Sorted paths that match; ``**`` and ``{a,b}`` work, see
        :func:`optengine.rules.tree.compile_glob`."""
        found = self._snapshot.index.glob(pattern)
        self._recorder.look("glob", pattern, there=bool(found))
        return list(found)

    def listdir(self, path: AnyPath = ".") -> list[str]:
        """Sorted names in a folder. Raises FileNotFoundError or NotADirectoryError."""
        name = normal_path(path)
        kind = self._snapshot.index.kind(name)
        names = self._snapshot.index.children(name)
        self._recorder.look("list", name, there=bool(names))
        if kind == "absent":
            raise FileNotFoundError(2, "No such folder below the validated root", name)
        if kind != "dir":
            raise NotADirectoryError(20, f"Only folders can be listed; this is a {kind}", name)
        return list(names)


class Context:
    """What a rule or a builder of a shared input is called with."""

    def __init__(
        self,
        owner: str,
        recorder: Recorder,
        shared: SharedInputs,
        *,
        root: Path,
        config: Mapping[str, Any],
        results: Mapping[str, RuleResult] | None = None,
    ) -> None:
        self.owner = owner
        self.fs = FileView(recorder)
        self.config = config
        self.recorder = recorder
        self._shared = shared
        self._root = root
        self._results = results or {}

    def shared(self, name: str) -> Any:
        """The shared input *name*, built on first use; ``"index"`` is the sorted tuple of all file paths.

        Raises:
            KeyError: no builder has that name.
            SharedInputError: its builder raised.
        """
        return self._shared.get(name, self.recorder)

    def result(self, rule_id: str) -> RuleResult:
        """The result of a rule that this one requires (a PASS, or this rule would not run).

        Raises:
            KeyError: *rule_id* is not in this rule's ``requires``.
        """
        if rule_id not in self._results:
            raise KeyError(f"ctx.result works for required rules; {self.owner} does not require {rule_id!r}")
        self.recorder.look("result", rule_id, there=True)
        return self._results[rule_id]

    def env(self, name: str) -> str | None:
        """An environment variable, recorded; None when it is not set."""
        self.recorder.look("env", name, there=name in os.environ)
        return os.environ.get(name)

    @property
    def tree(self) -> RecordedPath:
        """The root as a recorded ``importlib.resources.abc.Traversable``, for checks written against that."""
        return RecordedPath(self.fs)

    @property
    def root(self) -> Path:
        """The real path of the root. What is done with it is not recorded: the rule is never cached."""
        self.recorder.unrecorded.append("ctx.root")
        self.recorder.saw_anything = True
        return self._root

    def passed(self, message: str = "", evidence: object = None) -> Outcome:
        """The answer PASS."""
        return Outcome(Status.PASS, message, evidence)

    def failed(self, message: str = "", evidence: object = None) -> Outcome:
        """The answer FAIL. Evidence keys ``path`` and ``line`` become locations in reports."""
        return Outcome(Status.FAIL, message, evidence)

    def skipped(self, message: str = "", evidence: object = None) -> Outcome:
        """The answer SKIP: the rule does not apply here. Rules that require it are skipped too."""
        return Outcome(Status.SKIP, message, evidence)
