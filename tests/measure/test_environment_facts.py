"""The environment read-out: an allow-list without names of machine, user or folders."""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_optbench.measure import read_environment
from pytest_optbench.measure.environment import cgroup_cpus

KEYS = {
    "architecture",
    "cgroup_cpus",
    "clock_resolution_s",
    "cpu_model",
    "dev_mode",
    "gil",
    "governor",
    "hash_seed",
    "implementation",
    "kernel",
    "load_1m",
    "logical_cpus",
    "memory_gib",
    "optimize_flag",
    "os",
    "packages",
    "python",
    "python_build",
    "smt",
    "thread_caps",
    "turbo",
    "usable_cpus",
    "virtualised",
}


def read_in_child(**environ: str) -> dict:
    code = "import json, pytest_optbench.measure as m; print(json.dumps(m.read_environment()))"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=240,
        env={**clean, **environ},
        check=True,
    )
    return json.loads(done.stdout)


def test_only_facts_of_the_allow_list_are_recorded():
    """The keys are exactly those documented, and the values survive JSON."""
    facts = read_environment(1e-7)
    assert facts.keys() == KEYS
    assert json.loads(json.dumps(facts)) == facts
    assert facts["clock_resolution_s"] == 1e-7


def test_nothing_names_machine_user_or_folders():
    """Host name, user name, home and working directory appear nowhere in the record."""
    text = json.dumps(read_environment()).lower()
    names = {
        socket.gethostname(),
        platform.node(),
        getpass.getuser(),
        str(Path.home()),
        str(Path.cwd()),
        sys.prefix,
    }
    words = set(re.findall(r"[\w.-]+", text))
    for name in {name.lower() for name in names if len(name) > 1}:
        assert name not in (text if "/" in name else words)
    assert not re.search(r'"/|\\\\', text)


def test_facts_are_those_of_this_interpreter():
    """Versions, CPU counts and the kernel's major and minor number are the real ones."""
    facts = read_environment(packages=["hypothesis", "no-such-distribution"])
    assert facts["python"] == platform.python_version()
    assert facts["logical_cpus"] == os.cpu_count()
    assert facts["packages"]["pytest"] == pytest.__version__
    assert "hypothesis" in facts["packages"]
    assert "no-such-distribution" not in facts["packages"]
    assert platform.release().startswith(facts["kernel"])
    assert re.fullmatch(r"\d+(\.\d+)?", facts["kernel"])
    assert facts["memory_gib"] > 0
    assert facts["python_build"]["debug"] is hasattr(sys, "gettotalrefcount")


def test_versions_of_imported_packages_only():
    """pandas appears in a record once it was imported."""
    import pandas

    assert read_environment()["packages"]["pandas"] == pandas.__version__
    assert "pandas" not in read_in_child()["packages"]


@pytest.mark.parametrize(
    ("seed", "recorded"), [(None, "random"), ("0", "0"), ("123", "123"), ("random", "random")]
)
def test_the_hash_seed_setting(seed, recorded):
    """The setting of the hash seed is recorded: random, or the number."""
    assert read_in_child(**({} if seed is None else {"PYTHONHASHSEED": seed}))["hash_seed"] == recorded


def test_thread_caps_are_recorded_when_they_are_numbers():
    """Caps such as OMP_NUM_THREADS count when numeric; anything else is not copied."""
    caps = read_in_child(OMP_NUM_THREADS="2", MKL_NUM_THREADS="a word")["thread_caps"]
    assert caps["OMP_NUM_THREADS"] == "2"
    assert "MKL_NUM_THREADS" not in caps


def cgroup(root: Path, membership: str, files: dict[str, str]) -> float | None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "membership").write_text(membership)
    return cgroup_cpus(root, root / "membership")


@pytest.mark.parametrize(
    ("membership", "files", "cpus"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),
        ("0::/a\n", {"a/cpu.max": "400000 100000", "cpu.max": "50000 100000"}, 0.5),
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        ("0::/a\n", {}, None),
        (
            "5:memory:/a\n4:cpu,cpuacct:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "200000", "cpu/a/cpu.cfs_period_us": "100000"},
            2.0,
        ),
        ("4:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, None),
        ("", {}, None),
    ],
)
def test_cgroup_quota(tmp_path, membership, files, cpus):
    """The tightest quota up to the root counts, in both versions of control groups."""
    assert cgroup(tmp_path, membership, files) == cpus


def test_the_package_loads_names_on_first_use():
    """Importing the package imports nothing heavy, every public name is there, and unknown names fail."""
    import pytest_optbench.measure as measure

    for name in measure.__all__:
        assert getattr(measure, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = measure.nothing
    heavy = "{'numpy', 'psutil', 'asyncio'}"
    code = f"import sys, pytest_optbench.measure; print(sorted({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
