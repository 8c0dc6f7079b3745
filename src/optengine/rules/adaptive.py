"""How many workers, and whether a pool is worth starting at all. Pure arithmetic on measured numbers.

With work ``t``, ``n`` workers and start-up ``s`` a pool takes ``s + t / n``, so it gains ``t (1 - 1/n) - s``.
When costs are known from an earlier run the decision is made at once. Otherwise rules run in this process
first, and the pool is started only when they have already taken as long as its start-up and what is left
promises a gain: at worst that costs twice the best choice made with hindsight (the ski rental argument).
"""

from __future__ import annotations

from dataclasses import dataclass

#: Assumed until a start-up was measured on this machine; about what a fork server with two workers needs.
ASSUMED_STARTUP_S = 0.5
#: Memory set aside per worker: an interpreter, the attached segment's pages and a shared input of moderate
# size.
WORKER_BYTES = 256 * 1024 * 1024
#: A predicted gain below this share of the start-up is noise.
MIN_GAIN = 0.5


@dataclass(frozen=True)
class WorkerChoice:
    """A number of workers and, in one line, why."""

    workers: int
    reason: str


def choose_workers(
    requested: int | None,
    *,
    usable: int,
    load: float = 0.0,
    units: int | None = None,
    memory_slots: int | None = None,
) -> WorkerChoice:
    """Workers to start: what was asked for, or CPUs that are free and that there is work for.

    Args:
        requested: the caller's number; taken as it is.
        usable: CPUs allowed by affinity and cgroup quota.
        load: runnable processes on the machine that are not ours (one-minute load average).
        units: units in the largest batch; more workers than that would idle.
        memory_slots: workers that fit into free memory.

    Raises:
        ValueError: *requested* is below 1.
    """
    if requested is not None:
        if requested < 1:
            raise ValueError(f"max_workers must be at least 1 or None; received {requested!r}.")
        return WorkerChoice(requested, f"{requested} workers as requested")
    bounds = {"usable CPUs": usable}
    # A load above the CPUs means others want them too; half is still ours to compete for.
    bounds["CPUs not taken by the machine's load"] = max(round(usable - load), (usable + 1) // 2)
    if units is not None:
        bounds["units in the largest batch"] = max(units, 1)
    if memory_slots is not None:
        bounds["workers that fit into memory"] = max(memory_slots, 1)
    name = min(bounds, key=bounds.__getitem__)
    workers = max(1, bounds[name])
    return WorkerChoice(workers, f"{workers} workers: {name}")


def predicted_gain(work_s: float, workers: int, startup_s: float) -> float:
    """Seconds a pool would save (negative: cost) for *work_s* seconds of rules."""
    return work_s * (1.0 - 1.0 / max(workers, 1)) - startup_s


@dataclass
class PoolDecision:
    """The running decision of mode auto.

    Attributes:
        workers: workers a pool would have.
        startup_s: measured or assumed start-up.
        known: costs come from an earlier run, so nothing needs to be tried first.
    """

    workers: int
    startup_s: float
    known: bool

    def worth_it(self, spent_s: float, remaining_s: float) -> bool:
        """Whether to start the pool now, after *spent_s* of rules, with *remaining_s* predicted."""
        if self.workers < 2:
            return False
        if not self.known and spent_s < self.startup_s:
            return False
        return predicted_gain(remaining_s, self.workers, self.startup_s) > MIN_GAIN * self.startup_s

    def explain(self, remaining_s: float) -> str:
        """The numbers behind the decision, in one line."""
        gain = predicted_gain(remaining_s, self.workers, self.startup_s)
        return (
            f"predicted {remaining_s:.2f} s of rules left, {self.workers} workers, "
            f"start-up {self.startup_s:.2f} s: "
            f"a pool would {'save' if gain > 0 else 'cost'} {abs(gain):.2f} s"
        )


def building_key(rule_id: str) -> str:
    """Where the time that a rule spent on building shared inputs stands among known times; no rule id has blanks."""
    return f"(inputs of {rule_id})"


def predict_remaining(waiting: list[str], known: dict[str, float], seen: list[float]) -> float:
    """Seconds the rules *waiting* will take: known times where there are any, also for building shared inputs, the
    mean of *seen* for the others."""
    mean = sum(seen) / len(seen) if seen else 0.0
    return sum(known.get(name, mean) + known.get(building_key(name), 0.0) for name in waiting)
