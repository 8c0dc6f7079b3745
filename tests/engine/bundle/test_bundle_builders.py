"""Builds that are killed or run beside each other never leave a mixed bundle."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor

import pandas as pd
import pytest
from bundle_tables import make_bars

from optengine.bundle import (
    Bundle,
    StaleBundle,
)

KILLED = """
    import os, signal, sys
    import pandas as pd
    from optengine.bundle import Bundle
    from optengine.bundle import build
    target, point = sys.argv[1:]
    original = getattr(build, point)
    def killed(*args, **kwargs):
        if point == "_install":
            path = args[2]
            real = type(path).replace
            def replace(self, other):
                if self.name == "manifest.json":
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(self, other)
            type(path).replace = replace
            return original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(build, point, killed)
    Bundle.build(target, {"bars": pd.DataFrame({"close": [9.0]})}, pd.DataFrame({"s": ["X"]}), overwrite=True)
"""


@pytest.mark.parametrize(
    ("point", "existing"),
    [
        ("hash_file", True),
        ("_seal", True),
        ("_flush", True),
        ("_install", True),
        ("hash_file", False),
        ("_flush", False),
    ],
)
def test_a_killed_build_leaves_the_old_bundle_or_none(tmp_path, bars, point, existing):
    """kill -9 at any stage leaves what was there whole, and the next build clears up."""
    path = tmp_path / "b"
    old = Bundle.build(path, {"bars": bars}) if existing else None
    script = [sys.executable, "-c", textwrap.dedent(KILLED), str(path), point]
    ended = subprocess.run(script, capture_output=True, timeout=240, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    if old is not None:
        old.verify()
        pd.testing.assert_frame_equal(Bundle.open(path).frame("bars"), bars)
    else:
        assert not path.exists()
    new = Bundle.build(path, {"bars": bars.head(10)}, overwrite=True)
    new.verify()
    assert os.listdir(tmp_path) == ["b"]  # noqa: PTH208


def build_repeatedly(path, number, rounds):
    for _ in range(rounds):
        Bundle.build(path, {"bars": make_bars(100 + 2 * number)}, overwrite=True)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_concurrent_builders_never_mix(tmp_path):
    """While two processes overwrite one path in turn, every reader sees one version or the other, whole."""
    path = tmp_path / "b"
    Bundle.build(path, {"bars": make_bars()})
    seen = set()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as builders:
        done = [builders.submit(build_repeatedly, path, number, 8) for number in (1, 2)]
        while not all(future.done() for future in done):
            bundle = Bundle.open(path)
            try:
                rows = len(bundle.frame("bars"))
            except StaleBundle:
                continue
            pd.testing.assert_frame_equal(bundle.frame("bars"), make_bars(rows))
            seen.add(rows)
        for future in done:
            future.result()
    Bundle.open(path).verify()
    assert seen <= {100, 102, 104}
    assert os.listdir(tmp_path) == ["b"]  # noqa: PTH208
