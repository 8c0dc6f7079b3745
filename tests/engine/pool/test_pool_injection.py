"""Random faults among many tasks: nothing hangs, nothing is lost, nothing runs more often than allowed."""

from collections import Counter

import pytest

from optengine import PersistentWorkerPool, TaskFailure
from optengine.testing.bestiary import BEASTS, injected_items, logged_beast


@pytest.mark.parametrize(
    ("method", "tasks", "attempts"), [("preload", 1500, 2), ("fork", 400, 1), ("spawn", 60, 3)]
)
def test_random_faults_lose_nothing(method, tasks, attempts, tmp_path, no_leftovers):
    """Every innocent task returns its result, every faulty one a failure of its kind, none beyond the retry budget."""
    log = tmp_path / "starts"
    items = injected_items(str(log), tasks, share=0.03, seed=11)
    with PersistentWorkerPool(
        2, start_method=method, max_attempts=attempts, task_timeout=30.0, memory_limit=None
    ) as pool:
        results = pool.run_batch(logged_beast, items, on_error="return")

    data = log.read_bytes()
    starts = Counter(int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4))
    assert set(starts) == set(range(tasks))
    assert max(starts.values()) <= attempts
    for number, (_, _, beast) in enumerate(items):
        kind = None if beast is None else BEASTS[beast][1]
        if kind is None:
            assert results[number] == number
        else:
            assert isinstance(results[number], TaskFailure)
            assert results[number].kind == kind


def test_the_injection_is_reproducible():
    """The same seed gives the same faults in the same places."""
    assert injected_items("x", 200, share=0.1, seed=3) == injected_items("x", 200, share=0.1, seed=3)
    assert injected_items("x", 200, share=0.1, seed=3) != injected_items("x", 200, share=0.1, seed=4)
