"""What one row of another system's log says, before it is an event of ours."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One call.

    Attributes
    ----------
    source_id
        The source's own id of it; None where it has none.
    ts_ms
        When it began, ms since 1970 UTC.
    status
        ok, failed or cached.
    session, user
        What calls of one conversation, and of one person, have in common; as the source names them.
    trace
        The source's id of the piece of work that the call is part of.
    prompt_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens
        Cache reads and writes are parts of the prompt, reasoning is part of the output.
    cost_nano
        What the source says it cost; None where it says nothing, or 0 for tokens that it had no price of.
    messages, tools, schema
        Of the request, as far as the source kept them: a list of messages or items, or a text.
    private
        Names, keys and the like: kept as tags, by their hash only.
    """

    source_id: str | None
    ts_ms: int
    model: str
    provider: str | None = None
    status: str = "ok"
    code: str | None = None
    session: str | None = None
    user: str | None = None
    trace: str | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano: int | None = None
    latency_ms: float | None = None
    ttfb_ms: float | None = None
    stream: bool = False
    max_output: int | None = None
    n: int = 1
    messages: Any = None
    tools: Any = None
    schema: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    private: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What somebody thought of a call, or of the piece of work it is part of.

    `value` is a number's or a category's text; `quality` is it where it is a number in [0, 1].
    """

    name: str
    ts_ms: int
    observation: str | None
    trace: str | None
    value: str
    quality: float | None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A sound row that is no chat call, and what it is."""

    what: str
