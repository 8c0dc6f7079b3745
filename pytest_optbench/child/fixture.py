"""The `optbench` fixture in a child: the same calls, with the driver deciding what is timed and when."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ..distinct import renamed
from ..fixture import ArmLike, Asked, Optbench
from ..measure.arm import Arm, Arms
from ..measure.errors import ArmRaised, InvalidArm
from ..smoke import Smoke

if TYPE_CHECKING:
    from .session import ChildSession

CHILD = pytest.StashKey["ChildSession"]()


class ArmMeasured(BaseException):
    """The one arm of this child is measured: what follows in the test is for its own process, which has the decision.

    Not an `Exception`, so that ``except Exception`` inside a test cannot swallow it.
    """


class ChildOptbench(Optbench):
    """Stands in front of the timed region of one arm, or of every arm in turn."""

    def _compare(self, asked: Asked) -> Mapping[str, Any]:
        """Have the arm of this child's lane timed, which ends the test; return what a plain run returns else."""
        with self._arms(asked, asked.candidates) as arms:
            for arm in self._chosen(list(arms)):
                self._serve(arm, arm.name, asked, arm.name)
        if self._child.connection.arm is not None and not self._is_test_case:
            raise ArmMeasured
        return {name: Smoke() for name in asked.candidates}

    def _measure(self, asked: Asked) -> None:
        """Have the work timed."""
        with self._arms(asked, {"again": asked.baseline}) as arms:
            self._serve(arms.baseline, "", asked, None)

    @contextmanager
    def _arms(self, asked: Asked, candidates: Mapping[str, ArmLike]) -> Iterator[Arms]:
        """Yield the arms; one that cannot be measured as written fails the test."""
        try:
            with Arms(asked.baseline, candidates, asked.setup) as arms:
                yield arms
        except InvalidArm as error:
            self._fail(f"optbench: {error}")

    @property
    def _is_test_case(self) -> bool:
        """Whether unittest runs the test: it would take whatever ends it for an error."""
        unittest, kind = sys.modules.get("unittest"), getattr(self._item, "cls", None)
        return unittest is not None and kind is not None and issubclass(kind, unittest.TestCase)

    @property
    def _child(self) -> ChildSession:
        return self._item.config.stash[CHILD]

    def _chosen(self, arms: list[Arm]) -> list[Arm]:
        """Return the arm of this lane; all of them where none is named."""
        wanted = self._child.connection.arm
        chosen = [arm for arm in arms if wanted is None or arm.name == wanted]
        if not chosen:
            self._fail(
                f"optbench: every process must see the same arms, received {[arm.name for arm in arms]!r} "
                f"where the first one saw {wanted!r}; do not let arms depend on the process"
            )
        return chosen

    def _serve(self, arm: Arm, region: str, asked: Asked, name: str | None) -> None:
        said = {"keys": {**asked.keys, **self._marker}, "config": asked.config, "arm": name}
        info = {key: plain(value) for key, value in said.items()}
        region = region if self._child.connection.arm is None else ""
        try:
            self._child.serve(self._item, arm, region, equal=asked.equal, info=lambda: info)
        except ArmRaised as error:
            if isinstance(error.original, (pytest.skip.Exception, pytest.xfail.Exception)):
                self._fail(f"optbench: {error}")  # or the test would pass for one that skips itself
            raise error.original from None  # the arm's own traceback tells more


def plain(value: Any) -> Any:
    """Return ``value`` when JSON can hold it, else its text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return renamed({key: plain(inner) for key, inner in value.items()}, {key: str(key) for key in value})
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return repr(value)[:2000]
