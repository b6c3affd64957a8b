"""What an exchange does for the cache once it has its answer.

A stream's events are gathered as they pass, and kept after the client has them all. Whether an answer may be
kept is the law of `p402.cache.answers`.
"""

from p402.cache.answers import Gathering, keepable, told_usage
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

    __slots__ = ("_cache", "_gathered", "_looked")

    def __init__(self, cache: Cache | None, looked: Looked) -> None:
        self._cache, self._looked = cache, looked
        self._gathered = None if cache is None or looked.query is None else Gathering()

    def piece(self, event: bytes) -> None:
        """Take an event of a stream."""
        if self._gathered is not None:
            self._gathered.take(event)

    def keep_stream(self, usage: Usage, *, arm: str, task: str, made: str, now_ms: int, ttl_s: int) -> None:
        """Keep what the events came to."""
        if self._gathered is None:
            return
        told = told_usage(usage.prompt, usage.output, usage.cached, usage.reasoning)
        body = self._gathered.whole(told)
        self._gathered = None
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
