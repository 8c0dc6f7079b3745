"""Who keeps a shared frame alive, who releases it, and what workers of every start method see."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from optengine.frames import FrameError, FrameFormatError, SharedFrame, SharedFrameClosed
from optengine.frames.ipc import map_batch
from optengine.frames.segment import Segment, sweep
from optengine.frames.stored import StoredFrame

METHODS = ["fork", "forkserver", "spawn"]
BACKINGS = ["memory", "file"]

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def prices():
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "close": rng.normal(60, 5, 1000),
            "time": pd.date_range("2020", periods=1000, freq="min"),
            "symbol": rng.choice(["WTI", "BRENT", "GAS"], 1000),
        }
    )


def read(handle):
    attached = SharedFrame.attach(handle)
    return attached.frame, attached.copied_columns, os.getpid()


def write(handle, column):
    frame = SharedFrame.attach(handle).frame
    frame.loc[0, column] = frame.loc[1, column]


def attach_and_leave(handle):
    SharedFrame.attach(handle)


@pytest.mark.parametrize(
    ("method", "backing"), [*((method, "memory") for method in METHODS), ("fork", "file")]
)
def test_workers_see_the_same_values(prices, method, backing, in_worker):
    """A worker of any start method attaches the frame without copying a column and sees equal values."""
    with SharedFrame.create(prices, backing=backing) as shared:
        frame, copied, worker = in_worker(method, read, shared.handle)
    assert worker != os.getpid()
    assert copied == {}
    pd.testing.assert_frame_equal(frame, prices)


@pytest.mark.parametrize("column", ["close", "time", "symbol"])
def test_writing_raises(prices, column):
    """Assigning into any column of an attached frame raises instead of changing what others see."""
    with SharedFrame.create(prices) as shared:
        # pandas reports a timestamp column it may not write to as "Incompatible".
        with pytest.raises(ValueError, match=r"read-only|Incompatible"):
            write(shared.handle, column)
        pd.testing.assert_frame_equal(shared.get(), prices)


def test_workers_cannot_write(prices, in_worker):
    """A worker that writes into the frame gets the error, and the owner's values stay."""
    with SharedFrame.create(prices) as shared:
        with pytest.raises(ValueError, match="read-only"):
            in_worker("fork", write, shared.handle, "close")
        pd.testing.assert_frame_equal(shared.get(), prices)


def test_memory_is_sealed(prices):
    """Not even opening the memory for writing allows to change or shorten it under its readers."""
    with SharedFrame.create(prices, backing="memory") as shared:
        descriptor = os.open(shared.handle.address.path, os.O_RDWR)
        try:
            with pytest.raises(PermissionError):
                os.write(descriptor, b"x")
            with pytest.raises(PermissionError):
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)


def test_a_new_column_stays_with_its_task(prices):
    """A column added to one attached frame is not seen by the next attachment in the same process."""
    with SharedFrame.create(prices) as shared:
        frame = shared.get()
        frame["signal"] = 1
        assert "signal" not in shared.get().columns


def test_attaching_twice_maps_once(prices):
    """Two attachments in one process share one mapping."""
    with SharedFrame.create(prices) as shared:
        address = str(shared.handle.address.inode)
        first, second = SharedFrame.attach(shared.handle), SharedFrame.attach(shared.handle)
        assert first._stored is second._stored
        maps = [line for line in Path("/proc/self/maps").read_text().splitlines() if address in line.split()]
        assert len(maps) == 1


def test_handles_are_small(prices):
    """A handle pickles to less than a kilobyte, whatever the frame's size, and knows that size."""
    with SharedFrame.create(prices) as shared:
        assert len(pickle.dumps(shared.handle)) < 1000
        assert shared.handle.nbytes == shared.nbytes > prices["close"].to_numpy().nbytes
        assert pickle.loads(pickle.dumps(shared.handle)) == shared.handle
        pd.testing.assert_frame_equal(shared.handle.get(), prices)


@pytest.mark.parametrize("backing", BACKINGS)
def test_views_outlive_the_owner(prices, backing, in_worker):
    """After close, twice, existing frames stay valid and attaching is a clear error, cached or not."""
    shared = SharedFrame.create(prices, backing=backing)
    attached = SharedFrame.attach(shared.handle)
    frame = attached.frame
    shared.close()
    shared.close()
    assert shared.closed
    pd.testing.assert_frame_equal(frame, prices)
    pd.testing.assert_frame_equal(attached.frame, prices)
    with pytest.raises(
        SharedFrameClosed, match=rf"process {os.getpid()} closed it or ended .* before SharedFrame\.close"
    ):
        SharedFrame.attach(shared.handle)
    with pytest.raises(SharedFrameClosed, match="closed it or ended"):
        in_worker("fork", attach_and_leave, shared.handle)


def test_a_closed_attachment_says_so(prices):
    """A closed attachment refuses further use and leaves its frames and other attachments alone."""
    with SharedFrame.create(prices) as shared:
        with SharedFrame.attach(shared.handle) as attached:
            frame = attached.frame
        attached.close()
        with pytest.raises(SharedFrameClosed, match=r"this attachment is closed; call SharedFrame\.attach"):
            _ = attached.frame
        pd.testing.assert_frame_equal(frame, SharedFrame.attach(shared.handle).frame)


def test_a_reused_descriptor_is_not_mistaken(prices):
    """When another frame of the same size gets the descriptor of a closed one, the old handle still fails."""
    old = SharedFrame.create(prices, backing="memory")
    old.close()
    with SharedFrame.create(prices, backing="memory") as new:
        assert new.handle.address.path == old.handle.address.path
        assert new.nbytes == old.nbytes
        with pytest.raises(SharedFrameClosed):
            SharedFrame.attach(old.handle)


@pytest.mark.parametrize("backing", BACKINGS)
def test_dropping_the_owner_releases(prices, backing):
    """An owner that is garbage-collected releases its memory."""
    shared = SharedFrame.create(prices, backing=backing)
    address = shared.handle.address
    assert address.exists()
    del shared
    gc.collect()
    assert not address.exists()


def test_mappings_of_closed_frames_are_dropped(prices):
    """A process forgets the mapping of a closed frame when it next attaches another one."""
    first = SharedFrame.create(prices)
    SharedFrame.attach(first.handle)
    inode = str(first.handle.address.inode)
    first.close()
    with SharedFrame.create(prices.head(10)) as second:
        SharedFrame.attach(second.handle)
    gc.collect()
    assert inode not in {line.split()[4] for line in Path("/proc/self/maps").read_text().splitlines()}


@pytest.mark.parametrize("backing", BACKINGS)
def test_forked_children_do_not_release(prices, backing):
    """A forked child that exits, closes or collects the owner's object leaves the owner's memory alone."""
    shared = SharedFrame.create(prices, backing=backing)
    child = os.fork()
    if child == 0:
        shared.close()
        os._exit(0 if shared.closed else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert shared.handle.address.exists()
    shared.close()
    assert not shared.handle.address.exists()


def test_forked_children_do_not_keep_memory(prices):
    """A forked child holds no descriptor of its parent's frames, so the parent can really free them."""
    with SharedFrame.create(prices, backing="memory") as shared:
        inode = shared.handle.address.inode
        child = os.fork()
        if child == 0:
            held = []
            for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
                try:
                    held.append(os.fstat(int(name)).st_ino)
                except OSError:
                    continue
            os._exit(1 if inode in held else 0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


OWNER = """
    import pickle, sys, time
    import pandas as pd
    from optengine.frames import SharedFrame
    shared = SharedFrame.create(pd.DataFrame({{"a": range(1000)}}), backing="{backing}")
    print(pickle.dumps(shared.handle).hex(), flush=True)
    {end}
"""


def start_owner(backing, end, **kwargs):
    script = textwrap.dedent(OWNER).format(backing=backing, end=end)
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, **kwargs)
    return owner, pickle.loads(bytes.fromhex(owner.stdout.readline()))


@pytest.mark.parametrize(
    ("backing", "end"), [("memory", "pass"), ("file", "pass"), ("file", "raise ValueError")]
)
def test_ending_releases(backing, end):
    """However an owner process ends by itself, its memory is released."""
    owner, handle = start_owner(backing, end, stderr=subprocess.DEVNULL)
    owner.communicate(timeout=240)
    assert not handle.address.exists()


@pytest.mark.parametrize("backing", BACKINGS)
def test_killed_owner_leaves_nothing(backing, prices, tmp_path):
    """After kill -9 of the owner attached views work, attaching fails, and no memory or file is left over."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    owner, handle = start_owner(backing, "time.sleep(600)", env=environment)
    frame = SharedFrame.attach(handle).frame
    owner.send_signal(signal.SIGKILL)
    owner.communicate(timeout=240)
    assert frame["a"].sum() == 499500
    path = Path(handle.address.path)
    if backing == "file":
        assert path in sweep(path.parent) or not path.exists()  # another process may have come first
    assert not path.exists()
    with pytest.raises(SharedFrameClosed, match=f"process {owner.pid} closed it or ended"):
        SharedFrame.attach(handle)


def test_sweep_spares_the_living(prices):
    """Removing left-over files never touches those of an owner that is alive, in this or another process."""
    with SharedFrame.create(prices, backing="file") as mine:
        owner, theirs = start_owner("file", "sys.stdin.read()", stdin=subprocess.PIPE)
        for handle in (mine.handle, theirs):
            assert handle.address.path not in map(str, sweep(Path(handle.address.path).parent))
            assert handle.address.exists()
        owner.communicate("", timeout=240)
    assert not theirs.address.exists()


def test_owners_do_not_pickle(prices):
    """Pickling the owner instead of the handle says what to send."""
    with SharedFrame.create(prices) as shared, pytest.raises(TypeError, match=r"send SharedFrame\.handle"):
        pickle.dumps(shared)


def test_wrong_arguments_are_named(prices):
    """A wrong handle or backing is answered with what was received."""
    with pytest.raises(FrameError, match=r"attach takes the handle of a shared frame; received 'x'"):
        SharedFrame.attach("x")
    with pytest.raises(FrameError, match=r"backing must be 'auto', 'memory' or 'file'; received 'disk'"):
        SharedFrame.create(prices, backing="disk")


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"ARROW1\0\0" + b"\xff" * 64])
def test_foreign_bytes_are_refused(tmp_path, content):
    """Bytes that are no Arrow file are refused with the name of the file, never mapped blindly."""
    path = tmp_path / "strange.arrow"
    path.write_bytes(content)
    with (
        path.open("rb") as file,
        pytest.raises(FrameFormatError, match=r"strange\.arrow must be an uncompressed"),
    ):
        map_batch(file.fileno(), path)


@pytest.mark.parametrize("name", ["UnsupportedColumn", "SharedFrameClosed", "FrameFormatError", "FrameError"])
def test_errors_survive_pickling(name):
    """Errors keep type and text when a worker sends them back."""
    import optengine.frames

    cls = getattr(optengine.frames, name)
    error = cls("column 'a'", "no form") if name == "UnsupportedColumn" else cls("text")
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back)) == (type(error), str(error))


@pytest.mark.parametrize("backing", BACKINGS)
def test_a_failed_write_leaves_nothing(backing):
    """When writing a segment fails, its descriptor is closed and its file removed."""

    def fail(file):
        file.write(b"x")
        raise OSError("no space left on purpose")

    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="on purpose"):
        Segment.create(fail, 100, backing)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert list(Path("/dev/shm").glob(f"optengine-{os.getpid()}-*")) == []


def test_a_frame_too_large_for_shared_memory_goes_to_a_file(tmp_path):
    """A named segment that does not fit on /dev/shm is written to the temporary directory."""
    with contextlib.closing(Segment.create(lambda file: file.write(b"x"), 1 << 60, "file")) as segment:
        assert Path(segment.address.path).parent == Path(tempfile.gettempdir())
        assert segment.address.exists()


def test_frames_of_another_format_are_refused():
    """A batch without description, or of an unknown format, is refused with what can be read."""
    with pytest.raises(
        FrameFormatError, match=r"carries a description under b'optengine.frame'; .* has none"
    ):
        StoredFrame(pa.record_batch({"a": [1]}))
    batch = pa.record_batch({"a": [1]}).replace_schema_metadata({b"optengine.frame": b'{"format": 99}'})
    with pytest.raises(FrameFormatError, match="of format 1 can be read; received format 99"):
        StoredFrame(batch)


@pytest.mark.parametrize("batches", [0, 2])
def test_files_of_several_batches_are_refused(tmp_path, batches):
    """An Arrow file that does not hold exactly one batch is refused, because it could not be viewed in place."""
    batch = pa.record_batch({"a": [1]})
    path = tmp_path / "x.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        for _ in range(batches):
            writer.write_batch(batch)
    with (
        path.open("rb") as file,
        pytest.raises(FrameFormatError, match=f"hold one record batch; it holds {batches}"),
    ):
        map_batch(file.fileno(), path)


def test_a_handle_preloads(prices):
    """A fork server that preloads a handle passes the mapping on to the workers it forks."""
    with SharedFrame.create(prices) as shared:
        shared.handle.preload()
        child = os.fork()
        if child == 0:
            stored = SharedFrame.attach(shared.handle)._stored
            os._exit(0 if stored._decoded is not None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
