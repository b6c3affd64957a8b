"""A real cluster for the tests: three masters on loopback, and a replica of the first if one is wanted."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

from tests.serve.redis.server import Server, free_port, redis_server

SLOTS = 16_384
SETTLE_S = 20.0


def ask(server: Server, *parts: Any) -> Any:
    """What one server says, over a connection of its own."""
    with Redis(port=server.port, socket_timeout=5) as redis:
        return redis.execute_command(*parts)


def info(server: Server, section: str) -> dict[str, Any]:
    with Redis(port=server.port, socket_timeout=5) as redis:
        return dict(redis.info(section))


def identity(server: Server) -> str:
    return str(ask(server, "CLUSTER", "MYID").decode())


@dataclass
class Cluster:
    """Masters in the order of their slots, a third each; then the replica."""

    nodes: list[Server]

    @property
    def masters(self) -> list[Server]:
        return self.nodes[:3]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.masters)

    def owner(self, slot: int) -> Server:
        """Who has it, unless it was moved."""
        return self.masters[slot * 3 // SLOTS]

    def begin_move(self, slot: int, source: Server, target: Server) -> None:
        ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", identity(source))
        ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", identity(target))

    def move_keys(self, slot: int, source: Server, target: Server) -> None:
        while keys := ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 1_000):
            # While it lasts the source answers nobody.
            ask(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)

    def end_move(self, slot: int, source: Server, target: Server) -> None:
        for node in (target, source, *(node for node in self.masters if node not in (target, source))):
            ask(node, "CLUSTER", "SETSLOT", slot, "NODE", identity(target))

    def move(self, slot: int, source: Server, target: Server) -> None:
        """Hand a slot over with its keys, as resharding does."""
        self.begin_move(slot, source, target)
        self.move_keys(slot, source, target)
        self.end_move(slot, source, target)

    def wait_whole(self) -> None:
        """Return once every node says that every slot is served, and knows every other node."""
        end = time.monotonic() + SETTLE_S
        for node in self.nodes:
            while time.monotonic() < end:
                told = ask(node, "CLUSTER", "INFO").decode()
                if "cluster_state:ok" in told and f"cluster_known_nodes:{len(self.nodes)}" in told:
                    break
                time.sleep(0.02)
            else:
                raise AssertionError(f"no cluster: {told}\n{ask(node, 'CLUSTER', 'NODES').decode()}")


@contextmanager
def redis_cluster(folder: Path, *, replica: bool = False, timeout_ms: int = 15_000) -> Iterator[Cluster]:
    """A cluster that is there within the block, and gone after it whatever happens.

    A node that does not answer for `timeout_ms` is taken to have failed by the others.
    """
    with ExitStack() as stack:
        nodes = []
        for number in range(3 + replica):
            home = folder / str(number)
            home.mkdir()
            bus = str(free_port())
            node = stack.enter_context(
                redis_server(
                    home, "--cluster-enabled", "yes", "--cluster-port", bus,
                    "--cluster-node-timeout", str(timeout_ms), "--cluster-require-full-coverage", "no",
                    "--repl-diskless-sync-delay", "0",
                )
            )  # fmt: skip
            nodes.append((node, bus))
        first = nodes[0][0]
        for number, (node, _) in enumerate(nodes[:3]):
            ask(node, "CLUSTER", "ADDSLOTSRANGE", -(-SLOTS * number // 3), -(-SLOTS * (number + 1) // 3) - 1)
            ask(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node, bus in nodes[1:]:
            ask(first, "CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        cluster = Cluster([node for node, _ in nodes])
        cluster.wait_whole()
        if replica:
            ask(nodes[3][0], "CLUSTER", "REPLICATE", identity(first))
            end = time.monotonic() + SETTLE_S
            while info(nodes[3][0], "replication").get("master_link_status") != "up":
                assert time.monotonic() < end, "the replica does not follow"
                time.sleep(0.02)
        yield cluster
