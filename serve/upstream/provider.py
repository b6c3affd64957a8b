"""Who may be called, where, with which key and how patiently.

Built by configuration only: no client ever chooses a URL or a header. It knows nothing of wire
formats beyond the name of the dialect.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from p402.errors import ConfigError
from p402.settings import Secret
from p402.settings.model import DIALECTS, TAKEN

MESSAGE_FIELDS = frozenset(TAKEN)
TRANSPORTS = ("http1", "httpx")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Patience in ms.

    Attributes
    ----------
    connect_ms
        For a connection, waiting for a free one included.
    first_byte_ms
        From dispatch to the first byte of a whole answer, or the first content of a stream. A provider
        sends a whole answer's headers when it has generated it all, so this must cover that.
    idle_ms
        Between two chunks after the first.
    total_ms
        For the whole attempt.
    """

    connect_ms: int = 5_000
    first_byte_ms: int = 120_000
    idle_ms: int = 30_000
    total_ms: int = 600_000


@dataclass(frozen=True, slots=True)
class Provider:
    """One configured provider.

    Attributes
    ----------
    name
        As in the catalogue's arms.
    base_url
        Up to and including the version, such as `https://api.example.com/v1`.
    api_key
        An empty one sends no `Authorization`.
    headers
        Extra headers on every call, from the configuration.
    models
        Arm's model id to the id the provider knows; an id not in it is sent as it is.
    max_connections
        Calls in flight to this provider from one worker; more wait for at most `connect_ms`.
    output_field
        `max_tokens` or `max_completion_tokens`: what the provider calls the output cap.
    renames_cap
        Whether a cap that the client named by the other word is sent by this one: it is known to be the word.
    extra_fields
        Body fields passed on besides the dialect's own list.
    message_fields
        Fields of messages, parts and tools that the provider knows beyond OpenAI's own, such as
        `cache_control` or `reasoning_content`; the others that languages know are left out.
    omit_fields
        Body fields that the provider refuses; they are left out, and that is said.
    region, api_version
        Of Bedrock: for which calls are signed. Of Azure: by which version its older paths are asked.
    credentials
        File of the account that signs in, where the dialect is not asked by key; None is the machine's own.
    transport
        Whose HTTP/1.1: `http1` is ours, `httpx` is aiohttp's under httpx's types.
    """

    name: str
    dialect: str
    base_url: str
    api_key: Secret = field(default_factory=lambda: Secret(""))
    headers: Mapping[str, str] = field(default_factory=dict)
    timeouts: Timeouts = field(default_factory=Timeouts)
    models: Mapping[str, str] = field(default_factory=dict)
    max_connections: int = 1_000
    output_field: str = "max_tokens"
    renames_cap: bool = False
    extra_fields: frozenset[str] = frozenset()
    message_fields: frozenset[str] = MESSAGE_FIELDS
    omit_fields: frozenset[str] = frozenset()
    region: str | None = None
    api_version: str | None = None
    transport: str = "http1"
    credentials: str | None = None

    def id_of(self, model: str) -> str:
        """The provider's own id of an arm's model."""
        return self.models.get(model, model)

    def __post_init__(self) -> None:
        where = f"providers.{self.name}"
        if self.dialect not in DIALECTS:
            raise ConfigError(f"{where}.dialect is {self.dialect!r}; expected one of {', '.join(DIALECTS)}")
        if self.transport not in TRANSPORTS:
            raise ConfigError(
                f"{where}.transport is {self.transport!r}; expected one of {', '.join(TRANSPORTS)}"
            )
        if self.dialect == "bedrock" and self.region is None:
            raise ConfigError(f"{where}.region is missing: expected where Bedrock is called; set it")
        parts = urlsplit(self.base_url)
        plain = self.base_url.isascii() and self.base_url.isprintable() and " " not in self.base_url
        if (
            not plain
            or parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.username
            or parts.query
            or not all(0 < len(label) < 64 for label in parts.hostname.removesuffix(".").split("."))
        ):
            raise ConfigError(
                f"{where}.base_url is not usable; expected http(s)://host[:port]/path without user or query"
            )
        if self.output_field not in ("max_tokens", "max_completion_tokens"):
            raise ConfigError(
                f"{where}.output_field is {self.output_field!r}; expected max_tokens or max_completion_tokens"
            )
        for name, value in [("api_key", self.api_key.reveal()), *self.headers.items()]:
            if not (name.isascii() and name.isprintable() and value.isascii() and value.isprintable()):
                raise ConfigError(f"{where}: {name} holds characters a header cannot carry")
        if self.max_connections < 1:
            raise ConfigError(f"{where}.max_connections is {self.max_connections}; expected 1 or more")
