"""A record to the row that the log keeps: its id, its inputs as routing would have had them, its price.

The prompt's text goes no further than this: what is kept of it are features, counts and a hash, unless it was
asked for. It knows nothing of files.
"""

from hashlib import blake2b
from typing import Any, Final

import msgspec

from p402.events import Imported, Reward, RowInputs
from p402.request import Options, Transcript
from p402.routing import features
from p402.routing.features import BYTES_PER_TOKEN, FEATURES, Signals
from p402.routing.head import TaskHead
from p402.routing.pricing import cost_at
from p402.routing.scale import FEATURE_ONE
from p402.routing.spec import TASKS
from p402.store.imported.price import ListPrices
from p402.store.imported.record import Record, Score
from p402.store.imported.transcript import as_json, transcript_of
from p402.units import PICO_PER_USD

PREFIX: Final = "imp_"
CEILING_PICO: Final = 50 * PICO_PER_USD
"""Layer 5's default: what a call may cost at most."""

UNKNOWN_TASK: Final = "chat"
"""Row of the tables that a call without a prompt is looked up in; its features give every task alike."""

_UNIFORM: Final = [FEATURE_ONE // len(TASKS)] * (len(TASKS) - 1)
_MOST_VALUE: Final = 200
_encode = msgspec.json.Encoder(order="deterministic", decimal_format="number").encode


def id_of(tenant: str, source: str, source_id: str) -> str:
    """The id of a call: the same for the same tenant, source and source's id."""
    return PREFIX + _hash(f"{tenant}\x1f{source}\x1f{source_id}", 16)


def content_id(tenant: str, source: str, row: Any) -> str:
    """The id of a call whose source gave it none: by everything that its row says."""
    digest = blake2b(_encode(row), digest_size=16).hexdigest()
    return id_of(tenant, source, f"content {digest}")


class Maker:
    """Makes rows of one source for one tenant.

    Parameters
    ----------
    keep_prompts
        Whether the messages themselves are kept.
    """

    def __init__(
        self, tenant: str, source: str, prices: ListPrices, head: TaskHead, *, keep_prompts: bool
    ) -> None:
        self.tenant, self.source = tenant, source
        self._prices, self._head, self._keep = prices, head, keep_prompts

    def id(self, record: Record, row: Any) -> str:
        """The id of a call; `row` is what the source said, whole."""
        if record.source_id is None:
            return content_id(self.tenant, self.source, row)
        return id_of(self.tenant, self.source, record.source_id)

    def call(self, record: Record, event_id: str) -> Imported:
        """The log's row of a call."""
        transcript = transcript_of(record.messages, record.tools, schema=record.schema)
        signals = self._signals(transcript, record)
        text = None if transcript is None else as_json(record.messages)
        cost, price, price_source = self._priced(record)
        return Imported(
            ts_ms=record.ts_ms,
            id=event_id,
            tenant=self.tenant,
            session=self._session(record, transcript, event_id),
            source=self.source,
            source_id=record.source_id,
            provider=record.provider,
            model=record.model,
            status=record.status,
            code=record.code,
            inputs=_inputs(record, signals),
            task=None if transcript is None else signals.task,
            prompt_tokens=record.prompt_tokens,
            output_tokens=record.output_tokens,
            cached_tokens=record.cached_tokens,
            cache_write_tokens=record.cache_write_tokens,
            reasoning_tokens=record.reasoning_tokens,
            cost_nano=cost,
            price_pico=price,
            price_source=price_source,
            latency_ms=record.latency_ms,
            ttfb_ms=record.ttfb_ms,
            stream=record.stream,
            prompt_hash=None if text is None else _hash(text, 8),
            prompt=text if self._keep else None,
            tags=record.tags | {name: _hash(value, 8) for name, value in record.private.items()},
        )

    def reward(self, score: Score, call_id: str) -> Reward:
        """The log's row of a score; a value that is no quality in [0, 1] is kept beside."""
        return Reward(
            ts_ms=score.ts_ms,
            id=call_id,
            tenant=self.tenant,
            source=f"{self.source}:{score.name}",
            status="unknown",
            quality=score.quality,
            occurred_at_ms=score.ts_ms,
            metadata={} if score.quality is not None else {"value": score.value[:_MOST_VALUE]},
        )

    def _signals(self, transcript: Transcript | None, record: Record) -> Signals:
        if transcript is not None:
            return features.read(transcript, Options(), record.max_output, self._head)
        size = BYTES_PER_TOKEN * (record.prompt_tokens or 0)
        blank = Transcript("", "", "", size, 1, 0, has_tools=False, has_schema=False, binds_family=False)
        found = features.read(blank, Options(task=UNKNOWN_TASK), record.max_output, self._head)
        rest = found.features[1 + len(TASKS) :]
        known = (found.features[0], FEATURE_ONE - sum(_UNIFORM), *_UNIFORM, *rest)
        assert len(known) == len(FEATURES), "every feature has its place"
        return msgspec.structs.replace(found, features=known)

    def _session(self, record: Record, transcript: Transcript | None, event_id: str) -> str:
        """The source's session, else one as the gateway would derive it, else the user, else the call."""
        if record.session:
            return record.session
        if transcript is not None and transcript.first_user:
            said = f"{self.tenant}\x1f{transcript.system}\x1f{transcript.first_user}"
            return "auto_" + _hash(said, 12)
        return event_id if record.user is None else "user_" + _hash(record.user, 12)

    def _priced(self, record: Record) -> tuple[int | None, list[int] | None, str | None]:
        """Cost, the prices that made it, and whose they are."""
        if record.cost_nano is not None:
            return record.cost_nano, None, "told"
        prompt, output = record.prompt_tokens, record.output_tokens
        cached, written = record.cached_tokens, record.cache_write_tokens
        if record.status != "ok" or prompt is None or output is None or cached + written > prompt:
            return None, None, None
        price = self._prices.of(record.provider, record.model, record.ts_ms, prompt)
        if price is None:
            return None, None, None
        return int(cost_at(price, prompt, cached, output, written)), list(price), "list"


def _inputs(record: Record, signals: Signals) -> RowInputs:
    """Row inputs; the tokens that the source counted stand in for what the bytes let expect."""
    prompt = signals.prompt_tokens if record.prompt_tokens is None else record.prompt_tokens
    return RowInputs(
        mode="balanced",
        features=list(signals.features),
        task=TASKS.index(signals.task),
        prompt_tokens=prompt,
        prompt_bound=max(signals.prompt_bound, prompt),
        expected_output=signals.expected_output,
        max_output=record.max_output or None,
        n=record.n,
        needs=signals.needs,
        ceiling_pico=CEILING_PICO,
    )


def _hash(text: str, size: int) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=size).hexdigest()
