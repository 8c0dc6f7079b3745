"""The remaining time of a run, on a fake clock: arithmetic only. For real: ``benchmarks/engine/eta.py``."""

from __future__ import annotations

import pytest

from optengine.progress import Estimate


def end_errors(start_up: float, task: float, total: int, workers: int) -> list[tuple[float, float]]:
    """(share of the tasks done, error of the estimated end as a share of the run) at each redraw, ten a second."""
    length = start_up + task * total / workers
    estimate, found, now = Estimate(total, now=0.0), [], 0.0
    while (now := now + 0.1) < length:
        done = max(0, int((now - start_up) / task + 1e-9)) * workers
        state = estimate.state(done, 0, now)
        if state.eta_s is not None:
            found.append((done / total, abs(now + state.eta_s - length) / length))
    return found


@pytest.mark.parametrize("start_up", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("task", [0.05, 0.1, 1.0])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_the_end_is_known_after_a_fifth_of_equal_tasks(start_up: float, task: float, workers: int) -> None:
    """From 20 % of the tasks on, the estimated end is within 10 % of the run, however long the start took."""
    errors = end_errors(start_up, task, 400, workers)
    late = [error for share, error in errors if share >= 0.2]
    assert len(late) > 5
    assert max(late) < 0.1


def test_a_slow_start_is_not_taken_for_slow_tasks() -> None:
    """Ten seconds until the first of 100 results, then one a second: at the 20th, 80 seconds are left."""
    estimate = Estimate(100, now=0.0)
    for done in range(1, 21):
        state = estimate.state(done, 0, 9.0 + done)
    assert state.eta_s == pytest.approx(80)


def test_the_first_result_alone_gives_a_guess() -> None:
    """Until there is a second result, all the time so far stands for the tasks that ended."""
    assert Estimate(10, now=0.0).state(1, 0, 2.0).eta_s == pytest.approx(18)
