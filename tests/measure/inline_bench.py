"""Arms for the inline runner that log their calls and move a fake clock."""

from __future__ import annotations

from typing import Any

from fake_clock import FakeClock

from pytest_optbench.measure import Arms, InlineRunner

LOOKS = (4, 6)


class Bench:
    """Arms that log their calls and move a fake clock."""

    def __init__(self, candidates: int = 1, costs_ns: tuple[int, ...] = (2_000_000, 1_000_000)) -> None:
        self.clock = FakeClock()
        self.log: list[str] = []
        names = ["baseline", *(f"c{number}" for number in range(1, candidates + 1))]
        costs = [*costs_ns, *[costs_ns[-1]] * candidates][: candidates + 1]
        self.calls = {name: self._arm(name, cost) for name, cost in zip(names, costs, strict=True)}

    def _arm(self, name: str, cost: int) -> Any:
        def call(*_: object) -> int:
            self.log.append(name)
            self.clock.advance(cost, cost // 2)
            return 1

        return call

    def setup(self) -> None:
        self.log.append("setup")

    def arms(self, **options: Any) -> Arms:
        calls = dict(self.calls)
        return Arms(calls.pop("baseline"), calls, **options)

    def runner(self, arms: Arms, **options: Any) -> InlineRunner:
        return InlineRunner(
            arms, **{"looks": LOOKS, "seed": 3, "clock": self.clock, "keep_tracers": True, **options}
        )
