"""What is sent where: stealing, streaming inside a chunk, isolation of suspects, large chunks, many batches."""

import threading

import numpy as np
import pool_tasks as tasks
import pytest

from optengine import PersistentWorkerPool, TaskFailure


@pytest.fixture(scope="module")
def pair():
    """A pool of two workers."""
    with PersistentWorkerPool(2) as pool:
        yield pool


def test_an_idle_worker_takes_what_a_busy_one_has_not_begun(pair, tmp_path):
    """Tasks queued in a chunk behind a long one are run by the other worker, while the long one still runs."""
    gate = tmp_path / "gate"
    stream = pair.as_completed_batch(tasks.wait_for_file, [str(gate)] + [None] * 19, chunksize=10)
    early = dict(next(stream) for _ in range(19))
    assert sorted(early) == list(range(1, 20)), "19 tasks ended while the first was still waiting"
    gate.touch()
    (late,) = stream
    assert late[0] == 0
    assert all(process != late[1] for process in early.values())


@pytest.mark.parametrize("blocker", [tasks.wait_for_file, tasks.spin_until_file])
def test_results_do_not_wait_for_the_rest_of_their_chunk(blocker, tmp_path):
    """With one worker and one chunk, results of quick tasks arrive while the last task still runs."""
    gate = tmp_path / "gate"
    with PersistentWorkerPool(1) as pool:
        stream = pool.as_completed_batch(blocker, [None] * 4 + [str(gate)], chunksize=5)
        assert [next(stream)[0] for _ in range(4)] == [0, 1, 2, 3]
        gate.touch()
        assert [index for index, _ in stream] == [4]


def test_a_suspect_runs_alone(tmp_path):
    """A task whose worker died is tried again with nothing before or behind it in the worker."""
    log = tmp_path / "log"
    with PersistentWorkerPool(1, max_attempts=3) as pool:
        results = pool.run_batch(
            tasks.note_company, [(str(log), number) for number in range(40)], on_error="return", chunksize=10
        )
    starts = [line.split() for line in log.read_text().splitlines()]
    assert isinstance(results[5], TaskFailure)
    assert [number for number, _ in starts].count("5") == 3
    last = [position for position, (number, _) in enumerate(starts) if number == "5"]
    for position in last:
        process = starts[position][1]
        assert all(other != process for _, other in starts[position + 1 :]), (
            "nothing ran after it in its process"
        )


def test_a_worker_may_return_more_than_a_socket_holds(pair):
    """Megabytes of small results and of text arrive intact."""
    texts = pair.run_batch(str, range(200_000), chunksize=50_000)
    assert texts[-1] == "199999"
    assert len(set(texts)) == 200_000
    words = pair.run_batch(tasks.repeat, ["ä" * 900, "b" * 40_000] * 200)
    assert words == ["ä" * 1800, "b" * 80_000] * 200


def test_large_chunks_are_cut_by_volume(pair):
    """Sixty arrays of 1 MB in one requested chunk neither fill the memory nor arrive wrong."""
    arrays = [np.full(131_072, float(number)) for number in range(60)]
    assert pair.run_batch(tasks.total, arrays, chunksize=60) == [
        float(number) * 131_072 for number in range(60)
    ]


def test_arguments_of_many_megabytes_do_not_queue_up(pair):
    """Short tasks on 16 MB arrays wait for room in the inbox instead of filling it, batch after batch."""
    arrays = [np.full(2 << 20, float(number)) for number in range(8)]
    for _ in range(3):
        assert pair.run_batch(tasks.corner, arrays) == [2.0 * number for number in range(8)]
    for worker in pair._supervisor.workers:
        assert worker.inbox._size <= 48 << 20


def test_kept_arguments_stay_as_they_are_while_memory_is_used_again():
    """Large arrays a task keeps are unchanged after batches that reuse the memory of those it did not keep."""
    with PersistentWorkerPool(1) as pool:
        for number in range(3):
            pool.run_batch(tasks.total, [np.full(131_072, -1.0)] * 20)
            kept = pool.run_batch(tasks.keep_and_sum, [np.full(131_072, float(number))])[0]
        pool.run_batch(tasks.total, [np.full(131_072, -1.0)] * 20)
        assert kept == [0.0, 1.0, 2.0]
        assert pool.run_batch(tasks.keep_and_check, [None]) == [[0.0, 1.0, 2.0]]


def test_memory_of_arguments_taken_back_is_used_again(pair):
    """Arrays stolen from a busy worker, batch after batch, do not fill its inbox."""
    arrays = [np.full(131_072, float(number)) for number in range(8)]
    for _ in range(20):
        stream = pair.as_completed_batch(tasks.slow_total, arrays, chunksize=8)
        next(stream)
        stream.close()
    assert pair.run_batch(tasks.total, arrays) == [float(number) * 131_072 for number in range(8)]
    for worker in pair._supervisor.workers:
        assert worker.inbox.used_bytes < 40 << 20


def test_strided_and_read_only_arrays_travel(pair):
    """Arrays that are no plain buffer, or may not be written, arrive with their values."""
    base = np.arange(400_000.0)
    locked = base.copy()
    locked.flags.writeable = False
    assert pair.run_batch(tasks.total, [base[::2], base.reshape(400, 1000).T, locked]) == [
        base[::2].sum(),
        base.sum(),
        base.sum(),
    ]


def test_batches_of_several_threads_take_turns(pair, tmp_path):
    """A short batch does not wait for a long one that began before it."""
    order = []
    started = threading.Event()

    def long_batch():
        stream = pair.as_completed_batch(tasks.sleep_then_return, [0.02] * 5000, chunksize=1)
        next(stream)
        started.set()
        for _ in stream:
            if order:
                break
        else:
            order.append("long")
        stream.close()

    thread = threading.Thread(target=long_batch)
    thread.start()
    assert started.wait(240)
    pair.run_batch(tasks.sleep_then_return, [0.01] * 4, chunksize=1)
    order.append("short")
    thread.join(240)
    assert order == ["short"]


def test_a_task_timeout_of_one_batch_does_not_touch_another(pair):
    """task_timeout holds for its batch only."""
    (failure,) = pair.run_batch(tasks.sleep_then_return, [30], on_error="return", task_timeout=0.2)
    assert failure.kind == "timeout"
    with pytest.raises(TimeoutError, match=r"the task must end within 0\.2 s"):
        pair.run_batch(tasks.sleep_then_return, [30], task_timeout=0.2)
    assert pair.run_batch(tasks.sleep_then_return, [0.5]) == [0.5]


def test_a_time_out_in_a_chunk_costs_only_its_task(pair):
    """Tasks before and behind the hung one in its chunk all return."""
    results = pair.run_batch(
        tasks.sleep_then_return,
        [0.0] * 5 + [30] + [0.0] * 5,
        on_error="return",
        chunksize=11,
        task_timeout=1.0,
    )
    assert [result for result in results if result != 0.0] == [results[5]]
    assert results[5].kind == "timeout"


def test_a_long_computation_is_rarely_interrupted(pair):
    """The worker's other thread interrupts tasks of 0.8 s a few times each, not every 10 ms."""
    assert max(pair.run_batch(tasks.switches_while_computing, [0.8] * 4)) < 30


def test_a_result_before_a_long_task_does_not_wait_for_it(pair, tmp_path):
    """In a chunk, results between two long tasks come out while the second still runs."""
    gate = tmp_path / "gate"
    stream = pair.as_completed_batch(tasks.compute_or_wait, [0.4, 0.0, str(gate), 0.4, 0.0], chunksize=3)
    early = {index for index, _ in (next(stream) for _ in range(4))}
    assert early == {0, 1, 3, 4}
    gate.touch()
    assert [index for index, _ in stream] == [2]
