"""The three kinds of workers; Ray's are left out where it is not installed."""

from importlib.util import find_spec

import pytest

from sim.spread.contract import InProcess, Processes, Ray

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed: pip install 'p402[ray]'"
)
OTHERS = [
    pytest.param(Processes(2), id="processes"),
    pytest.param(Ray(count=2), id="ray", marks=[needs_ray, pytest.mark.filterwarnings("ignore")]),
]


@pytest.fixture(scope="session")
def one_cluster():
    """A cluster of the caller's own, as starting one takes seconds."""
    import os

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=1 << 27,
        log_to_driver=False,
        logging_level="error",
        _node_ip_address="127.0.0.2",
    )
    yield
    ray.shutdown()


@pytest.fixture(params=OTHERS)
def others(request):
    """Workers that are not the caller."""
    if isinstance(request.param, Ray):
        request.getfixturevalue("one_cluster")
    return request.param


@pytest.fixture(params=[pytest.param(InProcess(), id="in-process"), *OTHERS])
def workers(request):
    if isinstance(request.param, Ray):
        request.getfixturevalue("one_cluster")
    return request.param
