"""Workers of a Ray cluster as a crew.

Ray is imported here and nowhere else. Without an address a cluster is started on loopback, with neither
dashboard nor usage reports, and ended with the crew. With one, the cluster stays; its machines must have
this very version of p402 and see the log and the store under the same paths.
"""

import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from typing import Any, Final

from sim.spread.attempt import tried
from sim.spread.contract import Died, Event, Function, Raised, Ray, WorkersAway
from sim.spread.kept import code_version

_OBJECT_STORE_BYTES: Final = 1 << 27
"""Of a cluster that we start: results are a few megabytes."""

_PATIENCE_S: Final = 10.0

_LOOPBACK: Final = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""Ray takes 127.0.0.1 for the machine's own address on the network, except on macOS and Windows."""

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when ray is imported: nothing is reported

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ImportError as absent:
    raise WorkersAway(
        f"Ray cannot be imported: {absent}; expected the extra: pip install 'p402[ray]'; or use --processes"
    ) from absent


class Cluster:
    """Tasks of Ray, at most `size` at once."""

    def __init__(self, workers: Ray) -> None:
        self._folder: str | None = None
        self._joined = False
        self._handler = signal.getsignal(signal.SIGTERM)
        self._start(workers)
        self.size = workers.count or max(1, int(ray.cluster_resources().get("CPU", 1)))
        remote: Any = ray.remote(num_cpus=1, max_retries=0)  # which gives its libraries one thread as well
        self._task = remote(_tried)
        self._function: Any = None
        self._code = code_version()
        self._waiting: dict[Any, int] = {}

    def begin(self, function: Function) -> None:
        """Work on another function from now on."""
        self._function = ray.put(function)

    def warm(self, function: Callable[..., Any]) -> None:
        """Ray starts its workers when it sees fit."""

    @property
    def free(self) -> bool:
        """Whether another task may be handed out."""
        return len(self._waiting) < self.size

    def submit(self, index: int, partition: Any) -> None:
        """Hand out a task."""
        self._waiting[self._task.remote(self._function, index, partition, self._code)] = index

    def wait(self) -> Event:
        """What became of the first task to end."""
        (done,), _ = ray.wait(list(self._waiting), num_returns=1)
        index = self._waiting.pop(done)
        try:
            event: Event = ray.get(done)
        except RayTaskError as error:
            return Raised(index, error)
        except RayError as error:
            return Died(index, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
        return event

    def close(self) -> None:
        """End what was started; leave a cluster that was joined."""
        for task in self._waiting:
            ray.cancel(task, force=True)
        self._waiting.clear()
        if self._joined:
            ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if signal.getsignal(signal.SIGTERM) is not self._handler:
            signal.signal(signal.SIGTERM, self._handler)

    def _start(self, workers: Ray) -> None:
        if ray.is_initialized():  # the caller's own: it stays
            return
        self._joined = True
        try:
            if workers.address is None:
                self._folder = tempfile.mkdtemp(prefix="p402-ray-")
                ray.init(
                    address="local",
                    num_cpus=workers.count or os.cpu_count() or 1,
                    include_dashboard=False,
                    object_store_memory=_OBJECT_STORE_BYTES,
                    log_to_driver=False,
                    logging_level="error",
                    _node_ip_address=_LOOPBACK,
                    _temp_dir=self._folder,
                )
            else:
                _knock(workers.address)
                ray.init(address=workers.address, log_to_driver=False, logging_level="error")
        except (ConnectionError, OSError, RuntimeError, ValueError) as reason:
            raise WorkersAway(
                f"Ray at {workers.address or 'loopback'} cannot be reached: {reason}; expected a running "
                f"cluster (ray start --head), or no address, which starts one here"
            ) from reason


def _knock(address: str) -> None:
    """Raise `OSError` where nobody listens at host:port; Ray itself would wait for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_S).close()


def _tried(function: Callable[[Any], Any], index: int, partition: Any, code: str) -> Event:
    """One task."""
    if code != code_version():
        return Raised(
            index,
            WorkersAway(
                f"a worker runs other code of p402 (version {code_version()[:12]}): expected {code[:12]}, as "
                f"the caller's; install the same version on every machine of the cluster"
            ),
        )
    return tried(function, index, partition)
