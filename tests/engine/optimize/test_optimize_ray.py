"""Ray: the conformance cases and the loss of a node on a real local cluster of three nodes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from optimize_tasks import SPACE, noisy

from optengine.optimize import Backend, OptimizeError, ParallelOptimizer
from optengine.search import BOHBSearchAlgorithm, GridSearchAlgorithm
from optengine.testing.backend_cases import IsolationCases

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra 'ray' is not installed"),
    # Ray itself leaves sockets and files to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.timeout(560),
]


NODE = {"object_store_memory": 80 << 20, "include_dashboard": False}
"""Settings of every node: 80 MB of shared memory (Ray's least is 75), no dashboard."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head node without room for workers and two nodes with two CPUs each; nothing of it remains."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **NODE})
    try:
        cluster.extra = [cluster.add_node(num_cpus=2, **NODE) for _ in range(2)]
        cluster.wait_for_nodes()
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
        del os.environ["RAY_USAGE_STATS_ENABLED"]


def pausing(params: dict[str, Any], context: Any) -> float:
    time.sleep(0.05)
    return noisy(params, context)


class TestRay(IsolationCases):
    worker_counts = (3,)

    @pytest.fixture(autouse=True)
    def _connect(self, cluster: Any) -> None:
        self.cluster = cluster

    def make(self, n_jobs: int, **options: Any) -> Backend:
        from optengine.optimize.backends.ray import RayBackend

        return RayBackend(n_jobs, address=self.cluster.address, **options)

    def test_a_lost_node_costs_nothing_but_time(self) -> None:
        """A node that disappears in the middle of the run leaves the history as the serial run has it."""
        serial = ParallelOptimizer(
            BOHBSearchAlgorithm(SPACE, 1, 9, n_iter=60, seed=1),
            backend="serial",
            progress=False,
            max_failures=None,
        )
        serial.run(noisy)
        backend = self.make(4)
        optimizer = ParallelOptimizer(
            BOHBSearchAlgorithm(SPACE, 1, 9, n_iter=60, seed=1),
            backend=backend,
            progress=False,
            max_failures=None,
            max_attempts=4,
        )
        for number, _ in enumerate(optimizer.stream(pausing)):
            if number == 10:
                self.cluster.remove_node(self.cluster.extra.pop())
        self.cluster.extra.append(self.cluster.add_node(num_cpus=2, **NODE))
        assert backend.stats()["restarts"] >= 1
        assert optimizer.history_bytes() == serial.history_bytes()


def test_a_cluster_without_room_is_an_error(cluster: Any) -> None:
    """Workers that need more CPUs than any cluster has are refused with the figures."""
    optimizer = ParallelOptimizer(
        GridSearchAlgorithm({"n": [1]}),
        backend="ray",
        progress=False,
        backend_options={"address": cluster.address, "cpus_per_worker": 64},
    )
    with pytest.raises(OptimizeError, match="a Ray cluster must have 64 CPUs for one worker; it has 4"):
        optimizer.run(noisy)


def test_wrong_ray_settings_are_named() -> None:
    """A setting that does not exist, or is out of range, is named with the value received."""
    for settings, message in (
        ({"adress": "x"}, "adress"),
        ({"cpus_per_worker": 0}, "cpus_per_worker: .*received 0"),
    ):
        with pytest.raises(OptimizeError, match=f"Ray setting {message}"):
            ParallelOptimizer(GridSearchAlgorithm({"n": [1]}), backend="ray", backend_options=settings)


def test_settings_come_from_the_environment() -> None:
    """OPTENGINE_RAY_* variables give what arguments leave out, in a process of its own."""
    import subprocess

    program = """
from optengine.optimize.ray_settings import RaySettings
settings = RaySettings(num_cpus=3)
print(settings.address, settings.num_cpus, settings.runtime_env)
"""
    environment = {**os.environ, "OPTENGINE_RAY_ADDRESS": "10.0.0.1:6379", "OPTENGINE_RAY_NUM_CPUS": "9"}
    environment["OPTENGINE_RAY_RUNTIME_ENV"] = '{"pip": ["x"]}'
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "10.0.0.1:6379 3 {'pip': ['x']}"
