"""The asking side of the spawner: one call, one run of a command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..adoption import program
from ..measure import temporary
from ..measure.errors import MeasureError
from .command import Command

_END_S = 10.0
_TAIL = 400
_SPAWNER = "pytest_optbench.wholecommand.spawner"


@dataclass(frozen=True)
class Run:
    """One run: seconds of wall time and of processor time, how it ended, memory in bytes, its output's digest."""

    wall_s: float
    cpu_s: float
    status: int
    timed_out: bool
    peak_bytes: int
    tree_bytes: int | None
    floor_bytes: int
    left: int
    digest: str
    size: int

    @property
    def ending(self) -> str:
        """How the command ended, in words."""
        return (
            f"was ended by signal {-self.status}" if self.status < 0 else f"ended with status {self.status}"
        )


class Spawner:
    """Runs commands one at a time; a context manager that leaves no process and no file behind."""

    def __init__(self, cwd: Path) -> None:
        """Start nothing yet; commands run in ``cwd``."""
        self._cwd = str(cwd)

    def __enter__(self) -> Self:
        """Start the spawner in a session of its own, out of reach of the terminal's Ctrl-C."""
        self._folder = temporary.make()
        try:
            self._process = subprocess.Popen(
                [*program("pytest_optbench.adoption.subreaper"), *program(_SPAWNER), str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the spawner, which ends the command, and remove the files."""
        try:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.close()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process.stdout.close()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)  # gone already unless the spawner was killed

    def run(
        self, command: Command, environment: Mapping[str, str], limit_s: float, *, sample: bool = False
    ) -> Run:
        """Return one run of ``command``, ended after ``limit_s`` seconds at the latest.

        ``sample`` also watches the memory of its whole tree and counts what it leaves running, which costs
        processor time: not for timed runs. Raises `MeasureError` when it cannot be started.
        """
        answer = self._ask(
            {
                "program": command.program,
                "words": list(command.words),
                "environment": dict(environment),
                "cwd": self._cwd,
                "stdout": str(self._output),
                "stderr": str(self._errors),
                "limit_s": limit_s,
                "sample": sample,
            }
        )
        if "error" in answer:
            raise MeasureError(
                f"the command must be one that can be started, received {command.text!r}: {answer['error']}"
            )
        return Run(
            answer["wall_ns"] / 1e9,
            answer["cpu_s"],
            answer["status"],
            answer["timed_out"],
            answer["peak_bytes"],
            answer["tree_bytes"],
            answer["floor_bytes"],
            answer["left"],
            answer["digest"],
            answer["size"],
        )

    def output(self, most: int) -> bytes:
        """Return the first ``most`` bytes the last command wrote to its standard output."""
        with self._output.open("rb") as file:
            return file.read(most)

    def error_tail(self) -> str:
        """Return the end of what the last command wrote to its standard error, in one line."""
        with self._errors.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            return " ".join(file.read().decode("utf-8", "replace").split())

    @property
    def _output(self) -> Path:
        return self._folder / "stdout"

    @property
    def _errors(self) -> Path:
        return self._folder / "stderr"

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise MeasureError("the process that starts commands must stay alive, but it ended; run it again")
        answer: dict[str, Any] = json.loads(line)
        return answer
