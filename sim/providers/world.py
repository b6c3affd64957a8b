"""What a simulated provider answers: a pure law of who is asked what, how often and when.

Chance is a keyed BLAKE2b hash of the question, so that a run repeats to the bit; time and counts
are arguments. Quality, tokens and cost are those of the real outcome table: the row of the
prompt, or, for a prompt that the table has not, a row drawn by hash from the whole table (then
`matched` is false, and the outcome is plainly not that prompt's). It knows no wire.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from p402.errors import ConfigError, ModelNotFound, nearest
from p402_datasets.outcomes import OutcomeTable
from p402_datasets.paretobandit import estimate_tokens
from sim.providers import laws
from sim.providers.spec import MODELS, PROVIDERS, VISIBLE_LIKE, Failure, SimModel, SimProvider

_DRAWS = struct.Struct("<4Q")


@dataclass(frozen=True, slots=True)
class Ask:
    """One call as it reaches a provider.

    Attributes
    ----------
    prompt
        Text of the last user message, by which the outcome table is searched.
    other_bytes
        UTF-8 bytes of all other text of the call.
    warm_bytes
        UTF-8 bytes of the longest leading part of the call that this provider has seen before.
    attempt
        How often this provider and model have been asked this before, from 0.
    served
        Requests this provider has taken before this one.
    elapsed_s
        Seconds since the providers opened.
    cap
        The most output tokens of one completion, or None.
    n
        Completions.
    """

    provider: str
    model: str
    prompt: str
    other_bytes: int = 0
    warm_bytes: int = 0
    attempt: int = 0
    served: int = 0
    elapsed_s: float = 0.0
    cap: int | None = None
    n: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes of it; tokens are of all `n` completions, times in ms of the simulated world.

    Attributes
    ----------
    failure
        How it goes wrong, or None.
    quality
        Real judge reward in [0, 1] after drift; 0 if the answer was cut short by `cap`.
    visible_tokens
        Tokens of text in each completion.
    cost_pico
        What the provider bills, at its price of the moment, in 1e-12 USD.
    ttft_ms, generation_ms
        Until the first visible token, and from it to the last.
    id
        32 hex digits that name this answer.
    """

    failure: Failure | None
    retry_after_s: float
    quality: float
    matched: bool
    drifted: bool
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    visible_tokens: int
    truncated: bool
    cost_pico: int
    ttft_ms: float
    generation_ms: float
    id: str


class World:
    """All simulated providers over one outcome table.

    Parameters
    ----------
    seed
        Keys all chance; 0 to 2**64 - 1.

    Raises
    ------
    ConfigError
        The seed is out of range, names repeat, a model has no column, or failure rates exceed 1.
    """

    def __init__(
        self,
        seed: int,
        table: OutcomeTable,
        providers: Sequence[SimProvider] = PROVIDERS,
        models: Sequence[SimModel] = MODELS,
    ) -> None:
        if not 0 <= seed < 2**64:
            raise ConfigError(f"seed is {seed}; expected 0 to 2**64 - 1")
        self.table = table
        self.providers = {p.name: p for p in providers}
        self.models = {m.id: m for m in models}
        _check(table, providers, models)
        self._key = seed.to_bytes(8, "little")
        self._row = {p.text.strip(): i for i, p in enumerate(table.prompts)}
        self._column = {m.id: table.models.index(m.outcomes) for m in models}
        self._visible = table.models.index(VISIBLE_LIKE) if any(m.thinks for m in models) else -1
        self._quality = table.quality.tolist()
        self._prompt_tokens = table.prompt_tokens.tolist()
        self._output_tokens = table.output_tokens.tolist()
        self._prices = {
            (p.name, m.id, drifted): laws.prices_of(p, m, drifted=drifted)
            for p in providers
            for m in models
            for drifted in (False, True)
        }

    def provider(self, name: str) -> SimProvider:
        """The provider of that name.

        Raises
        ------
        ModelNotFound
            There is none; the message has the nearest names.
        """
        found = self.providers.get(name)
        if found is None:
            raise ModelNotFound(f"no simulated provider {name!r}{nearest(name, tuple(self.providers))}")
        return found

    def model(self, name: str) -> SimModel:
        """The model of that id.

        Raises
        ------
        ModelNotFound
            There is none; the message has the nearest ids.
        """
        found = self.models.get(name)
        if found is None:
            raise ModelNotFound(
                f"no simulated model {name!r}{nearest(name, tuple(self.models))}", param="model"
            )
        return found

    def prices(self, provider: str, model: str, served: int = 0) -> laws.Prices:
        """Prices after so many requests; drift changes them."""
        return self._prices[provider, model, laws.drifted_of(self.providers[provider], served)]

    def answer(self, ask: Ask) -> Answer:
        """The answer to `ask`: the same for the same seed and the same fields.

        Raises
        ------
        ModelNotFound
            The provider or the model does not exist.
        """
        provider, model = self.provider(ask.provider), self.model(ask.model)
        text = ask.prompt.strip()
        digest = self._hash(ask.provider, ask.model, str(ask.attempt), text)
        u_failure, u_ttft, u_tail, _ = (x / 2**64 for x in _DRAWS.unpack(digest))
        row = self._row.get(text)
        matched = row is not None
        if row is None:  # the same row for every arm, so that arms stay correlated as they really are
            row = int.from_bytes(self._hash("row", text)[:8], "little") % len(self._quality)
        column = self._column[ask.model]

        own = self._prompt_tokens[row][column] if matched else estimate_tokens(text)
        prompt_tokens = own + -(-ask.other_bytes // 4)
        whole = self._output_tokens[row][column]
        output = whole if ask.cap is None else min(whole, ask.cap)
        visible = min(whole, self._output_tokens[row][self._visible]) if model.thinks else whole
        reasoning = min(whole - visible, output)
        cached = laws.cached_of(provider, ask.warm_bytes, prompt_tokens)
        drifted = laws.drifted_of(provider, ask.served)
        prices = self._prices[ask.provider, ask.model, drifted]
        pace_ms = 1000 / (provider.latency.tokens_per_s * model.speed)
        return Answer(
            failure=laws.failure_of(provider, ask.elapsed_s, u_failure),
            retry_after_s=provider.retry_after_s,
            quality=self._worth(provider, row, column, drifted=drifted, truncated=output < whole),
            matched=matched,
            drifted=drifted,
            prompt_tokens=prompt_tokens,
            cached_tokens=cached,
            output_tokens=output * ask.n,
            reasoning_tokens=reasoning * ask.n,
            visible_tokens=output - reasoning,
            truncated=output < whole,
            cost_pico=(prompt_tokens - cached) * prices.input
            + cached * (prices.cache_read or 0)
            + output * ask.n * prices.output,
            ttft_ms=laws.ttft_ms_of(provider, u_ttft, u_tail) + reasoning * pace_ms,
            generation_ms=(output - reasoning) * pace_ms,
            id=digest[:16].hex(),
        )

    def _worth(
        self, provider: SimProvider, row: int, column: int, *, drifted: bool, truncated: bool
    ) -> float:
        if truncated:
            return 0.0  # no judge saw half an answer; half an answer is taken to be worth nothing
        real: float = self._quality[row][column]
        delta = provider.drift.quality_delta if drifted and provider.drift is not None else 0.0
        return min(1.0, max(0.0, real + delta))

    def _hash(self, *parts: str) -> bytes:
        text = "\0".join(parts).encode(errors="surrogatepass")
        return blake2b(text, key=self._key, digest_size=32).digest()


def _check(table: OutcomeTable, providers: Sequence[SimProvider], models: Sequence[SimModel]) -> None:
    if len({p.name for p in providers}) != len(providers) or len({m.id for m in models}) != len(models):
        raise ConfigError("two simulated providers or models have the same name; names must differ")
    for m in models:
        if m.outcomes not in table.models:
            raise ConfigError(
                f"model {m.id} answers from {m.outcomes}; the table has {', '.join(table.models)}"
            )
    for p in providers:
        total = sum(p.failures.values())
        if total > 1 or min(p.failures.values(), default=0.0) < 0:
            raise ConfigError(f"{p.name}: failure rates sum to {total:g}; expected shares, at most 1 in all")
