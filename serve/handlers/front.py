"""What every handler works with, and the last door an error passes.

A handler is a function of the front and a request. It knows no framework and no socket, keeps
nothing between requests, and may raise: `answer` turns whatever comes into a reply.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from p402.answer import Completed, Rejected, Streaming
from p402.events import Reward
from p402.ids import request_id
from p402.ports import Clock
from p402.request import ChatRequest, Tenant
from serve.errors import exception_reply
from serve.http import HttpReply, HttpRequest
from serve.keys import Keyring


class ModelView(Protocol):
    """One arm as `GET /v1/models` shows it."""

    @property
    def arm(self) -> str:
        """`provider/model`."""
        ...

    @property
    def provider(self) -> str:
        """Who serves it."""
        ...

    @property
    def model(self) -> str:
        """Canonical model name, the same at every provider."""
        ...

    @property
    def family(self) -> str:
        """The lab it comes from."""
        ...

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What a source says it can do."""
        ...

    @property
    def context_window(self) -> int | None:
        """Tokens."""
        ...

    @property
    def output_limit(self) -> int | None:
        """Tokens."""
        ...

    @property
    def simulated(self) -> bool:
        """Its answers are not real."""
        ...


class ChatFlow(Protocol):
    """What the front asks of `p402.flow`."""

    async def chat(
        self, request: ChatRequest, tenant: Tenant, arrived_ms: float
    ) -> Completed | Streaming | Rejected:
        """Serve one request; `arrived_ms` is monotonic. May raise `RequestError`."""
        ...

    def route(self, request: ChatRequest, tenant: Tenant) -> Completed | Rejected:
        """Decide and price, call nobody. May raise `RequestError`."""
        ...

    def outcome(self, tenant: Tenant, reward: Reward) -> None:
        """Append a reward to the log; returns once it is there."""
        ...

    @property
    def models(self) -> Sequence[ModelView]:
        """Every arm."""
        ...


@dataclass(frozen=True, slots=True)
class Front:
    """Collaborators of the handlers, made once per worker.

    Attributes
    ----------
    ready
        Whether this worker can serve: started, with a snapshot, and not stopping.
    """

    flow: ChatFlow
    keys: Keyring
    clock: Clock
    ready: Callable[[], bool]

    def new_id(self) -> str:
        """Id for an answer to a request that never became a round."""
        return request_id(self.clock.now_ms(), self.clock.random_bits())

    def tenant(self, request: HttpRequest) -> Tenant:
        """Who calls; InvalidApiKey if nobody known."""
        return self.keys.tenant(request.headers.get(b"authorization"))


Handler = Callable[[Front, HttpRequest], Awaitable[HttpReply]]


async def answer(front: Front, handler: Handler, request: HttpRequest) -> HttpReply:
    """Reply of a handler, or of the error it raised; never raises but for cancellation."""
    try:
        return await handler(front, request)
    except Exception as error:  # noqa: BLE001 - the last door: what nobody foresaw is a 500 and a report
        return exception_reply(error, front.new_id())
