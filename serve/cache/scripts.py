"""What Redis is asked about kept answers and what it says: arguments in, values out.

It knows nothing of connections. The scripts are in `lua/`, and each says there what it takes and gives.
"""

from dataclasses import dataclass
from enum import Enum, auto
from importlib.resources import files
from typing import Final

from p402.cache.contract import Entry, Query, Vector
from serve.cache.code import as_bytes, index_of, pack, prefix_of, vector_bytes
from serve.redis.calls import Part, Reply, Script


def _script(name: str, flags: str = "") -> Script:
    folder = files(__package__) / "lua"
    return Script.of(f"#!lua{flags}\n" + "".join((folder / f"{n}.lua").read_text() for n in ("common", name)))


FIND: Final = _script("find", " flags=allow-oom")
KEEP: Final = _script("keep")
EVICT: Final = _script("evict", " flags=allow-oom")
CLEAR: Final = _script("clear", " flags=allow-oom")
COUNT: Final = _script("count", " flags=no-writes")
ALL: Final = (FIND, KEEP, EVICT, CLEAR, COUNT)
"""Only what takes room is refused by a Redis that is full."""

Command = tuple[Part, ...]
_NO_INDEX: Final = "-"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tenant's entries of one scope are.

    Attributes
    ----------
    prefix
        Of all the tenant's keys.
    index
        Of the scope's prompts; None where they are not compared.
    """

    prefix: str
    index: str | None

    @classmethod
    def of(cls, query: Query, embedder: str | None) -> "Place":
        """Where what is asked would be."""
        compared = embedder is not None and query.text is not None
        return cls(
            prefix_of(query.tenant), index_of(query.scope, embedder) if compared and embedder else None
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A kept prompt: its digest in hexadecimal, its vector and text as they are kept."""

    exact: bytes
    vector: bytes
    text: bytes


@dataclass(frozen=True, slots=True)
class News:
    """What was kept in a scope.

    Attributes
    ----------
    told
        Number up to which it is told with this.
    count
        Prompts that the scope has.
    anew
        Redis knows less than the caller: this is all from the beginning.
    more
        There is more to tell.
    """

    told: int
    count: int
    anew: bool
    more: bool
    rows: tuple[Row, ...]


class Gone(Enum):
    """There is no such entry."""

    GONE = auto()


def ask_entry(place: Place, exact: bytes) -> Command:
    """Command of `find.lua`: one entry and nothing else; `exact` in hexadecimal."""
    return (*_find(place, exact), exact, "", 0, 0)


def ask_exists(place: Place, exact: bytes) -> Command:
    """Whether there is an entry: 1 or 0. It is no use of it."""
    return ("EXISTS", f"{place.prefix}e:{exact.decode()}")


def ask_find(place: Place, exact: bytes, seen: int, most: int, most_bytes: int) -> Command:
    """Command of `find.lua`: an entry, or what is new in its scope since the number `seen`."""
    return (*_find(place, exact), exact, seen, most, most_bytes)


def ask_news(place: Place, seen: int, most: int, most_bytes: int) -> Command:
    """Command of `find.lua`: only what is new."""
    return ask_find(place, b"", seen, most, most_bytes)


def ask_keep(
    place: Place,
    query: Query,
    vector: Vector | None,
    entry: Entry,
    ttl_ms: int,
    max_entries: int,
    max_bytes: int,
) -> Command:
    """Command of `keep.lua`."""
    prefix, exact = place.prefix, query.exact.hex()
    index, numbers, text = _NO_INDEX, b"", b""
    if place.index is not None and vector is not None and query.text is not None:
        index, numbers, text = place.index, vector_bytes(vector), as_bytes(query.text)
    packed = pack(entry)
    return (
        "EVALSHA", KEEP.sha, 7, *_tables(prefix), f"{prefix}e:{exact}", f"{prefix}{index}",
        prefix, exact, as_bytes(entry.id), ttl_ms, len(packed) + len(numbers) + len(text), packed,
        index, numbers, text, max_entries, max_bytes,
    )  # fmt: skip


def ask_evict(tenant: str, entry: str) -> Command:
    """Command of `evict.lua`."""
    prefix = prefix_of(tenant)
    return ("EVALSHA", EVICT.sha, 5, *_tables(prefix), prefix, as_bytes(entry))


def ask_clear(tenant: str, most: int) -> Command:
    """Command of `clear.lua`."""
    prefix = prefix_of(tenant)
    return ("EVALSHA", CLEAR.sha, 5, *_tables(prefix), prefix, most)


def ask_count(tenant: str) -> Command:
    """Command of `count.lua`."""
    return ("EVALSHA", COUNT.sha, 1, f"{prefix_of(tenant)}ends")


def read_find(reply: Reply) -> bytes | News | Gone:
    """Answer of `find.lua`: a packed entry, else what is new where that was asked.

    Raises
    ------
    ValueError
        It is none.
    """
    match reply:
        case [bytes(packed)]:
            return packed
        case [None]:
            return Gone.GONE
        case [None, bytes(told), int(count), int(anew), int(more), *parts] if not len(parts) % 3:
            rows = tuple(
                Row(exact, vector, text)
                for exact, vector, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
                if isinstance(exact, bytes) and isinstance(vector, bytes) and isinstance(text, bytes)
            )
            return News(int(told), count, bool(anew), bool(more), rows)
        case _:
            raise ValueError(_STRANGE)


def read_clear(reply: Reply) -> tuple[int, int]:
    """Answer of `clear.lua`: how many went that had not ended, and how many are left."""
    match reply:
        case [int(gone), int(left)]:
            return gone, left
        case _:
            raise ValueError(_STRANGE)


def read_number(reply: Reply) -> int:
    """Answer of the others."""
    if not isinstance(reply, int):
        raise ValueError(_STRANGE)  # noqa: TRY004 - as of the others: no argument is wrong
    return reply


_STRANGE: Final = "Redis said of a kept answer what no script of ours says"


def _find(place: Place, exact: bytes) -> Command:
    prefix = place.prefix
    return (
        "EVALSHA", FIND.sha, 4, f"{prefix}e:{exact.decode()}", f"{prefix}used", f"{prefix}state",
        f"{prefix}{place.index or _NO_INDEX}", prefix,
    )  # fmt: skip


def _tables(prefix: str) -> Command:
    return tuple(f"{prefix}{name}" for name in ("used", "ends", "facts", "ids", "state"))
