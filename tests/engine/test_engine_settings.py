"""CPUs that may be used, thread caps, and settings from the environment."""

import os

import pytest

from optengine import EngineSettings
from optengine.config import load_settings
from optengine.cpus import cgroup_cpu_quota, default_workers, thread_caps, usable_cpus
from optengine.errors import ConfigurationError

# ---- CPUs


def write_cgroup(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_cgroup_quota_v2(tmp_path):
    """The tightest cpu.max from the own cgroup up to the root counts; "max" is no limit."""
    listing = tmp_path / "listing"
    listing.write_text("0::/outer/inner\n")
    write_cgroup(tmp_path / "outer" / "inner", cpu__max="max 100000\n")
    assert cgroup_cpu_quota(root=tmp_path, listing=listing) is None
    write_cgroup(tmp_path / "outer", cpu__max="150000 100000\n")
    assert cgroup_cpu_quota(root=tmp_path, listing=listing) == 1.5


def test_cgroup_quota_v1(tmp_path):
    """cpu.cfs_quota_us over its period, from the controller's own hierarchy; -1 is no limit."""
    listing = tmp_path / "listing"
    listing.write_text("4:memory:/job\n3:cpu,cpuacct:/job\n")
    job = tmp_path / "cpu" / "job"
    write_cgroup(job, cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    assert cgroup_cpu_quota(root=tmp_path, listing=listing) is None
    write_cgroup(job, cpu__cfs_quota_us="250000")
    assert cgroup_cpu_quota(root=tmp_path, listing=listing) == 2.5


def test_cgroup_quota_survives_nonsense(tmp_path):
    """Missing and malformed files mean no limit."""
    assert cgroup_cpu_quota(root=tmp_path, listing=tmp_path / "missing") is None
    listing = tmp_path / "listing"
    listing.write_text("0::/\n2:freezer:/x\n")
    write_cgroup(tmp_path, cpu__max="what is this")
    assert cgroup_cpu_quota(root=tmp_path, listing=listing) is None


def test_default_workers_are_within_the_affinity():
    """Never more workers than CPUs this process may use, never none."""
    assert 1 <= default_workers() <= usable_cpus() <= len(os.sched_getaffinity(0))


def test_thread_caps_leave_the_users_choice_alone():
    """Variables the user set are not overridden."""
    caps = thread_caps(2, {"OMP_NUM_THREADS": "8"})
    assert "OMP_NUM_THREADS" not in caps
    assert caps["OPENBLAS_NUM_THREADS"] == "2"


# ---- settings


def test_settings_come_from_the_environment(monkeypatch):
    """Every OPTENGINE_ variable is read, with units and lists understood."""
    for name, value in {
        "PERSISTENT_POOL": "false",
        "MAX_WORKERS": "3",
        "START_METHOD": "spawn",
        "TASK_TIMEOUT": "2.5",
        "MEMORY_LIMIT": "1.5 GB",
        "MAX_ATTEMPTS": "4",
        "PRELOAD": "json, math",
    }.items():
        monkeypatch.setenv(f"OPTENGINE_{name}", value)
    settings = load_settings()
    assert (settings.persistent_pool, settings.max_workers, settings.start_method) == (False, 3, "spawn")
    assert (settings.task_timeout, settings.memory_limit, settings.max_attempts) == (2.5, 3 << 29, 4)
    assert settings.preload == ("json", "math")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_WORKERS", "many"),
        ("MAX_WORKERS", "0"),
        ("START_METHOD", "thread"),
        ("MEMORY_LIMIT", "much"),
        ("TASK_TIMEOUT", "-1"),
        ("PERSISTENT_POOL", "perhaps"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch, name, value):
    """The error names the variable, its value and the cure."""
    monkeypatch.setenv(f"OPTENGINE_{name}", value)
    with pytest.raises(
        ConfigurationError, match=rf"OPTENGINE_{name} \(.*\) cannot be '{value}'.*correct or unset it"
    ):
        load_settings()


def test_an_empty_variable_counts_as_unset(monkeypatch):
    """An empty string leaves the default in force."""
    monkeypatch.setenv("OPTENGINE_MAX_WORKERS", "")
    assert load_settings() == EngineSettings()


def test_a_misspelt_variable_is_named(monkeypatch):
    """A variable that looks like a setting but is none would be ignored, so it is an error; others are not ours."""
    monkeypatch.setenv("OPTENGINE_OF_MY_OWN", "1")
    assert load_settings().max_attempts == 2
    monkeypatch.setenv("OPTENGINE_TASK_TIMOUT", "5")
    with pytest.raises(
        ConfigurationError, match=r"OPTENGINE_TASK_TIMOUT is no setting.*OPTENGINE_TASK_TIMEOUT is one"
    ):
        load_settings()
