"""Where Redis, or a cluster of it, is and as whom it is asked: what a url says.

It knows nothing of connections. No message of it quotes a url: a password with a `/` or `#` in it lands in
whatever part comes next.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from p402.errors import ConfigError

DEFAULT_PORT: Final = 6379
_FORMS: Final = (
    "redis://[user:password@]host[:port][/db], rediss:// for TLS, unix://[user:password@]/path[?db=db], or "
    "redis+cluster://[user:password@]host[:port][,host[:port]...] for a cluster, rediss+cluster:// with TLS; "
    "with what is not a letter or digit in user and password written as %XX"
)
_CLUSTER: Final = {"redis+cluster": "redis", "rediss+cluster": "rediss"}


@dataclass(frozen=True, slots=True)
class Address:
    """One Redis; its `str` and `repr` show neither user nor password.

    Attributes
    ----------
    path
        Of a Unix socket; empty for TCP.
    user
        Empty for Redis' default user.
    password
        Empty for none.
    db
        Number of the database, from 0.
    """

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    tls: bool = False
    db: int = 0
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}?db={self.db}"
        return f"redis{'s' if self.tls else ''}://{self.at}/{self.db}"

    @property
    def at(self) -> str:
        """Host and port, as a url has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """A cluster of Redis, known by some of its nodes.

    Attributes
    ----------
    seeds
        At least one; all by TCP, in database 0, with one user, password and answer to TLS.
    """

    seeds: tuple[Address, ...]

    def __str__(self) -> str:
        return f"redis{'s' if self.tls else ''}+cluster://{','.join(seed.at for seed in self.seeds)}"

    @property
    def tls(self) -> bool:
        """Whether nodes are asked by TLS."""
        return self.seeds[0].tls

    def node(self, host: str, port: int) -> Address:
        """A node that the cluster named, asked as the seeds are."""
        return replace(self.seeds[0], host=host, port=port)


def read_addresses(url: str) -> Address | ClusterAddress:
    """Take the url of one Redis or of a cluster apart; raises as `read_address` does."""
    scheme, _, rest = url.partition("://")
    one = _CLUSTER.get(scheme.lower())
    if one is None:
        return read_address(url)
    end = re.search(r"[/?#]|$", rest)
    cut = end.start() if end else len(rest)
    who, at, hosts = rest[:cut].rpartition("@")
    if "@" in who:
        raise _wrong("it has more than one @; user and password are said once, before the first host")
    seeds = [read_address(f"{one}://{who}{at}{host}{rest[cut:]}") for host in hosts.split(",")]
    if any(seed.db for seed in seeds):
        raise _wrong("it names a database, and a cluster has none but 0")
    return ClusterAddress(tuple(dict.fromkeys(seeds)))


def read_address(url: str) -> Address:
    """Take the url of one Redis apart.

    Raises
    ------
    ConfigError
        It is none; the message shows nothing of it.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise _wrong("its host or port cannot be read") from None  # the cause quotes it
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise _wrong("it does not begin with redis://, rediss://, unix:// or redis+cluster://")
    if parts.fragment:
        raise _wrong("it has a #")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if user and not password:
        raise _wrong("it has a user and no password (a password alone is `:password@`)")
    if parts.scheme == "unix":
        if host or not parts.path.startswith("/") or parts.path == "/":
            raise _wrong("the path of the socket is not absolute, as in unix:///run/redis.sock")
        query = parse_qsl(parts.query, keep_blank_values=True)
        if any(name != "db" for name, _ in query) or len(query) > 1:
            raise _wrong("it asks for more than ?db=")
        db = _number(query[0][1]) if query else 0
        return Address(path=unquote(parts.path), db=db, user=user, password=password)
    if not host:
        raise _wrong("it names no host")
    if parts.query:
        raise _wrong("it has a ?; TLS trust and time limits are not set there")
    db = _number(parts.path[1:]) if len(parts.path) > 1 else 0
    port = DEFAULT_PORT if port is None else port
    return Address(host, port, tls=parts.scheme == "rediss", db=db, user=user, password=password)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5):
        raise _wrong("its database is not a number")
    return int(text)


def _wrong(why: str) -> ConfigError:
    return ConfigError(f"the Redis url cannot be used: {why}; expected {_FORMS}")
