"""Who the simulated providers are: nine companies that do not exist, offering three real models.

Prices, latencies, drifts and failures are invented, so that providers differ as real ones do;
what the models earn and cost at base price is not (`p402_datasets.paretobandit`). Values only.

Failure kinds: reference/reliability.md of the project's studies (rows 5, 7, 11, 12, 26).
"""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from p402_datasets.paretobandit import LIST_PRICES


class Failure(StrEnum):
    """How an exchange can go wrong, by the name the control endpoint knows."""

    RATE_LIMITED = "429"
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    OVERLOADED = "529"
    HANG = "hang"
    """No byte until the client gives up."""
    CUT = "cut"
    """The connection ends in the middle of the answer."""
    ERROR_EVENT = "error_event"
    """Status 200, then an error in the body or the stream."""


@dataclass(frozen=True, slots=True)
class LatencyLaw:
    """Time to first token is lognormal with a heavy tail; tokens then come at a steady pace.

    Attributes
    ----------
    ttft_ms
        Median ms to the first token.
    spread
        Standard deviation of ln(ttft).
    tail_rate, tail_factor
        Share of requests, in [0, 1], whose ttft is that many times longer.
    tokens_per_s
        Output tokens a second of a model of speed 1.
    """

    ttft_ms: float
    spread: float
    tail_rate: float
    tail_factor: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class Drift:
    """What changes silently once the provider has taken `after_requests` requests.

    `quality_delta` is added to the real quality, which stays in [0, 1]; prices are multiplied
    by `price_factor`, which the catalogue of a client does not know.
    """

    after_requests: int
    quality_delta: float = 0.0
    price_factor: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Outage:
    """The provider answers 503 from `start_s` until `end_s` seconds after the server's start."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class SimProvider:
    """One simulated provider.

    Attributes
    ----------
    price_factor
        Its prices over the list prices of the models.
    failures
        Share of requests, in [0, 1], that end in each kind of failure; the sum is at most 1.
    retry_after_s
        What its 429 and 503 tell the client to wait.
    cache_read_factor
        Price of a cached prompt token over an uncached one; None where it caches nothing.
    """

    name: str
    character: str
    price_factor: Decimal
    latency: LatencyLaw
    failures: dict[Failure, float] = field(default_factory=dict)
    retry_after_s: float = 2.0
    drift: Drift | None = None
    outages: tuple[Outage, ...] = ()
    cache_read_factor: Decimal | None = None


@dataclass(frozen=True, slots=True)
class SimModel:
    """A model on offer: its id, and the column of the outcome table it answers from.

    `family` is the lab, as the catalogue names it.
    `speed` multiplies a provider's tokens per second. `thinks` models spend the output tokens
    beyond those of the table's `visible_like` column on hidden reasoning, before the first token.
    """

    id: str
    outcomes: str
    family: str
    context_window: int
    output_limit: int
    capabilities: tuple[str, ...]
    speed: float
    thinks: bool = False

    @property
    def input_usd_per_mtok(self) -> Decimal:
        """List price of input, USD per million tokens."""
        return LIST_PRICES[self.outcomes].input_usd_per_mtok

    @property
    def output_usd_per_mtok(self) -> Decimal:
        """List price of output, USD per million tokens."""
        return LIST_PRICES[self.outcomes].output_usd_per_mtok


VISIBLE_LIKE = "mistralai/mistral-large-2512"
"""A thinking model's visible answer is taken to be as long as this model's whole answer."""

# Context windows: genai-prices 0.2.3; output limits: the longest answer in the table fits.
MODELS = (
    SimModel(
        "llama-3.1-8b-instruct",
        "meta-llama/llama-3.1-8b-instruct",
        "meta",
        131_072,
        16_384,
        ("chat", "code"),
        2.5,
    ),
    SimModel(
        "mistral-large-2512",
        "mistralai/mistral-large-2512",
        "mistral",
        262_144,
        32_768,
        ("chat", "code", "function_calling", "json_schema", "long_context"),
        1.0,
    ),
    SimModel(
        "gemini-2.5-pro",
        "google/gemini-2.5-pro",
        "google",
        1_048_576,
        65_536,
        ("chat", "code", "reasoning", "function_calling", "json_schema", "long_context"),
        2.0,
        thinks=True,
    ),
)

PROVIDERS = (
    SimProvider(
        "sim-alder",
        "the reference: list price, few surprises",
        Decimal("1.00"),
        LatencyLaw(350, 0.25, 0.01, 4, 90),
        {Failure.SERVER_ERROR: 0.002, Failure.RATE_LIMITED: 0.002},
    ),
    SimProvider(
        "sim-birch",
        "cheap, slow and busy: rate limits",
        Decimal("0.80"),
        LatencyLaw(900, 0.35, 0.03, 3, 45),
        {Failure.RATE_LIMITED: 0.02, Failure.SERVER_ERROR: 0.003},
        retry_after_s=3.0,
    ),
    SimProvider(
        "sim-cedar",
        "dedicated hardware: fast and dear",
        Decimal("1.50"),
        LatencyLaw(90, 0.15, 0.005, 5, 600),
        {Failure.RATE_LIMITED: 0.004},
        retry_after_s=1.0,
    ),
    SimProvider(
        "sim-elm",
        "cheap, and quietly worse after 400 requests",
        Decimal("0.70"),
        LatencyLaw(420, 0.25, 0.01, 4, 80),
        {Failure.SERVER_ERROR: 0.004},
        drift=Drift(400, quality_delta=-0.15),
    ),
    SimProvider(
        "sim-hazel",
        "good on average, with a long latency tail and hangs",
        Decimal("0.90"),
        LatencyLaw(300, 0.45, 0.08, 8, 110),
        {Failure.HANG: 0.002, Failure.SERVER_ERROR: 0.002},
    ),
    SimProvider(
        "sim-larch",
        "the cheapest, and flaky: 500, 503, cut streams, errors inside 200",
        Decimal("0.60"),
        LatencyLaw(500, 0.30, 0.02, 4, 70),
        {
            Failure.SERVER_ERROR: 0.03,
            Failure.UNAVAILABLE: 0.02,
            Failure.CUT: 0.01,
            Failure.ERROR_EVENT: 0.01,
        },
    ),
    SimProvider(
        "sim-oak",
        "dear, steady, and caches prompts",
        Decimal("1.20"),
        LatencyLaw(250, 0.12, 0.002, 3, 130),
        {Failure.SERVER_ERROR: 0.0005},
        cache_read_factor=Decimal("0.1"),
    ),
    SimProvider(
        "sim-rowan",
        "overloaded at times, and away for fifteen seconds",
        Decimal("0.95"),
        LatencyLaw(330, 0.25, 0.015, 4, 95),
        {Failure.OVERLOADED: 0.01},
        outages=(Outage(20.0, 35.0),),
    ),
    SimProvider(
        "sim-willow",
        "raises its prices by a half after 300 requests",
        Decimal("0.75"),
        LatencyLaw(380, 0.30, 0.01, 4, 100),
        {Failure.SERVER_ERROR: 0.003, Failure.ERROR_EVENT: 0.003},
        drift=Drift(300, price_factor=Decimal("1.5")),
        cache_read_factor=Decimal("0.25"),
    ),
)
