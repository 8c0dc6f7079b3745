"""A clock that moves only when told to, for exact arithmetic."""


class FakeClock:
    """Every wall reading takes ``tick_ns``; `advance` lets time pass."""

    def __init__(self, tick_ns: int = 1) -> None:
        self.tick_ns = tick_ns
        self.wall = 1_000
        self.cpu = 500

    def wall_ns(self) -> int:
        now = self.wall
        self.wall += self.tick_ns
        return now

    def cpu_ns(self) -> int:
        return self.cpu

    def advance(self, wall_ns: int, cpu_ns: int = 0) -> None:
        self.wall += wall_ns
        self.cpu += cpu_ns


class StillClock(FakeClock):
    """A clock that never advances by itself."""

    def __init__(self) -> None:
        super().__init__(tick_ns=0)
