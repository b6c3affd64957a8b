"""Which slot a key is in, and which node serves a slot: what a cluster says of itself.

It knows no connection: replies come in, the map and the node to turn to go out.

Source: Redis cluster specification, "Key distribution model", "MOVED redirection" and "ASK redirection";
CLUSTER SLOTS' page (nodes without a host); both read 2026-11-24.
"""

import binascii
from dataclasses import dataclass
from typing import Final

from serve.redis.calls import RedisRefused, Reply

SLOTS: Final = 16_384

Endpoint = tuple[str, int]
"""Host and port of a node."""
Owners = list[Endpoint | None]
"""By slot, which master serves it; None where none does or its address is not told."""


@dataclass(frozen=True, slots=True)
class Redirection:
    """Where a node, which did nothing, sends a call.

    Attributes
    ----------
    ask
        For this call alone and behind ASKING, since the slot is on its way there; else it is there.
    """

    slot: int
    node: Endpoint
    ask: bool


def key_slot(key: bytes) -> int:
    """The slot of a key: of what stands in its first braces, if anything does, else of all of it."""
    begin = key.find(b"{") + 1
    if begin:
        end = key.find(b"}", begin)
        if end > begin:
            key = key[begin:end]
    return binascii.crc_hqx(key, 0) % SLOTS  # CRC-16/XMODEM


def read_owners(reply: Reply, asked: str) -> Owners:
    """What CLUSTER SLOTS answers, asked of the host `asked`.

    Raises
    ------
    ValueError
        It is no such answer.
    """
    owners: Owners = [None] * SLOTS
    if not isinstance(reply, list):
        raise ValueError("no list")  # noqa: TRY004 - a reply is read, not an argument
    for served in reply:
        match served:
            case [int(first), int(last), [bytes() | None as host, int(port), *_], *_] if (
                0 <= first <= last < SLOTS
            ):
                node = _endpoint((host or b"").decode("utf-8", "replace"), port, asked)
                owners[first : last + 1] = [node] * (last + 1 - first)
            case _:
                raise ValueError("no range of slots with its node")
    return owners


def read_redirection(refused: RedisRefused, asked: str) -> Redirection | None:
    """Where `MOVED slot host:port` or `ASK slot host:port`, said by the host `asked`, sends; else None."""
    match str(refused).split(" "):
        case ["MOVED" | "ASK" as word, slot, at] if slot.isdecimal() and int(slot) < SLOTS:
            host, _, port = at.rpartition(":")
            if port.isdecimal():
                node = _endpoint(host.strip("[]"), int(port), asked)
                return Redirection(int(slot), node, ask=word == "ASK") if node is not None else None
    return None


def _endpoint(host: str, port: int, asked: str) -> Endpoint | None:
    """A node's address; None where the one that was asked does not know its host."""
    return (host or asked, port) if host != "?" and 0 < port < 1 << 16 else None
