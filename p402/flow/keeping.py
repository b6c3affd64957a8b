"""What an exchange does for the cache once it has its answer.

A stream's events are gathered as they pass and put together after the client has them all. Whether an answer
may be kept is the law of `p402.cache.answers`.
"""

from p402.cache.answers import MAX_BODY, completion_of, keepable
from p402.cache.contract import Cache, Entry
from p402.flow.lookup import Looked
from p402.ports import Usage


class Keeping:
    """The answer of one exchange, on its way to the cache.

    Parameters
    ----------
    cache
        None where there is none.
    """

    __slots__ = ("_cache", "_looked", "_pieces", "_room")

    def __init__(self, cache: Cache | None, looked: Looked) -> None:
        self._cache, self._looked = cache, looked
        self._pieces: list[bytes] | None = None if cache is None or looked.query is None else []
        self._room = 4 * MAX_BODY  # a streamed token takes some hundred bytes, but so few answers are so long

    def piece(self, event: bytes) -> None:
        """Take an event of a stream; nothing is kept of one that is too long."""
        if self._pieces is None:
            return
        self._room -= len(event)
        if self._room < 0:
            self._pieces = None
        else:
            self._pieces.append(event)

    def keep_stream(self, usage: Usage, *, arm: str, task: str, made: str, now_ms: int, ttl_s: int) -> None:
        """Keep what the pieces came to."""
        body = None if not self._pieces else completion_of(self._pieces)
        self._pieces = None
        if body is not None:
            self._put(body, usage, arm, task, made, now_ms, ttl_s)

    def keep(
        self, body: bytes, usage: Usage, *, arm: str, task: str, made: str, now_ms: int, ttl_s: int
    ) -> None:
        """Keep a whole answer.

        Parameters
        ----------
        made
            Id of the request.
        """
        if self._looked.query is not None and keepable(body):
            self._put(body, usage, arm, task, made, now_ms, ttl_s)

    def _put(
        self, body: bytes, usage: Usage, arm: str, task: str, made: str, now_ms: int, ttl_s: int
    ) -> None:
        query = self._looked.query
        if self._cache is None or query is None:
            return
        entry = Entry(
            id=made,
            arm=arm,
            task=task,
            body=body,
            prompt=usage.prompt,
            output=usage.output,
            cached=usage.cached,
            cache_write=usage.cache_write,
            cache_write_1h=usage.cache_write_1h,
            reasoning=usage.reasoning,
            estimated=usage.estimated,
            made_ms=now_ms,
            expires_ms=now_ms + 1_000 * ttl_s,
        )
        self._cache.keep(query, self._looked.miss, entry)
