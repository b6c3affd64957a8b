"""What a worker knows of the prompts of scopes, to compare them without asking.

It is told of what was kept and not of what is gone: what it finds is confirmed, and what is not there any
more is dropped then. A scope of which Redis has far fewer prompts begins anew. All scopes have so many bytes
together. Those that nobody asked for longest go first, and of one that alone is too large, its oldest
prompts. It knows no clock and no Redis.
"""

from collections import OrderedDict
from typing import Final

from p402.cache.contract import Vector
from p402.cache.index import Index
from serve.cache.code import as_text, vector_of
from serve.cache.scripts import News, Row

MAX_BYTES: Final = 64 << 20
"""Of vectors and prompts in one worker, its tables included."""
ROW_BYTES: Final = 400
"""Of a prompt beside its vector and text: its digest, and its places in three tables."""
SPARE: Final = 64
"""Prompts that are gone which a scope may have, beside as many as are there."""


class _Scope:
    def __init__(self) -> None:
        self.index = Index()
        self.texts: dict[bytes, str] = {}
        self.seen = self.size = self.dims = 0

    def put(self, row: Row) -> None:
        if row.exact in self.texts:  # the same prompt has the same vector
            return
        vector = vector_of(row.vector)
        try:
            text = as_text(row.text)
        except ValueError:
            return
        if vector is None or self.dims not in (0, len(vector)):
            return
        self.dims = len(vector)
        self.index.put(row.exact, vector)
        self.texts[row.exact] = text
        self.size += _size(text, self.dims)

    def drop(self, exact: bytes) -> None:
        text = self.texts.pop(exact, None)
        if text is not None:
            self.index.drop(exact)
            self.size -= _size(text, self.dims)


class Known:
    """Prompts by scope; a scope is named by its key in Redis."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._scopes: OrderedDict[str, _Scope] = OrderedDict()
        self.size = 0

    @property
    def scopes(self) -> int:
        """How many there are."""
        return len(self._scopes)

    @property
    def prompts(self) -> int:
        """How many there are in all."""
        return sum(len(scope.texts) for scope in self._scopes.values())

    def seen(self, name: str) -> int:
        """Number up to which a scope is known."""
        scope = self._scopes.get(name)
        return 0 if scope is None else scope.seen

    def take(self, name: str, asked: int, news: News) -> bool:
        """Take what was told to whoever knew a scope up to `asked`; whether there is more to ask for."""
        if news.anew or not news.count:
            self.forget(name)
        if not news.count:
            return False
        if self.seen(name) < (0 if news.anew else asked):  # forgotten meanwhile, and with it what came before
            return True
        scope = self._scopes.setdefault(name, _Scope())
        self._scopes.move_to_end(name)
        self.size -= scope.size
        for row in news.rows:
            scope.put(row)
        scope.seen = max(scope.seen, news.told)
        self.size += scope.size
        if len(scope.texts) > 2 * news.count + SPARE:
            self.forget(name)
            return True
        self._make_room(scope)
        return news.more

    def above(self, name: str, vector: Vector, cosine: float, most: int) -> list[tuple[bytes, str, float]]:
        """Prompts of a scope whose cosine exceeds one, nearest first: digest, text, cosine."""
        scope = self._scopes.get(name)
        if scope is None or scope.dims != len(vector):
            return []
        self._scopes.move_to_end(name)
        return [(exact, scope.texts[exact], near) for exact, near in scope.index.above(vector, cosine, most)]

    def drop(self, name: str, exact: bytes) -> None:
        """Forget a prompt that is gone."""
        scope = self._scopes.get(name)
        if scope is not None:
            self.size -= scope.size
            scope.drop(exact)
            self.size += scope.size

    def forget(self, name: str) -> None:
        """Forget a scope."""
        scope = self._scopes.pop(name, None)
        if scope is not None:
            self.size -= scope.size

    def forget_all(self, prefix: str) -> None:
        """Forget a tenant's scopes."""
        for name in [name for name in self._scopes if name.startswith(prefix)]:
            self.forget(name)

    def _make_room(self, last: _Scope) -> None:
        while self.size > self._max_bytes and len(self._scopes) > 1:
            _, scope = self._scopes.popitem(last=False)
            self.size -= scope.size
        while self.size > self._max_bytes and last.texts:
            self.size -= last.size
            last.drop(next(iter(last.texts)))
            self.size += last.size


def _size(text: str, dims: int) -> int:
    return 8 * dims + len(text) + ROW_BYTES  # an index that grows has room for twice as many vectors
