"""The pool's pure parts: chunking, memory, frames, regions, failures, recovery."""

import os
import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optengine import TaskError, TaskFailure, errors
from optengine.chunking import CAP, TaskTime, chunk_size
from optengine.errors import ConfigurationError
from optengine.pool.batch import ListBatch, StreamBatch
from optengine.pool.failure import KINDS
from optengine.pool.handle import InFlight
from optengine.pool.memory import MemoryLimit, host_memory, parse_bytes, parse_limit, unshared_bytes
from optengine.pool.protocol import Chunk, FrameReader, Results, Revoke, Stop, decode, encode, mark, unmark
from optengine.pool.recovery import RestartBudget, how_it_ended, split
from optengine.pool.regions import RegionCopier, RegionMapper, RegionWriter, anonymous_file

# ---- chunking


@pytest.mark.parametrize(
    ("remaining", "workers", "task_s", "size"),
    [
        (1000, 2, None, 1),  # nothing known yet
        (1000, 2, 0.001, 50),  # 50 ms of work
        (1000, 2, 0.5, 1),  # a task longer than the target
        (100, 2, 1e-6, 25),  # half of an even share
        (3, 2, 1e-6, 1),
        (1, 2, 1e-6, 1),
        (0, 2, 1e-6, 1),
        (10_000_000, 2, 0.0, CAP),
    ],
)
def test_chunk_size_follows_work_left_and_task_time(remaining, workers, task_s, size):
    """The chunk is the smaller of half an even share and 50 ms of work, at least 1, at most the cap."""
    assert chunk_size(remaining, workers, task_s) == size


@given(st.integers(0, 10**7), st.integers(1, 64), st.floats(0, 1e4))
def test_a_chunk_never_exceeds_its_bounds(remaining, workers, task_s):
    """Whatever the times are, a chunk has at least one task and never more than its share or 50 ms of work."""
    size = chunk_size(remaining, workers, task_s)
    assert 1 <= size <= CAP
    assert size == 1 or (size <= -(-remaining // (2 * workers)) and size * task_s <= 0.05 * (1 + 1e-9))


def test_task_time_forgets_the_first_measurement():
    """The first chunk holds imports; the second replaces it, later ones are averaged in."""
    time = TaskTime()
    time.observe(1.0, 1)
    assert time.seconds == 1.0
    time.observe(0.02, 2)
    assert time.seconds == 0.01
    time.observe(0.04, 2)
    assert time.seconds == pytest.approx(0.01 + 0.3 * 0.01)
    time.observe(1.0, 0)
    assert time.observations == 3


# ---- memory


@pytest.mark.parametrize(
    ("text", "expected"),
    [(5, 5), ("5", 5), ("1k", 1024), ("2 MiB", 2 << 20), ("1.5GB", 3 << 29), ("1tb", 1 << 40)],
)
def test_memory_units(text, expected):
    """Numbers and texts with units of 1024 are bytes."""
    assert parse_bytes(text) == expected


def test_memory_limits():
    """One number is the hard limit with 80 % of it as the soft one; a pair sets both."""
    assert parse_limit(None) is None
    assert parse_limit(1000) == MemoryLimit(800, 1000)
    assert parse_limit(("1k", "2k")) == MemoryLimit(1024, 2048)
    with pytest.raises(ConfigurationError, match=r"must have soft <= hard; got \(2, 1\)"):
        parse_limit((2, 1))
    with pytest.raises(ConfigurationError, match="memory must be at least one byte; got 0"):
        parse_limit(0)
    with pytest.raises(ConfigurationError, match="memory must be a number of bytes"):
        parse_limit(True)


def test_unshared_memory_counts_what_is_held():
    """50 MB more held are 50 MB more counted, by the quick way and by the exact one."""
    before = unshared_bytes(os.getpid())
    held = b"x" * (50 << 20)
    assert 45 << 20 < unshared_bytes(os.getpid()) - before < 60 << 20
    assert unshared_bytes(os.getpid(), enough=1 << 50) >= len(held)
    assert unshared_bytes(2**22 + 1) is None
    memory = host_memory()
    assert 0 < memory.available <= memory.total


# ---- wire


@given(st.lists(st.binary(max_size=300), max_size=20), st.lists(st.integers(1, 50), min_size=1))
def test_frames_survive_any_cut(bodies, cuts):
    """However the stream is cut into pieces, the same messages come out in order."""
    messages = [Chunk(number, 1, False, True, [body], ()) for number, body in enumerate(bodies)]
    stream = b"".join(encode(message) for message in messages)
    reader, seen, at, turn = FrameReader(), [], 0, 0
    while at < len(stream):
        step = cuts[turn % len(cuts)]
        seen += [decode(body) for body in reader.feed(stream[at : at + step])]
        at, turn = at + step, turn + 1
    assert seen == messages


def test_messages_keep_their_type():
    """Every message decodes to what was encoded."""
    for message in (Stop(), Revoke(-1), Results([(1, [None, 2.5], True, 0.1, 2)], (4096,))):
        (body,) = FrameReader().feed(encode(message))
        assert decode(body) == message
        assert type(decode(body)) is type(message)


@given(st.integers(0, 2**40), st.integers(0, 2**20 - 1))
def test_marks_are_reversible_and_fit_a_word(chunk, position):
    """A task's mark tells its chunk and position and fits into 64 bits."""
    assert unmark(mark(chunk, position)) == (chunk, position)
    assert mark(chunk, position) < 2**63
    assert unmark(-1)[0] == -1


def test_regions_are_reused_only_after_release():
    """A region is given out again once freed, neighbours merge, and the limit turns writers away."""
    writer = RegionWriter(anonymous_file("test"), limit=4 << 20)
    first = writer.put(b"a" * 1_000_000)
    second = writer.put(b"b" * 1_000_000)
    assert first[0] != second[0]
    assert writer.used_bytes > 2_000_000
    assert RegionCopier(writer.descriptor).take(*first) == b"a" * 1_000_000
    assert writer.put(b"c" * 3_000_000) is None
    writer.free(first[0])
    writer.free(first[0])
    writer.free(123)
    assert writer.put(b"d" * 900_000)[0] == first[0]
    writer.free(first[0])
    writer.free(second[0])
    assert writer.used_bytes == 0
    huge = writer.put(b"e" * 9_000_000)
    assert RegionCopier(writer.descriptor).take(*huge)[-1:] == b"e"
    with pytest.raises(EOFError, match="must be complete"):
        RegionCopier(writer.descriptor).take(1 << 40, 10)
    os.close(writer.descriptor)
    assert writer.put(b"f" * 50_000_000) is None


def test_a_region_written_again_holds_the_new_bytes():
    """The quick copy into memory used before writes exactly its own region, also partly fresh and after growing."""
    writer = RegionWriter(anonymous_file("test"), limit=64 << 20)
    reader = RegionCopier(writer.descriptor)
    beside = writer.put(b"b" * 5000)
    for number, size in enumerate([40_000, 40_000, 39_999, 90_000, 90_000, 3_000_000, 3_000_000, 100]):
        text = bytes([number]) * size
        region = writer.put(text)
        assert reader.take(*region) == text
        assert reader.take(*beside) == b"b" * 5000
        writer.free(region[0])
    writer.close()
    os.close(writer.descriptor)


def test_memory_beyond_the_limit_goes_back_to_the_system():
    """Once no region is used the file holds no more memory than the limit, and can be filled again."""
    writer = RegionWriter(anonymous_file("test"), limit=4 << 20)
    for text in (b"a" * 30_000_000, b"b" * 30_000_000):
        region = writer.put(text)
        assert os.fstat(writer.descriptor).st_blocks * 512 >= 30_000_000
        assert RegionCopier(writer.descriptor).take(*region) == text
        writer.free(region[0])
        assert os.fstat(writer.descriptor).st_blocks * 512 <= 4 << 20
    writer.close()
    os.close(writer.descriptor)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only files of memfd_create can be sealed")
def test_a_reader_cannot_cut_the_memory_away():
    """A worker that truncates its inbox gets an error: the parent's mapping of it stays whole."""
    writer = RegionWriter(anonymous_file("test"), limit=4 << 20)
    region = writer.put(b"a" * 50_000)
    with pytest.raises(PermissionError):
        os.ftruncate(writer.descriptor, 0)
    writer.free(region[0])
    assert RegionCopier(writer.descriptor).take(*writer.put(b"b" * 50_000)) == b"b" * 50_000
    writer.close()
    os.close(writer.descriptor)


def test_a_file_that_cannot_be_sealed_is_written_all_the_same(tmp_path):
    """Without seals nothing is mapped, and regions are reused with their new bytes."""
    with (tmp_path / "plain").open("w+b") as file:
        writer = RegionWriter(file.fileno(), limit=4 << 20)
        for text in (b"a" * 50_000, b"b" * 50_000, b"c" * 9_000_000):
            region = writer.put(text)
            assert RegionCopier(writer.descriptor).take(*region) == text
            writer.free(region[0])
        writer.close()


def test_a_mapped_region_is_released_with_its_last_user():
    """The mapper reports a region only when nothing looks into it any more."""
    writer = RegionWriter(anonymous_file("test"), limit=4 << 20)
    mapper = RegionMapper(writer.descriptor)
    offset, size = writer.put(b"a" * 50_000)
    window = mapper.take(offset, size)
    view = memoryview(window)
    del window
    assert mapper.drain() == ()
    assert bytes(view[:3]) == b"aaa"
    del view
    assert mapper.drain() == (offset,)
    assert mapper.drain() == ()
    os.close(writer.descriptor)


# ---- failures and recovery


@pytest.mark.parametrize("kind", KINDS)
def test_failures_and_their_errors_survive_pickling(kind):
    """A failure and the error made of it are the same after a trip between processes."""
    failure = TaskFailure(3, kind, "why", traceback="trace", stack="stack", exitcode=-9, attempts=2, worker=1)
    assert pickle.loads(pickle.dumps(failure)) == failure
    error = failure.exception()
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert again.failure == failure
    assert str(again) == f"task 3 failed ({kind}) on worker 1 after 2 attempts: why"
    with pytest.raises(TaskError, match="why"):
        failure.throw()


def test_every_error_has_the_common_base():
    """All public errors can be caught as EngineError; time-outs and memory also as the builtin."""
    public = [
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)
    ]
    public.remove(errors.BrokenExecutor)
    assert all(issubclass(error, errors.EngineError) for error in public)
    assert issubclass(errors.TaskTimeout, TimeoutError)
    assert issubclass(errors.MemoryLimitExceeded, MemoryError)


def flight(chunk, tasks, done=0):
    return InFlight(chunk, ListBatch(abs, range(tasks), stop_on_failure=False), range(tasks), done=done)


def test_a_dead_workers_tasks_fall_into_three_groups():
    """Chunks before the marked one were run, its own up to the mark, later ones not at all."""
    first, second, third = flight(4, 10, done=2), flight(5, 10), flight(6, 10)
    flights = [first, second, third]
    assert split(flights, (5, 3)) == [(first, 10), (second, 4), (third, 0)]
    assert split(flights, (4, 6)) == [(first, 7), (second, 0), (third, 0)]
    assert split(flights, (3, 9)) == [(first, 2), (second, 0), (third, 0)]
    assert split(flights, (-1, 2**20 - 1)) == [(first, 2), (second, 0), (third, 0)]


def test_the_restart_budget_is_a_sliding_window():
    """Five restarts per worker and minute are granted, and again a minute later; so are two failed starts in a row."""
    budget = RestartBudget(1)
    assert [budget.spend(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert budget.spend(61.0)
    assert [budget.start_failed() for _ in range(3)] == [True, True, False]


def test_endings_are_told_in_words():
    """Exit codes, signals and the unknown are named."""
    assert how_it_ended(None) == "ended in an unknown way"
    assert how_it_ended(3) == "left with exit code 3"
    assert how_it_ended(-7).startswith("was killed by SIGBUS")
    assert how_it_ended(-61) == "was killed by signal 61"


def test_batches_of_nothing_are_over_at_once():
    """An empty batch needs no worker."""
    assert ListBatch(abs, [], stop_on_failure=True).finished.is_set()
    assert StreamBatch(abs, []).arrivals.get() is None


def test_importing_the_engine_is_cheap():
    """import optengine loads none of the heavy packages; nor does a worker's module."""
    code = (
        "import sys, optengine, optengine.pool.worker, optengine.pool.forkserver; "
        "print(sorted({'numpy', 'pandas', 'pyarrow', 'pydantic', 'psutil', 'tqdm'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
    import optengine

    assert "PersistentWorkerPool" in dir(optengine)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        optengine.nonsense  # noqa: B018
