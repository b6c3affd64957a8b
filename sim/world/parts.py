"""The tables that a world's spec is made of: traffic, models, providers and judges; plain data, no law.

Times are hours since the world's start (`_h`), seconds (`_s`) or milliseconds (`_ms`), money is USD and every
share is in [0, 1]. The definition of each law is in the README of this folder.
"""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct, field

from p402.limits import LEAST_SIMILARITY, MAX_TTL_S

Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0)]
Least0 = Annotated[float, Meta(ge=0)]
Between = Annotated[float, Meta(gt=0, lt=1)]
Count = Annotated[int, Meta(ge=1)]
Ttl = Annotated[int, Meta(ge=1, le=MAX_TTL_S)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Hourly = Annotated[tuple[Least0, ...], Meta(min_length=24, max_length=24)]
Weekly = Annotated[tuple[Least0, ...], Meta(min_length=7, max_length=7)]


class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table of a spec: what it does not know is an error, what is as usual is not written."""


class Spread(Strict, frozen=True, kw_only=True):
    """A log-normal law between two bounds; `sigma` of 0 is always the median.

    Attributes
    ----------
    median
        In the unit of whoever has it.
    sigma
        Standard deviation of the logarithm.
    least, most
        What falls outside is moved to the bound.
    """

    median: Positive
    sigma: Annotated[float, Meta(ge=0, le=4)] = 0.0
    least: Least0 = 0.0
    most: Positive = 1e12


class Burst(Strict, frozen=True, kw_only=True):
    """More sessions, or fewer, for a while."""

    at_h: Least0
    hours: Positive
    factor: Least0


class Arrivals(Strict, frozen=True, kw_only=True):
    """How many requests come; a Poisson process of sessions whose rate follows the clock.

    Attributes
    ----------
    per_hour
        Requests an hour, in the mean over a week without bursts.
    hourly, weekday
        Relative rates by UTC hour, and by weekday from Monday; only their proportions count.
    bursts
        Multiply the rate while they last.
    """

    per_hour: Positive
    hourly: Hourly = (1.0,) * 24
    weekday: Weekly = (1.0,) * 7
    bursts: tuple[Burst, ...] = ()


class Sessions(Strict, frozen=True, kw_only=True):
    """How conversations go.

    Attributes
    ----------
    mean_turns, most_turns
        A geometric law of that mean, cut off at the most.
    pause_s
        From one turn's arrival to the next.
    waits
        Whether a turn comes a pause after the last answer instead. Its moment, and with it all of its
        chance, then depends on the strategy: what common random numbers are for is lost.
    grows
        Whether each turn carries the turns before it and `answer_tokens` for each answer.
    named
        Share of sessions whose callers name them (`p402.session_id`), so that a session's cap holds.
    """

    mean_turns: Annotated[float, Meta(ge=1)] = 1.0
    most_turns: Count = 50
    pause_s: Spread = Spread(median=40.0, sigma=1.0, least=2.0)
    waits: bool = False
    grows: bool = True
    answer_tokens: Annotated[int, Meta(ge=0)] = 200
    named: Share = 1.0


class Repeats(Strict, frozen=True, kw_only=True):
    """How much of a tenant's traffic asks what others asked before.

    Attributes
    ----------
    share
        Of sessions whose first turn is a common question of their task; all else is asked once.
    questions
        Common questions of each task.
    zipf
        Exponent of their popularity: the k-th is asked in proportion to k**-zipf.
    reworded
        Share of them asked in other words than the usual ones.
    near
        Share of them that are near misses instead: nearly the same words, and another right answer.
    follow_ups
        Share of such a session's later turns that are asked in usual words ("Why is that so?"), whose meaning
        is in the conversation; the others' words are their own.
    """

    share: Share
    questions: Count = 20
    zipf: Annotated[float, Meta(ge=0, le=5)] = 1.0
    reworded: Share = 0.3
    near: Share = 0.1
    follow_ups: Share = 0.0


class TenantCache(Strict, frozen=True, kw_only=True):
    """How a tenant's requests use the gateway's cache: what they ask, and the tenant's rules.

    Attributes
    ----------
    asks
        Share of requests that say `cache: true`, whatever their mode; the others say nothing.
    asks_ttl_s
        `cache_ttl` of those; None leaves the tenant's.
    in_cost_mode, ttl_s, similarity
        As in `p402.limits.CacheRules`.
    """

    asks: Share = 0.0
    asks_ttl_s: Ttl | None = None
    in_cost_mode: bool = True
    ttl_s: Ttl = 86_400
    similarity: Annotated[float, Meta(ge=LEAST_SIMILARITY, le=0.9999)] = LEAST_SIMILARITY


class CacheSpec(Strict, frozen=True, kw_only=True):
    """The gateway's cache, and the simulated embedder in front of it.

    Attributes
    ----------
    compares
        Whether there is an embedder; without it only exact repeats are found.
    entries
        Most that a tenant has; beyond them its longest unused go.
    reworded_above
        Share of pairs of wordings of one question whose cosine exceeds 0.92.
    near_above
        The same of a question and a near miss of it in the same wording.
    """

    compares: bool = True
    entries: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    reworded_above: Between = 0.43
    near_above: Between = 0.185


class TenantSpec(Strict, frozen=True, kw_only=True):
    """Who calls.

    Attributes
    ----------
    share
        Of the sessions, against the other tenants' shares.
    modes, tasks
        Shares of modes and of tasks; each session has one of each. Without tasks, as `WorldSpec.tasks` say.
    stream
        Share of requests that are streamed; only these teach a gateway its times to first token.
    names_task
        Share of requests whose callers name the task; the others' is inferred from a text.
    caps_output
        Share of requests that name `max_output` as output cap.
    repeats
        What of its traffic was asked before; None asks everything once.
    """

    name: Name
    share: Positive = 1.0
    modes: Mapping[str, Positive] = field(default_factory=lambda: {"balanced": 1.0})
    tasks: Mapping[str, Positive] = {}
    stream: Share = 0.0
    names_task: Share = 1.0
    caps_output: Share = 0.0
    max_output: Count = 4096
    explores: bool = True
    daily_cap_usd: Positive = 1000.0
    session_cap_usd: Positive | None = None
    max_request_usd: Annotated[float, Meta(gt=0, le=50)] = 50.0
    requests_per_hour: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 1_000_000
    max_in_flight: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    hold: str = "strict"
    baseline_model: str | None = None
    fee_bps: Annotated[int, Meta(ge=0, le=10_000)] = 0
    repeats: Repeats | None = None
    cache: TenantCache = TenantCache()


class TaskSpec(Strict, frozen=True, kw_only=True):
    """What is asked.

    Attributes
    ----------
    name
        One of `p402.routing.spec.TASKS`.
    share
        Of the sessions, against the other tasks' shares.
    prompt, output
        Tokens of one turn's own words, and of an answer by a model of verbosity 1.
    difficulty_sd
        Of what a request adds to the quality of every arm alike; nobody can see it beforehand.
    texts
        What is asked where the caller names no task: the router infers it from one of these.
    """

    name: str
    share: Positive = 1.0
    prompt: Spread = Spread(median=300.0, sigma=0.8, least=8.0, most=60_000.0)
    output: Spread = Spread(median=250.0, sigma=0.6, least=1.0, most=8_000.0)
    difficulty_sd: Least0 = 0.0
    texts: tuple[str, ...] = ()


class Bernoulli(Strict, frozen=True, kw_only=True, tag="bernoulli", tag_field="kind"):
    """Right or wrong: 1 with the mean's probability."""


class Beta(Strict, frozen=True, kw_only=True, tag="beta", tag_field="kind"):
    """A beta law of that mean; `concentration` is the sum of its two parameters."""

    concentration: Positive = 10.0


class Gaussian(Strict, frozen=True, kw_only=True, tag="gaussian", tag_field="kind"):
    """The mean and normal noise, clipped to [0, 1]: its expectation is of the clipped law."""

    sd: Least0 = 0.2


class Graded(Strict, frozen=True, kw_only=True, tag="graded", tag_field="kind"):
    """Grades: the nearest of `levels` to the mean and normal noise."""

    levels: tuple[Share, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    sd: Least0 = 0.2


class Rows(Strict, frozen=True, kw_only=True, tag="rows", tag_field="kind"):
    """Real outcomes: the request's row of the world's outcome table, in the column of model `column`."""

    column: str


Reward = Bernoulli | Beta | Gaussian | Graded | Rows


class ModelSpec(Strict, frozen=True, kw_only=True):
    """A model, wherever it is served.

    Attributes
    ----------
    quality
        True mean by task, before anything a provider does to it; may leave [0, 1] and is clipped by the
        reward's law. Not for `Rows`, whose mean is the row.
    benchmark
        What is published of it by task, which a gateway starts from; a task that is left out is unknown.
    benchmark_n
        The sample size that the publisher states.
    length_slope
        Added to the mean for each doubling of the transcript's bytes over 1,024, and taken off for halving.
    verbosity
        Output tokens over the task's law.
    appears_h, retires_h
        When it can first be called, and from when on no longer.
    """

    id: Annotated[str, Meta(pattern=r"^[\x21-\x2e\x30-\x7e]{1,100}$")]
    family: Name = "lab"
    input_usd_per_mtok: Least0
    output_usd_per_mtok: Least0
    quality: Mapping[str, float] = {}
    benchmark: Mapping[str, Share] = {}
    benchmark_n: Count | None = None
    length_slope: float = 0.0
    verbosity: Positive = 1.0
    reward: Reward = Gaussian()
    context_window: Count = 262_144
    output_limit: Count = 32_768
    capabilities: tuple[str, ...] = ("code", "reasoning", "function_calling", "json_schema")
    appears_h: Least0 = 0.0
    retires_h: Positive | None = None


class PriceChange(Strict, frozen=True, kw_only=True):
    """From `at_h` on, list prices are multiplied by `factor` as well: of one model here, or of all."""

    at_h: Least0
    factor: Positive
    model: str | None = None


class Drift(Strict, frozen=True, kw_only=True):
    """A silent change of quality from `at_h` on, or until `until_h`: of one model here, or of all."""

    at_h: Least0
    until_h: Positive | None = None
    quality: float
    model: str | None = None


class Outage(Strict, frozen=True, kw_only=True):
    """The provider answers nothing but 503."""

    at_h: Least0
    hours: Positive


class ProviderSpec(Strict, frozen=True, kw_only=True):
    """A provider and what it serves.

    Attributes
    ----------
    models
        Ids of `WorldSpec.models`; with the provider's name each is an arm.
    price_factor
        Its prices over the models' list prices.
    prices
        Dated changes that it announces: a gateway's catalogue has them in that second.
    ttft_ms
        To the first token, once the call has a slot.
    tail, tail_factor
        Share of calls whose time to first token is that many times longer.
    tokens_per_s
        Of every model.
    slots
        Calls that are served at once; the others wait in line. None has no limit.
    hourly_load
        Multiplies both times by UTC hour: others' traffic.
    failures
        Shares of calls by kind: `error` (500 at once), `overloaded` (529), `hang` (nothing for `hang_ms`),
        `cut` (ends half way, and half is billed).
    rpm
        Calls a minute, by the clock; those beyond get a 429. None has no limit.
    quality
        Added to every model's mean here, from the start: a provider may serve a weaker copy.
    drifts
        Silent changes.
    cache_read_factor
        Price of a prompt token that it still has in its cache; None where it has no cache.
    """

    name: Name
    models: tuple[str, ...]
    price_factor: Positive = 1.0
    prices: tuple[PriceChange, ...] = ()
    ttft_ms: Spread = Spread(median=400.0, sigma=0.25)
    tail: Share = 0.0
    tail_factor: Positive = 4.0
    tokens_per_s: Positive = 90.0
    slots: Count | None = None
    hourly_load: Hourly = (1.0,) * 24
    failures: Mapping[str, Share] = {}
    hang_ms: Positive = 60_000.0
    retry_after_s: Least0 = 2.0
    rpm: Count | None = None
    outages: tuple[Outage, ...] = ()
    quality: float = 0.0
    drifts: tuple[Drift, ...] = ()
    cache_read_factor: Share | None = None


class Judge(Strict, frozen=True, kw_only=True):
    """One source of words on answers.

    Attributes
    ----------
    share
        Of answers that it judges, of quality one half.
    slope
        How much more often it judges for each unit of quality above that: not 0 is missing not at random.
    delay_s
        From the answer to its word.
    bias, noise_sd
        What it says is the quality and these, clipped to [0, 1].
    """

    name: Name
    share: Share
    slope: float = 0.0
    delay_s: Spread = Spread(median=60.0, sigma=0.5)
    bias: float = 0.0
    noise_sd: Least0 = 0.0


class Worth(Strict, frozen=True, kw_only=True):
    """What a round is worth: `quality` of its quality and `cost` of its cost score; a failure is worth 0.

    `half_usd_per_ktok` is the cost of 1,000 tokens at which the cost score is one half, as in routing.
    """

    quality: Share = 0.5
    cost: Share = 0.5
    half_usd_per_ktok: Positive = 0.002
