"""The `optbench` fixture in a child: the same calls, with the driver deciding what is timed and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from ..fixture import ArmLike, Optbench
from ..measure.arm import Arm, Arms
from ..measure.errors import ArmRaised, InvalidArm
from ..smoke import Smoke

if TYPE_CHECKING:
    from .session import ChildSession

CHILD = pytest.StashKey["ChildSession"]()


class ChildOptbench(Optbench):
    """Stands in front of the timed region of one arm, or of every arm in turn."""

    def compare(
        self,
        baseline: ArmLike,
        optimized: ArmLike | Mapping[str, ArmLike],
        *,
        setup: ArmLike | None = None,
        equal: Callable[[Any, Any], Any] | None = None,
        config: Mapping[str, Any] | None = None,
        **keys: Any,
    ) -> Any:
        """Have the arm of this child's lane timed; return what a plain run returns."""
        self._once("compare")
        single = not isinstance(optimized, Mapping)
        candidates = (
            {str(name): arm for name, arm in optimized.items()}
            if isinstance(optimized, Mapping)
            else {"optimized": optimized}
        )
        try:
            with Arms(baseline, candidates, setup) as arms:
                for arm in self._chosen(list(arms)):
                    self._serve(arm, arm.name, equal, {**keys, "config": dict(config or {}), "arm": arm.name})
        except InvalidArm as error:
            self._fail(f"optbench: {error}")
        return Smoke() if single else {name: Smoke() for name in candidates}

    def measure(
        self,
        work: ArmLike,
        *,
        setup: ArmLike | None = None,
        equal: Callable[[Any, Any], Any] | None = None,
        config: Mapping[str, Any] | None = None,
        **keys: Any,
    ) -> None:
        """Have ``work`` timed."""
        self._once("measure")
        try:
            with Arms(work, {"again": work}, setup) as arms:
                self._serve(arms.baseline, "", equal, {**keys, "config": dict(config or {}), "arm": None})
        except InvalidArm as error:
            self._fail(f"optbench: {error}")

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

    def _serve(
        self, arm: Arm, region: str, equal: Callable[[Any, Any], Any] | None, keys: Mapping[str, Any]
    ) -> None:
        known = {
            **keys,
            "keys": {**{k: v for k, v in keys.items() if k not in ("config", "arm")}, **self._marker},
        }
        info = {name: plain(known[name]) for name in ("keys", "config", "arm")}
        name = region if self._child.connection.arm is None else ""
        try:
            self._child.serve(self._item, arm, name, equal=equal, info=lambda: info)
        except ArmRaised as error:
            raise error.original from None  # the arm's own traceback tells more


def plain(value: Any) -> Any:
    """Return ``value`` when JSON can hold it, else its text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return repr(value)[:2000]
