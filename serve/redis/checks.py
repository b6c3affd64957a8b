"""Whether a Redis may keep budgets: what an operator must mend before the first request.

Asked at start, of every master. A Redis that evicts would forget what was spent, silently. One older than
7.0 runs no script that begins with `#!lua`; from 7.0 on such a script is refused as a whole where memory is
short, and never in the middle. It knows nothing of the scripts and keys.

Source: Redis' pages on INFO, key eviction and scripts' flags; valkey.io's on the same; read 2026-11-24.
"""

from typing import Final, NoReturn

from p402.errors import ConfigError
from serve.redis.address import Address
from serve.redis.calls import RedisRefused, Reply
from serve.redis.connect import Way
from serve.redis.slots import SLOTS

REDIS: Final = (7, 0)
VALKEY: Final = (7, 2)


async def check(way: Way) -> None:
    """Refuse what must not keep budgets; `way` is open.

    Raises
    ------
    ConfigError
        Something must be mended: its message says at which node, what was seen and what to do.
    RedisAway
        A master does not answer.
    """
    for address, reply in await way.each("INFO"):
        info = _read(address, "INFO", "+info", reply)
        _check_version(address, info)
        _check_role(address, info, clustered=way.clustered)
        _check_memory(address, info)
    if way.clustered:
        for address, reply in await way.each("CLUSTER", "INFO"):
            _check_cluster(address, _read(address, "CLUSTER INFO", "+cluster|info", reply))


def _check_version(address: Address, info: dict[str, str]) -> None:
    valkey = "valkey_version" in info
    kind, least = ("Valkey", VALKEY) if valkey else ("Redis", REDIS)
    told = info.get("valkey_version" if valkey else "redis_version", "")
    parts = told.split(".")[:2]
    if not all(part.isdecimal() for part in parts) or tuple(map(int, parts)) < least:
        _refuse(
            address,
            f"is {kind} {told or 'of no version that INFO tells'}",
            "Redis 7.0 or Valkey 7.2, or newer: older ones do not refuse a script as a whole",
            "upgrade it",
        )


def _check_role(address: Address, info: dict[str, str], *, clustered: bool) -> None:
    if not clustered and info.get("cluster_enabled") == "1":
        _refuse(
            address,
            "is a node of a cluster (cluster_enabled:1)",
            "one that stands alone",
            "write redis+cluster:// (with TLS, rediss+cluster://) in the url",
        )
    if (role := info.get("role")) != "master":
        of = f" of {info['master_host']}:{info.get('master_port')}" if "master_host" in info else ""
        _refuse(
            address,
            f"is no master (role:{role or 'not told'}{of})",
            "one that may be written to",
            "name the master in the url" if not clustered else "start again once the cluster has settled",
        )


def _check_memory(address: Address, info: dict[str, str]) -> None:
    limit, policy = info.get("maxmemory"), info.get("maxmemory_policy")
    if limit is None or policy is None:
        _refuse(
            address,
            "does not tell in INFO whether it evicts (maxmemory, maxmemory_policy)",
            "both there",
            "use a server that tells them",
        )
    if limit != "0" and policy != "noeviction":
        _refuse(
            address,
            f"forgets keys, and budgets, when it is full (maxmemory:{limit}, maxmemory_policy:{policy})",
            "maxmemory_policy:noeviction",
            "set `maxmemory-policy noeviction`, in its configuration file too, or use one that is no cache",
        )


def _check_cluster(address: Address, info: dict[str, str]) -> None:
    state, served = info.get("cluster_state"), info.get("cluster_slots_ok")
    if state != "ok" or served != str(SLOTS):
        _refuse(
            address,
            f"knows of a cluster that is not whole (cluster_state:{state}, cluster_slots_ok:{served})",
            f"cluster_state:ok and all {SLOTS} slots served",
            "see `CLUSTER NODES` for nodes that are away and slots that nobody has",
        )


def _read(address: Address, asked: str, right: str, reply: Reply | RedisRefused) -> dict[str, str]:
    """The `name:value` lines of a reply."""
    if isinstance(reply, RedisRefused):
        _refuse(address, f"refused {asked} ({reply})", "its answer", f"let the user do it: {right}")
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, colon, value in pairs if colon}


def _refuse(address: Address, seen: str, expected: str, mend: str) -> NoReturn:
    raise ConfigError(f"{address} {seen}; expected {expected}; {mend}")
