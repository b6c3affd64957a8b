"""Every setting there is: its name, what it may hold, its default and what it does.

These dataclasses are the one place a setting is defined; reading, environment overrides and the
README's table follow from their fields. Money is exact USD. It knows nothing of files.
"""
# ruff: noqa: RUF009 (`setting` is `dataclasses.field` with the metadata filled in)

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from p402 import limits
from p402.limits import (
    HOLD_PREDICTED,
    HOLD_STRICT,
    MAX_PER_HOUR,
    MAX_TTL_S,
    CacheRules,
    Limits,
    Period,
    Rate,
    Scope,
)
from p402.request import Tenant
from p402.settings.kinds import (
    NAME,
    PATH,
    VARIABLE,
    Kind,
    Secret,
    exact,
    flag,
    one_of,
    several,
    text,
    url,
    webhook,
    whole,
)
from p402.units import usd_to_nano

CAPABILITIES: Final = (
    "chat",
    "code",
    "vision",
    "reasoning",
    "function_calling",
    "json_schema",
    "long_context",
)
"""The words of `p402.routing.spec.CAPABILITIES`, which lies above this module; a test compares."""

DIALECTS: Final = (
    "openai",
    "anthropic",
    "azure",
    "bedrock",
    "gemini",
    "vertex-gemini",
    "vertex-anthropic",
)
"""The names in `serve.upstream.dialects.table`, which lies above this module; a test compares."""

LISTED: Final[Mapping[str, str]] = {
    "gemini": "gemini-",
    "vertex-gemini": "gemini-",
    "vertex-anthropic": "claude-",
}
"""How the ids begin that a dialect is for, where the catalogue lists models of several under one provider."""

MESSAGE_FIELDS: Final = (
    "cache_control",
    "thinking_blocks",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "extra_content",
)
"""What languages put into messages, parts and tools beyond OpenAI's own."""

TAKEN: Final = ("reasoning_content", "reasoning", "reasoning_details", "extra_content")
"""Those of them that a provider is sent of which nothing is said."""

OMITTABLE: Final = (
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "metadata",
    "min_p",
    "modalities",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning",
    "reasoning_effort",
    "repetition_penalty",
    "safety_identifier",
    "seed",
    "store",
    "stream_options",
    "temperature",
    "thinking",
    "top_k",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
)
"""Body fields that an answer can do without. A cap, a tool or the form of the answer is none of them."""

MODES: Final = ("cost", "quality", "speed", "balanced")

NAMED: Final = ("observe", "on", "off")
"""What may happen to a request that names a model and no mode."""

SERVER_LIMITS: Final = {
    "max_request_usd": Decimal("9007.199254740991"),
    "daily_cap_usd": Decimal("9007199.254740991"),
}
"""2**53 - 1 pico-USD for one call and 2**53 - 1 nano-USD for a day: what exact arithmetic can hold."""

PROVIDERS_MOST: Final = 64
"""A request's excluded providers travel as one 64-bit mask."""

_MINUTE_MS: Final = 60_000
_PRICE = exact(Decimal(0), Decimal(1_000), "USD per million tokens")
_CAP = exact(Decimal("0.000001"), SERVER_LIMITS["daily_cap_usd"], "USD")
_TOKENS = whole(1, 1 << 31, "tokens")
_HEX64 = text("64 hexadecimal digits", r"[0-9a-f]{64}", "print it with `p402 keys hash`")
_KEY = text(
    "a key of printable characters without spaces", r"[\x21-\x7e]{1,512}", "copy it again", secret=True
)


def is_spoken(dialect: str, model: str) -> bool:
    """Whether a dialect is for a model that the catalogue lists."""
    return model.startswith(LISTED.get(dialect, ""))


def setting(kind: Kind[Any], doc: str, default: Any = ..., *, shown: str | None = None) -> Any:
    """A dataclass field that carries its kind and its meaning; without default it must be set.

    `shown` are words for the table in place of a default that says nothing.
    """
    metadata = {"kind": kind, "doc": doc, "shown": shown}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """`[server]`: where the gateway listens and where it keeps what it must remember."""

    host: str = setting(
        text("a host name or address", r"[A-Za-z0-9.:_-]{1,253}", 'write it like "127.0.0.1"'),
        "address to listen on; any other than loopback needs `[[keys]]`",
        "127.0.0.1",
    )
    port: int = setting(whole(0, 65_535), "port of the data plane; 0 takes a free one", 4020)
    admin_port: int | None = setting(
        whole(0, 65_535),
        "port of `GET /metrics`; one above `port` if absent (4021, or none where `port` is 0); 0 for none",
        None,
    )
    admin_host: str = setting(
        text("a host name or address", r"[A-Za-z0-9.:_-]{1,253}", 'write it like "127.0.0.1"'),
        "address of `admin_port`; any other than loopback needs `admin_key`",
        "127.0.0.1",
    )
    admin_key: Secret | None = setting(_KEY, "bearer token that `admin_port` asks for", None)
    workers: int = setting(whole(1, 256, "processes"), "processes that serve, one per core", 1)
    state: str = setting(
        text(
            "sqlite:/// and a path",
            r"sqlite:///[^\x00\r\n?#]+",
            'write it like "sqlite:///var/p402/state.db"',
        ),
        "this host's ledger of budgets, shared by its workers; on a local disk, never a copy of another's",
        "sqlite:///var/p402/state.db",
    )
    cache: bool = setting(
        flag(), "whether answers may be kept and given again; requests and tenants say which", default=True
    )
    cache_by_meaning: bool = setting(
        flag(),
        "whether prompts are compared too, where the extra `embed` is installed",
        default=True,
    )
    redis: Secret | None = setting(
        text(
            "a Redis url",
            r"(rediss?(\+cluster)?|unix)://[\x21-\x7e]{1,2048}",
            'write it like "redis://10.0.0.7:6379/0", and with a password in P402_SERVER_REDIS',
            secret=True,
        ),
        "where several hosts share their budgets; one host needs none",
        None,
    )
    hosts: int = setting(whole(1, 64, "hosts"), "hosts that share the budgets; more than one need `redis`", 1)
    log: str = setting(PATH, "folder of the decision log", "var/p402/log")
    store: str = setting(PATH, "folder of the snapshots that decisions cite", "var/p402/store")
    registry: str = setting(PATH, "folder of the published weights", "var/p402/registry")
    benchmarks: str | None = setting(PATH, "file of measured benchmark scores (`[[benchmark]]` tables)", None)
    salt: int = setting(whole(0, (1 << 64) - 1), "keys the chance of exploration, with the request id", 402)
    exploration_loss: Decimal = setting(
        exact(Decimal("0.0001"), Decimal("0.5"), "a share of the score"),
        "most score that balanced mode gives up on average to learn, its 1 % floor apart; "
        "modes with one objective give up a quarter of it",
        Decimal("0.02"),
    )
    key_pepper: Secret | None = setting(_KEY, "secret under which `key_hmac` values were made", None)

    @property
    def metrics_port(self) -> int | None:
        """Where `GET /metrics` is served, if anywhere."""
        if self.admin_port is None:
            return self.port + 1 if 0 < self.port < 65_535 else None
        return self.admin_port or None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """`[[providers.NAME.models]]`: a model of one's own, local or private, or at contract prices."""

    id: str = setting(
        text("a model id", r"[\x21-\x7e]{1,200}", "print the catalogue's with `p402 catalog`"),
        "id at the provider; with the provider's name it names the arm",
    )
    upstream_model: str | None = setting(
        text("a model id", r"[\x21-\x7e]{1,200}", "use the provider's own id"),
        "id to send upstream where it differs",
        None,
    )
    model_family: str | None = setting(
        text("a model name", r"[\x21-\x7e]{1,200}", "use the same name at each provider"),
        "canonical model name, the same at every provider",
        None,
    )
    family: str | None = setting(
        text("a name", NAME, "use the lab's short name"), "lab whose transcripts it continues", None
    )
    context_window: int | None = setting(_TOKENS, "context window", None)
    output_limit: int | None = setting(_TOKENS, "most output of one answer", None)
    capabilities: tuple[str, ...] = setting(several(CAPABILITIES), "what it can do", ("chat",))
    input_usd_per_mtok: Decimal | None = setting(_PRICE, "price of input", None)
    output_usd_per_mtok: Decimal | None = setting(_PRICE, "price of output", None)
    cache_read_usd_per_mtok: Decimal | None = setting(
        _PRICE, "price of cached input; the input price if absent", None
    )
    cache_write_usd_per_mtok: Decimal | None = setting(
        _PRICE, "price of input written to the provider's cache; the input price if absent", None
    )
    cache_write_1h_usd_per_mtok: Decimal | None = setting(
        _PRICE, "the same, written for an hour; as any write if absent", None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """`[providers.NAME]`: one endpoint, its key and what it offers."""

    name: str
    preset: str | None = setting(
        text("a preset's name", NAME, "print them with `p402 catalog providers`"),
        "takes what is not given here from that entry of `p402 catalog providers`; "
        "this table's name if it is one and `base_url` is absent",
        None,
    )
    dialect: str = setting(one_of(*DIALECTS), "language the endpoint speaks", "openai")
    base_url: str = setting(
        url(), "where its paths hang, such as `/chat/completions`", "", shown="the preset's, else required"
    )
    api_key_env: str | None = setting(
        VARIABLE, "environment variable that holds the key; the preset's at the preset's `base_url`", None
    )
    api_key: Secret | None = setting(_KEY, "the key itself, for a local provider", None)
    credentials: str | None = setting(
        PATH,
        "of the `vertex-` dialects: a service account's key file; without it and a key, the machine's "
        "application default credentials",
        None,
    )
    catalog: str | None = setting(
        text("a provider of the catalogue", NAME, "print them with `p402 catalog`"),
        "the catalogue's name of this provider; this table's name if absent",
        None,
    )
    simulated: bool = setting(flag(), "answers are not real; marked in log and metadata", default=False)
    connect_timeout_ms: int = setting(
        whole(1, _MINUTE_MS, "ms"), "for a connection, waiting for a free one included", 5_000
    )
    first_byte_timeout_ms: int = setting(
        whole(1, 30 * _MINUTE_MS, "ms"),
        "until the first byte of a whole answer or a stream's first content",
        120_000,
    )
    idle_timeout_ms: int = setting(whole(1, 30 * _MINUTE_MS, "ms"), "between two pieces of an answer", 30_000)
    total_timeout_ms: int = setting(whole(1, 60 * _MINUTE_MS, "ms"), "for the whole answer", 600_000)
    max_connections: int = setting(whole(1, 100_000), "calls in flight from one worker", 1_000)
    output_field: str | None = setting(
        one_of("max_tokens", "max_completion_tokens"),
        "what the provider calls the output cap; where it is set, "
        "a client's other word for it is changed to it",
        None,
        shown='`"max_tokens"`',
    )
    discount_percent: Decimal = setting(
        exact(Decimal(0), Decimal(100), "per cent"),
        "contract: what comes off the catalogue's prices, each rounded half up to whole pico-USD per token; "
        "prices of the tables below are as they stand there",
        Decimal(0),
    )
    extra_fields: tuple[str, ...] = setting(several(), "body fields passed on beside OpenAI's own", ())
    omit_fields: tuple[str, ...] = setting(
        several(OMITTABLE), "body fields that the provider refuses: left out, with a warning", ()
    )
    message_fields: tuple[str, ...] = setting(
        several(MESSAGE_FIELDS), "fields of messages, parts and tools that it knows beyond OpenAI's", TAKEN
    )
    region: str | None = setting(
        text("a region", r"[a-z0-9-]{1,40}", 'write it like "eu-central-1"'),
        "of dialect `bedrock`: where it is, and for which its calls are signed",
        None,
    )
    api_version: str | None = setting(
        text("an API version", r"[a-z0-9.-]{1,40}", 'write it like "2024-10-21"'),
        "of dialect `azure`: asks under `/openai/deployments/`, by this version; without, under `/openai/v1`",
        None,
    )
    transport: str = setting(
        one_of("http1", "httpx"), "P402's own HTTP/1.1, or aiohttp's under httpx's types", "http1"
    )
    models: tuple[str | ModelSettings, ...] | None = None
    """Catalogue ids and models of one's own; None offers all that the catalogue has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSettings:
    """`[tenants.NAME]`: limits and routing of one tenant; what it leaves out is as `tenants.default` says."""

    name: str
    max_request_usd: Decimal = setting(
        exact(Decimal("0.000001"), SERVER_LIMITS["max_request_usd"], "USD"),
        "layer 5: most one request may cost",
        Decimal(50),
    )
    daily_cap_usd: Decimal = setting(_CAP, "layer 2: most a UTC day may cost", Decimal(1000))
    session_cap_usd: Decimal | None = setting(
        _CAP, "most that one session, named by `p402.session_id`, may cost in all; none if absent", None
    )
    requests_per_hour: int = setting(
        whole(1, MAX_PER_HOUR, "requests"), "layer 1: requests gained an hour, and most at once", 1_000
    )
    max_in_flight: int = setting(whole(1, 100_000, "requests"), "layer 3: requests in flight", 10)
    hold: str = setting(
        one_of(HOLD_STRICT, HOLD_PREDICTED),
        "layer 6: what is set aside for a request that names no `max_tokens`: the whole output cap, or the "
        "99.9th percentile of such answers, once a worker has seen 2,995 of them",
        HOLD_STRICT,
    )
    anomaly_z: Decimal = setting(
        exact(Decimal("0.1"), Decimal(100), "standard deviations"),
        "layer 4: distance from the tenant's past, in ln(cost), from which a call is flagged",
        Decimal(3),
    )
    block_anomalies: bool = setting(
        flag(), "layer 4: refuse a call that is expected to be so far out of line", default=False
    )
    alert_webhook: Secret | None = setting(
        webhook(), "where alerts are posted: anomalies, and the day's cap when it first refuses", None
    )
    alert_secret: Secret | None = setting(_KEY, "secret that signs them, in `X-P402-Signature`", None)
    baseline_model: str | None = setting(
        text("a model", r"[\x21-\x7e]{1,200}", "print the catalogue's with `p402 catalog`"),
        "model that savings are measured against",
        None,
    )
    route_named_models: str = setting(
        one_of(*NAMED), "what happens to a request that names a model and no mode", "observe"
    )
    default_mode: str = setting(one_of(*MODES), "mode of a request that names none", "balanced")
    exploration: bool = setting(flag(), "whether chance may choose", default=True)
    fee_bps: int = setting(whole(0, 10_000, "basis points"), "platform fee on the cost", 0)
    cache_in_cost_mode: bool = setting(
        flag(), "whether `cost` mode uses the cache where a request does not say", default=True
    )
    cache_ttl_s: int = setting(
        whole(1, MAX_TTL_S, "seconds"),
        "how long a kept answer is given, where `cache_ttl` does not say",
        86_400,
    )
    cache_similarity: Decimal = setting(
        exact(Decimal("0.92"), Decimal(1), "cosine"),
        "what a kept prompt has to exceed before the guards compare its words; 1 gives exact repeats alone",
        Decimal("0.92"),
    )
    allow_providers: tuple[str, ...] = setting(several(), "if not empty, no other provider", ())
    deny_providers: tuple[str, ...] = setting(several(), "never these providers", ())
    allow_models: tuple[str, ...] = setting(several(), "if not empty, no other model or arm", ())
    deny_models: tuple[str, ...] = setting(several(), "never these models or arms", ())

    def tenant(self) -> Tenant:
        """The tenant as the core sees it, money in whole nano-USD."""
        return Tenant(
            name=self.name,
            max_request_nano=usd_to_nano(self.max_request_usd),
            limits=Limits(
                daily_cap_nano=usd_to_nano(self.daily_cap_usd),
                rate=Rate(self.requests_per_hour, self.requests_per_hour),
                max_in_flight=self.max_in_flight,
                anomaly_z=float(self.anomaly_z),
                block_anomalies=self.block_anomalies,
            ),
            baseline_model=self.baseline_model,
            route_named_models=self.route_named_models,
            exploration=self.exploration,
            fee_bps=self.fee_bps,
            policy=self.name,
            default_mode=self.default_mode,
            hold=self.hold,
            session_cap_nano=None if self.session_cap_usd is None else usd_to_nano(self.session_cap_usd),
            cache=CacheRules(self.cache_in_cost_mode, self.cache_ttl_s, float(self.cache_similarity)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """`[policies.NAME]`: a budget that several keys share, within each tenant; one of the two, or both."""

    name: str
    daily_cap_usd: Decimal | None = setting(_CAP, "most that its keys may cost in a UTC day", None)
    monthly_cap_usd: Decimal | None = setting(_CAP, "most that its keys may cost in a UTC month", None)

    def scopes(self) -> tuple[Scope, ...]:
        """Its budgets: the day's, then the month's."""
        return _scopes(limits.Kind.POLICY, self.name, self.daily_cap_usd, self.monthly_cap_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """`[[keys]]`: an API key that clients send, and the tenant it speaks for. One of the three forms."""

    name: str = setting(
        text("a name", NAME, "use lower case, digits, dot, dash"),
        "what the key is called; its budget's account too, so another name begins anew",
    )
    tenant: str = setting(
        text("a tenant's name", NAME, "name a `[tenants.NAME]` table"), "the tenant it speaks for", "default"
    )
    key_env: str | None = setting(VARIABLE, "environment variable that holds the key", None)
    key_sha256: str | None = setting(_HEX64, "SHA-256 of the key", None)
    key_hmac: str | None = setting(_HEX64, "HMAC-SHA256 of the key under `server.key_pepper`", None)
    daily_cap_usd: Decimal | None = setting(_CAP, "most that the key may cost in a UTC day", None)
    monthly_cap_usd: Decimal | None = setting(_CAP, "most that the key may cost in a UTC month", None)
    policy: str | None = setting(
        text("a policy's name", NAME, "name a `[policies.NAME]` table"),
        "budget that it shares with other keys",
        None,
    )
    mode: str | None = setting(
        one_of(*MODES),
        "mode of its requests that name none, the tenant's if absent; routes named models, too",
        None,
    )
    route_named_models: str | None = setting(
        one_of(*NAMED),
        "what happens to its requests that name a model and no mode; `on` if absent beside `mode`, else the "
        "tenant's",
        None,
    )

    def routed(self, tenant: Tenant) -> Tenant:
        """The key's tenant with what the key itself says of routing."""
        named = self.route_named_models or (None if self.mode is None else "on")
        return replace(
            tenant,
            default_mode=self.mode or tenant.default_mode,
            route_named_models=named or tenant.route_named_models,
        )

    def scopes(self) -> tuple[Scope, ...]:
        """Its own budgets: the day's, then the month's."""
        return _scopes(limits.Kind.KEY, self.name, self.daily_cap_usd, self.monthly_cap_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of it."""

    server: ServerSettings
    providers: Mapping[str, ProviderSettings]
    tenants: Mapping[str, TenantSettings]
    """By name; `default` is always there."""
    policies: Mapping[str, PolicySettings]
    keys: tuple[KeySettings, ...]

    def scopes(self, key: KeySettings) -> tuple[Scope, ...]:
        """Budgets that a key's calls count against: its own, then its policy's."""
        shared = () if key.policy is None else self.policies[key.policy].scopes()
        return (*key.scopes(), *shared)


def _scopes(
    kind: limits.Kind, name: str, daily_usd: Decimal | None, monthly_usd: Decimal | None
) -> tuple[Scope, ...]:
    caps = ((Period.DAY, daily_usd), (Period.MONTH, monthly_usd))
    return tuple(Scope(kind, name, period, usd_to_nano(cap)) for period, cap in caps if cap is not None)
